"""LMDeploy's ``profile_restful_api.py``: a fork of SGLang's script; before, one with three words in front."""

from __future__ import annotations

from inferometer.exchange.compat.aliases import Fixed, Needless, Refused, Rename
from inferometer.exchange.compat.tool import HANDLED, Call, Tool, rows
from inferometer.exchange.compat.tools import sglang
from inferometer.exchange.compat.tools.habits import server, unlimited

_PEER = "LMDeploy"
_NAMES = sglang.NAMES - {"--max-concurrency", "--flush-cache", "--warmup-requests"} | {
    "--concurrency",
    "--api-key",
}
_OWN = {
    **rows(
        ("--multi --request-rate-range", HANDLED),
        ("--stream-output --tokenizer-path --dataset --server-addr --model-name", HANDLED),
        ("--top-p", Rename("--top-p", _PEER)),
        ("--temperature", Rename("--temperature", _PEER)),
        ("--csv", Needless("inferometer report RUN --table lmdeploy prints its columns", _PEER)),
        ("--disable-warmup", Fixed(("--warmup", "0"), _PEER)),
        ("--session-len", Refused("the server knows its context", "leave it out", _PEER)),
    ),
    **{
        name: sglang.OWN[name]
        for name in ("--sharegpt-context-len", "--tokenize-prompt", "--apply-chat-template")
    },
}
_PORTS = {"lmdeploy": 23333, "sglang": 30000, "vllm": 8000, "trt": 8000}


def _settle(call: Call) -> None:
    if not call.theirs or (call.theirs[0].name and "--server-addr" not in call):
        _as_sglang(call)
    else:
        _early(call)
    call.differs("its token counts are the lengths that were asked for; here they are those of the answers")


def _as_sglang(call: Call) -> None:
    backend = call.value("--backend") or "lmdeploy"
    call.default("--backend", "lmdeploy")
    server(call, _PORTS.get(backend.partition("-")[0], 23333))
    call.drop(
        "it belongs to an earlier form of the script",
        "--stream-output",
        "--tokenizer-path",
        "--model-name",
        "--dataset",
    )
    sglang.data(call, call.value("--dataset-name") or "sharegpt")
    swept = call.take("--request-rate-range")
    if call.take("--multi") is not None and swept:
        call.replace("--request-rate-range", "--request-rate", *_rates(swept))
    unlimited(call, limit="--concurrency")
    call.default("--num-prompts", "1000")
    call.default("--seed", "1")
    call.default("--warmup", "1", unless=("--disable-warmup",))
    call.default("--temperature", "0")
    call.default("--ignore-eos", unless=("--disable-ignore-eos",))


def _early(call: Call) -> None:
    """``profile_restful_api.py URL TOKENIZER DATASET``: threads in a closed loop, ShareGPT."""
    words = call.take("") or []
    given = (call.taken("--server-addr"), call.taken("--tokenizer-path"), call.taken("--dataset"))
    for flag, word, named in zip(
        ("--url", "--tokenizer", "--dataset-path"), [*words, None, None, None], given, strict=False
    ):
        value = named or word
        if value:
            call.put(flag, value)
    call.drop("the URL names the server", "--host", "--port")
    model = call.taken("--model-name")
    if model:
        call.put("--model", model)
    call.put("--dataset", "sharegpt")
    call.default("--backend", "openai-chat")
    call.default("--max-concurrency", "128", unless=("--concurrency",))
    call.default("--num-prompts", "5000")
    call.default("--temperature", "1", unless=("--temperature",))
    call.default("--ignore-eos")
    if (call.taken("--stream-output") or "False").lower() not in ("true", "1"):
        call.default("--no-stream")
    call.default("--warmup", "0")
    call.drop("it belongs to a later form of the script", "--multi", "--request-rate-range")


def _rates(words: list[str]) -> list[str]:
    """``start,stop,step`` as the rates that it goes through, or a list of rates."""
    numbers = [part for word in words for part in word.split(",") if part]
    if len(numbers) != 3 or not all(number.isdecimal() for number in numbers) or not int(numbers[2]):
        return numbers
    start, stop, step = map(int, numbers)
    return [str(rate) for rate in range(start, stop, step)] or numbers[:1]


TOOL = Tool(
    "profile_restful_api.py (LMDeploy)",
    ("profile_restful_api.py",),
    _NAMES,
    _OWN,
    _settle,
    "LMDeploy 0.7, benchmark/profile_restful_api.py",
    view="lmdeploy",
)

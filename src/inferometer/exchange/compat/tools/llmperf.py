"""LLMPerf's ``token_benchmark_ray.py``."""

from __future__ import annotations

from inferometer.exchange.compat.aliases import Rename
from inferometer.exchange.compat.tool import HANDLED, Call, Tool, rows
from inferometer.exchange.compat.tools.habits import made_by_us

_PEER = "LLMPerf"
_NAMES = frozenset(
    {"--model", "--num-concurrent-requests", "--max-num-completed-requests", "--llm-api", "--timeout"}
)
_OWN = rows(
    (
        "--mean-input-tokens --stddev-input-tokens --mean-output-tokens --stddev-output-tokens --metadata",
        HANDLED,
    ),
    ("--additional-sampling-params", Rename("--extra-body", _PEER)),
    ("--results-dir", Rename("--out", _PEER)),
)
_LENGTHS = (("input", "550", "150"), ("output", "150", "80"))


def _settle(call: Call) -> None:
    call.missing("--url", "OPENAI_API_BASE", "the server; it reads this variable too")
    call.default("--backend", "openai-chat", unless=("--llm-api",))
    if call.value("--additional-sampling-params") in ("{}", ""):
        call.take("--additional-sampling-params")
    for side, mean, spread in _LENGTHS:
        given = call.taken(f"--mean-{side}-tokens") or mean, call.taken(f"--stddev-{side}-tokens") or spread
        if given[1] == "0":
            call.put(f"--{side}-len", given[0])
        else:
            call.put(f"--{side}-dist", f"normal:mean={given[0]},std={given[1]},min=1")
    call.default("--max-concurrency", "10", unless=("--num-concurrent-requests",))
    call.default("--num-prompts", "10", unless=("--max-num-completed-requests",))
    call.default("--no-ignore-eos")
    call.default("--warmup", "0")
    labels = call.taken("--metadata")
    if labels:
        call.put("--label", *labels.split(","))
    call.differs("its --timeout is for the whole test: give --duration TIME for that", "--timeout")
    call.drop("see above", "--timeout")
    call.differs(
        "its inter-token latency holds the first token, and chunks count as tokens; inferometer metrics explain itl"
    )
    made_by_us(call, _PEER)


TOOL = Tool(
    "token_benchmark_ray.py (LLMPerf)",
    ("token_benchmark_ray.py",),
    _NAMES,
    _OWN,
    _settle,
    "LLMPerf of 2024-12",
    short=False,
)

"""``python -m sglang.bench_serving``, now ``sglang.benchmark.serving``."""

from __future__ import annotations

from inferometer.exchange.compat.aliases import Fixed, Needless, Refused, Rename
from inferometer.exchange.compat.tool import HANDLED, Call, Tool, rows, words
from inferometer.exchange.compat.tools.habits import (
    SHAREGPT,
    adapters,
    headers,
    made_by_us,
    server,
    unlimited,
)
from inferometer.exchange.compat.translate import Group

_PEER = "SGLang"
NAMES = words(
    """
    --backend --base-url --host --port --dataset-name --dataset-path --model --served-model-name
    --tokenizer --num-prompts --sharegpt-output-len --random-input-len --random-output-len
    --random-range-ratio --request-rate --max-concurrency --output-file --output-details --disable-tqdm
    --disable-stream --seed --disable-ignore-eos --extra-request-body --profile --flush-cache
    --warmup-requests --gsp-num-groups --gsp-prompts-per-group --gsp-system-prompt-len
    --gsp-question-len --gsp-output-len --image-count --image-resolution --image-format --image-content
    --goodput --burstiness
    """
)
OWN = rows(
    ("--header --lora-name", HANDLED),
    ("--sharegpt-context-len", Rename("--sharegpt-max-total", _PEER)),
    ("--tag", Rename("--label", _PEER)),
    ("--tokenize-prompt", Fixed(("--text", "token-ids"), _PEER)),
    ("--apply-chat-template", Refused("the server applies it", "use --backend openai-chat", _PEER)),
    ("--prompt-suffix", Refused("prompts are sent as they are", "put it into the file", _PEER)),
    (
        "--return-logprob --return-routed-experts",
        Refused("answers are text", "ask for it with --extra-body", _PEER),
    ),
    ("--pd-separated --plot-throughput", Needless("nothing depends on it", _PEER)),
    ("--cache-report", Needless("cached tokens are reported where the server tells them", _PEER)),
    (
        "--profile-activities --profile-num-steps --profile-by-stage --profile-output-dir --profile-prefix "
        "--profile-prefill-url --profile-decode-url",
        Refused("no profiler is started", "leave it out", _PEER),
    ),
    ("--ready-check-timeout-sec", Needless("a server is asked before a run; --launch waits for one", _PEER)),
    ("--use-trace-timestamps", Needless("a trace is replayed by its times", _PEER)),
    (
        "--mooncake-slowdown-factor",
        Refused("speed is the other way round", "--trace-speed 0.5 is half as fast", _PEER),
    ),
    ("--mooncake-num-rounds", Rename("--trace-loop", _PEER)),
    (
        "--mooncake-workload",
        Refused("no trace is fetched by its name", "--dataset mooncake --dataset-path FILE", _PEER),
    ),
    (
        "--lora-request-distribution --lora-zipf-alpha",
        Refused("weights are given", "--model-mix a=3 b=1", _PEER),
    ),
)
_PORTS = {"sglang": 30000, "lmdeploy": 23333, "vllm": 8000, "trt": 8000, "gserver": 9988, "truss": 8080}
_DRAWN = ("random", "random-ids", "image")
_GROUPS = {
    "--gsp-num-groups": "64",
    "--gsp-prompts-per-group": "16",
    "--gsp-system-prompt-len": "2048",
    "--gsp-question-len": "128",
    "--gsp-output-len": "256",
}


def _settle(call: Call) -> None:
    backend = call.value("--backend") or "sglang"
    call.default("--backend", "sglang")
    server(call, _PORTS.get(backend.partition("-")[0], 30000))
    headers(call, "--header")
    adapters(call, "--lora-name")
    dataset = call.value("--dataset-name") or "sharegpt"
    data(call, dataset)
    if dataset == "sharegpt":
        for limit, value in (("min-input", "2"), ("min-output", "2"), ("max-input", "0")):
            call.default(f"--sharegpt-{limit}", value)
        call.default("--sharegpt-max-total", "0", unless=("--sharegpt-context-len",))
    unlimited(call)
    call.default("--num-prompts", "1000", unless=("--gsp-prompts-per-group",))
    call.default("--seed", "1")
    call.default("--warmup", "1", unless=("--warmup-requests",))
    call.default("--temperature", "0")
    call.default("--ignore-eos", unless=("--disable-ignore-eos",))
    call.differs("it opens a new connection for each request, and TTFT holds that; here connections are kept")


def data(call: Call, dataset: str) -> None:
    """The data set and its lengths, as SGLang and LMDeploy have them when nothing is said."""
    if dataset not in _DRAWN:
        call.drop(
            f"it is obeyed for random data only, and this is {dataset}",
            *(
                "--random-input-len",
                "--random-output-len",
                "--random-range-ratio",
            ),
        )
    if dataset != "sharegpt":
        call.drop(
            f"it is obeyed for ShareGPT only, and this is {dataset}",
            "--sharegpt-output-len",
            "--sharegpt-context-len",
        )
    if dataset != "generated-shared-prefix":
        call.drop(f"it is obeyed for shared prefixes only, and this is {dataset}", *_GROUPS)
    if dataset == "generated-shared-prefix":
        _shared_prefixes(call)
    elif dataset in _DRAWN:
        drawn(call, tokens=dataset == "random-ids")
    elif dataset == "sharegpt":
        _sharegpt(call)
    elif dataset in ("mmmu", "longbench_v2"):
        call.refuse(
            "--dataset-name", f"data set {dataset} is fetched from a hub", "write its prompts to a file"
        )
        call.put("--dataset", "custom")
        call.take("--dataset-path")
        call.missing("--dataset-path", "PROMPTS", "a file of prompts")


def drawn(call: Call, *, tokens: bool = False) -> None:
    """Random lengths: uniform from ratio x length to the length, and the ratio is 0 when nothing is said."""
    if tokens:
        call.take("--dataset-name")
        call.put("--dataset", "random")
        call.put("--text", "token-ids")
    else:
        call.default("--dataset", "random", unless=("--dataset-name",))
    call.default("--input-len", "1024", unless=("--random-input-len",))
    call.default("--output-len", "1024", unless=("--random-output-len",))
    ratio = call.taken("--random-range-ratio")
    if ratio is None:
        call.default("--range-ratio", "0")
    else:
        call.put("--range-ratio", ratio)
    call.put("--range-ratio-as", "sglang")
    if ratio in (None, "0", "0.0"):
        call.differs(
            "with it lengths are uniform from 1 to what is named; --range-ratio 1 makes them exact",
            "--range-ratio 0",
        )
    if "--dataset-path" in call:
        call.drop("random text is made here, of words; the file gives only text there", "--dataset-path")
    made_by_us(call, "it")


def _sharegpt(call: Call) -> None:
    call.default("--dataset", "sharegpt", unless=("--dataset-name",))
    if call.value("--dataset-path") in (None, ""):
        call.take("--dataset-path")
        call.missing("--dataset-path", "SHAREGPT", SHAREGPT)


def _shared_prefixes(call: Call) -> None:
    for name, value in _GROUPS.items():
        if name not in call:
            call.theirs.append(Group(name, [value]))
            call.differs(f"its default is {value}", name)
    call.drop("groups and prompts per group say it", "--num-prompts")
    call.drop("prompts are made", "--dataset-path")


TOOL = Tool(
    "sglang.bench_serving",
    ("sglang.bench_serving", "sglang.benchmark.serving", "bench_serving.py", "bench_serving"),
    NAMES,
    OWN,
    _settle,
    "SGLang 0.5, bench_serving.py",
    view="sglang",
)

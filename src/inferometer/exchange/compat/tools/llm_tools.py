"""The scripts of the Ascend guide's ``llm_tools/benchmark_tools``."""

from __future__ import annotations

from inferometer.exchange.compat.aliases import Needless, Refused, Rename
from inferometer.exchange.compat.tool import HANDLED, Call, Kind, Tool, rows
from inferometer.exchange.compat.tools.habits import made_by_us

_PEER = "llm_tools"
_SERVER = frozenset({"--host", "--port", "--url", "--app-code", "--tokenizer", "--served-model-name"})
_SAMPLING = frozenset({"--temperature", "--top-k", "--top-p", "--seed"})
_STEPS = "--num-scheduler-steps"
_STORED = Needless("every run is stored; --table guide prints the columns, --csv FILE writes them", _PEER)
_BACKENDS = {"openai": "openai-completions", "vllm": "vllm-generate", "trt": "trtllm"}
_BACKEND = Rename("--backend", _PEER, _BACKENDS)
_PROFILER = Refused("no profiler is started", "leave it out", _PEER)
_ALL = rows(
    ("--backend", _BACKEND),
    ("--benchmark-csv", _STORED),
    ("--trust-remote-code", Needless("no remote code is ever run", _PEER)),
    ("--profile --service-profile-level --server-statistics", _PROFILER),
    ("--best-of --use-beam-search", Refused("one answer per request is measured", "leave it out", _PEER)),
)
_PARALLEL = _ALL | rows(
    ("--parallel-num", Rename("--max-concurrency", _PEER)),
    ("--prompt-tokens", Rename("--input-len", _PEER)),
    ("--output-tokens", Rename("--output-len", _PEER)),
    ("--num-prompts", HANDLED),
    ("--enable-prefix-caching", Needless("hits of the server's prefix cache are told", _PEER)),
    ("--prefix-caching-num", Rename("--prefix-len", _PEER)),
    (
        "--use-spec-decode --use-mtp-accept-rate --use-pd-separate",
        Needless("acceptance and the second token's gap are reported", _PEER),
    ),
    ("--num-speculative-tokens", Rename("--num-speculative-tokens", _PEER)),
    ("--request-rate", Needless("the waves of a concurrency have no rate", _PEER)),
    (
        "--dataset-type --dataset-path --use-real-dataset-output-tokens",
        Refused("this form takes random text", "--dataset NAME --dataset-path FILE", _PEER),
    ),
)
_MODAL = _PARALLEL | rows(
    ("--height", Rename("--image-height", _PEER)),
    ("--width", Rename("--image-width", _PEER)),
)
_SERVING = _ALL | rows(
    ("--dataset --dataset-type --max-tokens --max-prompt-tokens --is-evenly-rate", HANDLED),
    ("--request-time", Needless("a load point ends by its requests", _PEER)),
    ("--max-requests", Needless("requests in flight are not limited", _PEER)),
    (
        "--concurrent-num",
        Refused("the rate counts bursts there, and requests here", "--burst B, with B times the rate", _PEER),
    ),
)
_SPECULATIVE = _ALL | rows(
    ("--dataset", Rename("--dataset-path", _PEER)),
    ("--output-len", Rename("--output-len", _PEER)),
    ("--num-speculative-tokens", Rename("--num-speculative-tokens", _PEER)),
)
_LIMITS = ("min", "max", "avg", "std")


def _settle_parallel(call: Call) -> None:
    _common(call)
    call.put("--waves")
    call.put("--pair", "matrix")
    counts = call.take("--num-prompts")
    if counts is None:
        call.default("--epochs", "5")
    else:
        call.put("--num-prompts", *counts)
        call.drop("--num-prompts says how many there are", "--epochs")
    call.default("--max-concurrency", "1", unless=("--parallel-num",))
    call.default("--pause", "10")
    call.default("--ignore-eos")
    call.differs(
        "each epoch waits for its slowest request, as there; --no-waves keeps the concurrency full", "--waves"
    )


def _settle_modal(call: Call) -> None:
    call.default("--backend", "openai-chat")
    call.put("--image-count", "1")
    call.put("--image-content", "noise")
    _settle_parallel(call)


def _common(call: Call) -> None:
    if "--url" in call:
        call.drop("the URL names the server", "--host", "--port")
    elif "--host" not in call or "--port" not in call:
        host, port = call.taken("--host"), call.taken("--port")
        call.put("--url", f"http://{host or '${HOST}'}:{port or '${PORT}'}")
        call.say(
            Kind.MISSING,
            "--url",
            "set HOST and PORT, or write the server's address, as http://127.0.0.1:8080",
        )
    name = call.taken("--served-model-name") or call.value("--tokenizer")
    if name:
        call.put("--model", name)
        call.differs(
            "the name that requests give is the tokenizer's path there, unless --served-model-name is given",
            "--model",
        )
    call.default("--backend", "openai-chat")
    call.default("--warmup", "4")


def _settle_serving(call: Call) -> None:
    _common(call)
    call.put("--warmup", "256")
    kind, path = call.taken("--dataset-type") or "custom", call.taken("--dataset")
    longest, total = call.taken("--max-prompt-tokens") or "900", call.taken("--max-tokens") or "1024"
    call.put("--dataset", kind)
    if path:
        call.put("--dataset-path", path)
    else:
        call.missing("--dataset-path", "DATASET", f"the file of {kind}")
    if kind == "sharegpt":
        call.put("--sharegpt-max-input", longest)
        call.put("--sharegpt-max-total", total)
    else:
        call.put("--max-prompt-tokens", longest)
        call.put("--max-model-len", total)
        call.put("--on-bad-row", "skip")
    if kind == "custom":
        call.put("--column", "prompt=input", "output=output")
    if call.take("--is-evenly-rate") is not None:
        call.put("--burstiness", "inf")
    call.put("--ignore-eos")
    call.put("--oversample")
    call.default("--pause", "60")
    call.differs(
        "prompt + answer above --max-tokens: the row is left out; the script shortens the answer",
        "--max-tokens",
    )


def _settle_speculative(call: Call) -> None:
    _common(call)
    call.put("--dataset", "humaneval")
    call.put("--max-concurrency", "1")
    call.default("--num-prompts", "80")
    call.default("--output-len", "1024")
    call.put("--table", "guide")
    if "--num-speculative-tokens" not in call:
        call.differs(
            "acceptance comes from the engine's counters; --num-speculative-tokens N where it has none"
        )


def _settle_dataset(call: Call) -> None:
    for group in list(call.theirs):
        if group.name in DATASET.shared:
            call.take(group.name)
            call.put(group.name, *group.values)
    made_by_us(call, "it") if not any(group.name == "--tokenizer" for group in call.ours) else None


_OUTPUT = "Ascend guide, AscendCloud 6.3.909, llm_tools"
_STATIC_SIGNS = frozenset({"--parallel-num", "--prompt-tokens"})
PARALLEL = Tool(
    "benchmark_parallel.py (Ascend guide)",
    ("benchmark_parallel.py",),
    _SERVER | _SAMPLING | {"--epochs", _STEPS},
    _PARALLEL,
    _settle_parallel,
    _OUTPUT,
    signs=_STATIC_SIGNS,
)
MODAL = Tool(
    "modal_benchmark_parallel.py (Ascend guide)",
    ("modal_benchmark_parallel.py",),
    _SERVER | _SAMPLING | {"--epochs", _STEPS},
    _MODAL,
    _settle_modal,
    _OUTPUT,
)
SERVING = Tool(
    "benchmark_serving.py (Ascend guide)",
    ("benchmark_serving.py",),
    _SERVER | _SAMPLING | {"--request-rate", "--num-prompts", _STEPS},
    _SERVING,
    _settle_serving,
    _OUTPUT,
    signs=frozenset(
        {"--benchmark-csv", "--dataset-type", "--max-prompt-tokens", "--app-code", "--max-tokens"}
    ),
)
SPECULATIVE = Tool(
    "speculative_benchmark_parallel.py (Ascend guide)",
    ("speculative_benchmark_parallel.py",),
    _SERVER | _SAMPLING | {"--num-prompts", _STEPS},
    _SPECULATIVE,
    _settle_speculative,
    _OUTPUT,
)
DATASET = Tool(
    "generate_dataset.py (Ascend guide)",
    ("generate_dataset.py", "generate_datasets.py"),
    frozenset({"--dataset", "--tokenizer", "--num-requests", "--seed", "--dataset-type", "--input-length"})
    | {f"--{limit}-{side}" for limit in _LIMITS for side in ("input", "output")},
    {},
    _settle_dataset,
    _OUTPUT,
    verb="data make",
)

"""``vllm bench latency``: one batch after the other, which is what ``speed`` measures."""

from __future__ import annotations

from inferometer.exchange.compat.aliases import Needless, Refused, Rename
from inferometer.exchange.compat.tool import HANDLED, Call, Tool, rows

_PEER = "vLLM"
_OWN = rows(
    ("--model", HANDLED),
    ("--input-len", Rename("--input-len", _PEER)),
    ("--output-len", Rename("--generate-len", _PEER)),
    ("--batch-size", Rename("--batch-size", _PEER)),
    ("--num-iters", Rename("--repeats", _PEER)),
    ("--num-iters-warmup", Rename("--warmup", _PEER)),
    ("--dtype", Rename("--dtype", _PEER)),
    ("--max-model-len", Rename("--max-model-len", _PEER)),
    ("--gpu-memory-utilization", Rename("--gpu-memory-utilization", _PEER)),
    ("--enforce-eager", Rename("--enforce-eager", _PEER)),
    ("--trust-remote-code", Rename("--trust-remote-code", _PEER)),
    ("--output-json", Needless("speed.json is in the run folder", _PEER)),
    ("--disable-detokenize", Needless("the time of a generation ends with its last token", _PEER)),
    ("--profile", Refused("no profiler is started", "leave it out", _PEER)),
    (
        "--tensor-parallel-size -tp",
        Refused("speed runs on one device", "serve the model: speed --launch", _PEER),
    ),
    ("--n --use-beam-search", Refused("one answer per prompt is generated", "leave it out", _PEER)),
)


def _settle(call: Call) -> None:
    model = call.taken("--model")
    if model is None:
        call.put("--model", "facebook/opt-125m")
        call.differs("its default is facebook/opt-125m", "--model")
    else:
        call.put("--model", model)
    call.put("--engine", "vllm")
    call.default("--input-len", "32")
    call.default("--generate-len", "128", unless=("--output-len",))
    call.default("--batch-size", "8")
    call.default("--repeats", "30", unless=("--num-iters",))
    call.default("--warmup", "10", unless=("--num-iters-warmup",))


TOOL = Tool(
    "vllm bench latency",
    ("vllm bench latency", "benchmark_latency.py"),
    frozenset(),
    _OWN,
    _settle,
    "vLLM 0.32, vllm/benchmarks/latency.py",
    verb="speed",
)

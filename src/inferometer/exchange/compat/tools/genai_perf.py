"""``genai-perf profile``, which AIPerf came after."""

from __future__ import annotations

from inferometer.exchange.compat.aliases import Needless, Refused
from inferometer.exchange.compat.tool import HANDLED, Call, Tool, rows
from inferometer.exchange.compat.tools import aiperf

_PEER = "genai-perf"
_OWN = {
    **aiperf.OWN,
    **rows(
        ("--service-kind --backend", HANDLED),
        (
            "--measurement-interval -p --stability-percentage -s",
            Refused(
                "a load point ends by its requests or its time", "--num-prompts N or --duration TIME", _PEER
            ),
        ),
        (
            "--generate-plots --checkpoint-dir --bls-composing-models --goodput-constraints",
            Needless("every run is stored, with its report", _PEER),
        ),
        ("--output-tokens-mean-deterministic", Needless("--ignore-eos makes lengths exact", _PEER)),
        (
            "--server-metrics-url --server-metrics-urls",
            Needless("/metrics of the server is read; --metrics-url", _PEER),
        ),
    ),
}


def _settle(call: Call) -> None:
    kind, backend = call.taken("--service-kind"), call.taken("--backend")
    if kind not in (None, "openai", "triton"):
        call.refuse(
            "--service-kind",
            f"{kind} is not a service that is measured here",
            "serve the model with an API of OpenAI's",
        )
    if kind == "triton":
        call.put("--backend", "trtllm" if backend == "tensorrtllm" else "triton")
    words = call.take("")
    if words:
        call.refuse("", f"what is passed on to perf_analyzer ({' '.join(words)})", "leave it out")
    aiperf.settle(call)


TOOL = Tool(
    "genai-perf profile",
    ("genai-perf profile", "genai-perf"),
    aiperf.TOOL.shared,
    _OWN,
    _settle,
    "genai-perf 0.0.16",
    view="aiperf",
    short=False,
)

"""What ``inferometer search`` looks for, and how much it may spend on it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from inferometer.spec.fields import option
from inferometer.spec.kinds import Part, PositiveInt, PositiveNumber, Seconds, Texts


def _as_share(value: Any) -> Any:
    """``0.03`` or ``3%``."""
    if not isinstance(value, str):
        return value
    number, percent, _ = value.strip().partition("%")
    try:
        return float(number) / (100.0 if percent else 1.0)
    except ValueError:
        raise ValueError("a share is written 0.03 or 3%") from None


_OPEN_SHARE = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
AboveZeroShare = Annotated[
    float,
    Field(gt=0, lt=1),
    BeforeValidator(_as_share),
    WithJsonSchema({"anyOf": [_OPEN_SHARE, {"type": "string"}]}),
]


Variable = Literal["request-rate", "max-concurrency", "session-rate"]


class Search(Part):
    """A search for the largest load that a service carries; the lists of ``Load`` are not its load points."""

    target: Literal["slo", "peak-throughput", "knee", "max-batch"] | None = option(
        None,
        "what to look for: the largest load within --slo (default), the peak of throughput, its knee, or the largest "
        "static batch",
    )
    variable: Variable | None = option(
        None,
        "the load that is varied; all others stay as they are (default: request-rate, session-rate where requests are "
        "sessions; for the peak and the knee max-concurrency)",
        flag="--search",
    )
    lowest: PositiveNumber | None = option(
        None,
        "the smallest load to try (default: 1 in flight, or a rate at which hardly a request meets another)",
        flag="--min",
        metavar="X",
    )
    highest: PositiveNumber | None = option(None, "the largest load to try", flag="--max", metavar="X")
    budget_s: Seconds | None = option(
        None, "time that the load points may take together (30m)", flag="--budget", metavar="TIME"
    )
    precision: AboveZeroShare = option(
        0.03,
        "slo: half of the 95 % interval at which the search ends, as a part of the load (3%)",
        metavar="SHARE",
    )
    max_probes: PositiveInt = option(
        12,
        "load points that the search may measure (max-batch: twice as many for each pair of lengths)",
        metavar="N",
    )
    objective: Literal["output-throughput", "total-throughput", "request-throughput"] = option(
        "output-throughput", "peak-throughput and knee: what is to be large"
    )
    tolerance: AboveZeroShare = option(
        0.01,
        "peak-throughput: share of the peak that counts as none; the smallest load within it is the answer",
        metavar="SHARE",
    )
    knee_latency: Literal["e2el", "ttft", "tpot"] = option(
        "e2el", "knee: latency whose mean is weighed against throughput"
    )
    tpot_limit_s: Seconds | None = option(
        None, "max-batch: longest time per non-first token (50ms)", flag="--tpot-limit", metavar="TIME"
    )
    tpot_statistic: Literal["mean-tpot", "p90-tpot", "median-itl"] = option(
        "mean-tpot",
        "max-batch: what the limit is on; median-itl leaves out what prefill adds, as performance_maxbs does",
    )
    batch_range: Texts = option(
        ("1-1024",),
        "max-batch: batch sizes to look at, one range, or one per pair of lengths (1-1000 200-300)",
        metavar="LB-RB",
    )

    @property
    def varied(self) -> Variable:
        """The load that is varied: what was asked for, else what is natural for the target."""
        if self.variable is not None:
            return self.variable
        return "request-rate" if self.target in (None, "slo") else "max-concurrency"

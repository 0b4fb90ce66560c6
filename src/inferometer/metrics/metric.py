"""What a metric is: one named formula, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from inferometer.metrics.latency import Floats, PointData

Scope = Literal["request", "chunk", "point"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One named formula over the records of a load point.

    Attributes:
        name: key in files and SLOs.
        label: what a table prints.
        unit: unit of the values; ``key`` carries it.
        formula: n = output tokens, t0 = origin (planned or sent).
        source: the recorded fields that the formula reads.
        notes: what to know when comparing with other tools.
        scope: whether ``compute`` gives a value per request, per chunk, or one for the load point.
        compute: the values; for a point metric one number, None when it does not exist.
    """

    name: str
    label: str
    unit: str
    formula: str
    source: str
    notes: str
    scope: Scope
    compute: Callable[[PointData], Floats | float | None]

    @property
    def key(self) -> str:
        """The name with its unit, as summaries write it: ``ttft_ms``, ``output_throughput_per_s``."""
        suffix = {"ms": "_ms", "tok/s": "_per_s", "req/s": "_per_s"}.get(self.unit, "")
        return self.name + suffix

"""Statistics of a sample: percentiles by linear interpolation, shown only when the sample can carry them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray


class Stat(msgspec.Struct, frozen=True, kw_only=True):
    """A sample in numbers, in the unit of its metric.

    Attributes:
        count: values in the sample, at least 1; 0 where another tool stated statistics without it.
        std: population standard deviation. It, mean, min and max are NaN where another tool did not state them, which
            is never so in a run of ours.
        percentiles: by name ("p99"); None where the sample is too small.
        needs: for each percentile that is None, how many values it takes.
    """

    count: int
    mean: float
    std: float
    min: float
    max: float
    percentiles: dict[str, float | None]
    needs: dict[str, int] = {}


def percentile_name(p: float) -> str:
    """``p99``, ``p99.9``."""
    return f"p{p:g}"


def samples_needed(p: float) -> int:
    """How many values percentile ``p`` (0 < p < 100) takes: ten beyond it, 10 / (1 - p/100)."""
    # 100 - 99.9 is not quite 0.1: without the slack p99.9 would ask for 10,001.
    return math.ceil(1000.0 / (100.0 - p) * (1.0 - 1e-9))


def highest_percentile(count: int) -> int:
    """The highest whole percentile, from the median to p99, that ``count`` values can carry."""
    return max(50, min(99, math.floor(100.0 - 1000.0 / count))) if count else 99


def percentile(values: NDArray[np.float64], p: float) -> float | None:
    """Percentile ``p`` of the values that are not NaN, or None when there are too few of them."""
    present = values[~np.isnan(values)]
    return float(np.percentile(present, p)) if len(present) >= samples_needed(p) else None


def stat(values: NDArray[np.float64], percentiles: Sequence[float]) -> Stat | None:
    """Statistics of the values that are not NaN; None when there are none."""
    present = values[~np.isnan(values)]
    if not len(present):
        return None
    shown = [p for p in percentiles if len(present) >= samples_needed(p)]
    found = dict(zip(shown, np.percentile(present, shown).tolist(), strict=True)) if shown else {}
    return Stat(
        count=len(present),
        mean=float(present.mean()),
        std=float(present.std()),
        min=float(present.min()),
        max=float(present.max()),
        percentiles={percentile_name(p): found.get(p) for p in percentiles},
        needs={percentile_name(p): samples_needed(p) for p in percentiles if p not in found},
    )

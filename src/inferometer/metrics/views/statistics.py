"""Statistics as other tools make them: of samples of any size, with no care for how much a percentile can carry.

Where a tool writes 0 for a statistic of nothing, these return None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from inferometer.metrics.latency import Floats


def present(values: Floats) -> Floats:
    """The values that exist."""
    return values[~np.isnan(values)]


def mean(values: Floats) -> float | None:
    """Arithmetic mean of the values that exist."""
    found = present(values)
    return float(found.mean()) if len(found) else None


def linear(values: Floats, p: float) -> float | None:
    """Percentile ``p`` by linear interpolation, numpy's default."""
    found = present(values)
    return float(np.percentile(found, p)) if len(found) else None


def nearest_ranks(values: Floats, percentiles: Sequence[float]) -> list[float | None]:
    """Percentiles as values of the sample: each that of rank ceil(n p / 100); 0 is the least, 100 the greatest."""
    found = np.sort(present(values))
    if not len(found):
        return [None] * len(percentiles)
    ranks = [min(max(1, math.ceil(len(found) * p / 100)), len(found)) for p in percentiles]
    return [float(found[rank - 1]) for rank in ranks]


def vllm_statistics(name: str, values: Floats, percentiles: Sequence[float]) -> dict[str, float | None]:
    """``mean_NAME_ms``, ``median_``, ``std_`` (population) and ``pNN_``, as vLLM, SGLang and LMDeploy write them."""
    found = present(values)
    return {
        f"mean_{name}_ms": mean(found),
        f"median_{name}_ms": linear(found, 50),
        f"std_{name}_ms": float(found.std()) if len(found) else None,
        **{f"p{p:g}_{name}_ms": linear(found, p) for p in percentiles},
    }


def rounded(value: float | None, decimals: int) -> float | None:
    """``round`` that lets None through."""
    return None if value is None else round(value, decimals)


def scaled(value: float | None, factor: float) -> float | None:
    """``value * factor``, None stays None."""
    return None if value is None else value * factor


def whole(value: float | None) -> int | None:
    """A count as an integer."""
    return None if value is None else int(value)


def quotients(parts: Floats, wholes: Floats) -> Floats:
    """``parts / wholes``, element by element; NaN where one is unknown or the divisor is not positive."""
    result = np.full(len(wholes), np.nan)
    np.divide(parts, wholes, out=result, where=wholes > 0)
    return result


def ratio(part: float | None, whole_: float | None) -> float | None:
    """``part / whole_``; None when one is unknown or the divisor is not positive."""
    return None if part is None or whole_ is None or whole_ <= 0 else part / whole_

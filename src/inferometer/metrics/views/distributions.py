"""Distributions as GuideLLM makes them: weighted values, percentiles by the inverse of the cumulated weights.

Rates and concurrency are distributions over time: each level weighs as long as it lasted.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from inferometer.metrics.latency import Floats

_PERCENTILES = {
    "p001": 0.001,
    "p01": 0.01,
    "p05": 0.05,
    "p10": 0.1,
    "p25": 0.25,
    "p50": 0.5,
    "p75": 0.75,
    "p90": 0.9,
    "p95": 0.95,
    "p99": 0.99,
    "p999": 0.999,
}
_MERGED_S = 1e-4  # events closer than this to the first of a group are one event
_SHORTEST_S = 1e-6
_NOTHING: dict[str, Any] = {
    "mean": None, "median": None, "mode": None, "variance": None, "std_dev": None, "min": None, "max": None,
    "count": 0, "total_sum": None, "percentiles": dict.fromkeys(_PERCENTILES), "pdf": None, "mean_ci": None,
    "percentile_cis": None,
}  # fmt: skip


def distribution(values: Floats, weights: Floats | None = None, count: int | None = None) -> dict[str, Any]:
    """A summary of weighted values; where GuideLLM writes 0 for a statistic of nothing, None.

    Args:
        values: no NaN among them.
        weights: 1 each when left out; a value without weight does not count.
        count: observations, when the sum of the weights is not their number.
    """
    if not len(values):
        return _NOTHING | {"count": count or 0}
    weights = np.ones(len(values)) if weights is None else weights
    count = round(float(weights.sum())) if count is None else count
    levels, place = np.unique(values, return_inverse=True)
    mass = np.bincount(place.ravel(), weights=weights)
    levels, mass = levels[mass > 0], mass[mass > 0]
    if not len(levels):
        return _NOTHING | {"count": count}
    share = mass / mass.sum()
    mean = float((levels * share).sum())
    variance = float(((levels - mean) ** 2 * share).sum())
    ranks = np.searchsorted(np.cumsum(share), list(_PERCENTILES.values()), side="left")
    found = levels[np.minimum(ranks, len(levels) - 1)].tolist()
    percentiles = dict(zip(_PERCENTILES, found, strict=True))
    return _NOTHING | {
        "mean": mean,
        "median": percentiles["p50"],
        "mode": float(levels[np.argmax(share)]),
        "variance": variance,
        "std_dev": math.sqrt(variance),
        "min": float(levels[0]),
        "max": float(levels[-1]),
        "count": count,
        "total_sum": mean * count,
        "percentiles": percentiles,
    }


def rate(times_s: Floats, amounts: Floats, start_s: float, end_s: float) -> dict[str, Any]:
    """The distribution over time of how much of ``amounts`` happened per second between start and end.

    Each event owns the time to the middle between it and its neighbours; start and end are events of nothing.
    """
    inside = (times_s >= start_s) & (times_s <= end_s)
    times = np.concatenate(([start_s], times_s[inside], [end_s]))
    times, amounts = _merged(times, np.concatenate(([0.0], amounts[inside], [0.0])))
    if len(times) < 2:
        return distribution(np.zeros(0), count=len(times))
    middles = (times[1:] + times[:-1]) / 2
    spans = np.diff(np.concatenate(([times[0]], middles, [times[-1]])))
    spans[-1] = max(spans[-1], _SHORTEST_S)
    return distribution(amounts / spans, spans, count=round(float(amounts.sum())))


def concurrency(starts_s: Floats, ends_s: Floats, start_s: float, end_s: float) -> dict[str, Any]:
    """The distribution over time of how many spans cover a moment between start and end."""
    times = np.concatenate((starts_s, ends_s))
    changes = np.concatenate((np.ones(len(starts_s)), -np.ones(len(ends_s))))
    times, changes = _merged(times, changes)
    before = times < start_s
    levels = np.concatenate(([start_s], times[~before]))
    steps = np.concatenate(([changes[before].sum()], changes[~before]))
    kept = levels <= end_s
    levels, steps = np.append(levels[kept], end_s), np.append(steps[kept], 0.0)
    under_way = np.clip(np.cumsum(steps), 0, None)
    spans = np.diff(levels)
    if not (spans > 0).any():
        return distribution(np.zeros(0), count=len(starts_s))
    return distribution(under_way[:-1], spans, count=len(starts_s))


def _merged(times: Floats, amounts: Floats) -> tuple[Floats, Floats]:
    """Events in order of time; those within 0.1 ms of the first of a group are one, at the time of that first."""
    moments, place = np.unique(times, return_inverse=True)
    sums = np.bincount(place.ravel(), weights=amounts, minlength=len(moments)).astype(np.float64)
    if len(moments) < 2 or float(np.diff(moments).min()) > _MERGED_S:
        return moments, sums
    firsts, first = [0], moments[0]
    for position, moment in enumerate(moments.tolist()):
        if moment > first + _MERGED_S:
            firsts.append(position)
            first = moment
    return moments[firsts], np.add.reduceat(sums, firsts)

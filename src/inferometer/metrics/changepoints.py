"""Where a series in time order changes its level, and whether it drifts, when its values are correlated."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from inferometer.metrics.bootstrap import block_length, long_run_variance, t_quantile
from inferometer.metrics.latency import Floats

_PENALTY = 4.0
_ROUNDS = 4


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """A straight line through a series.

    Attributes:
        change: from its beginning to its end, as share of the mean; 0.03 = rose by 3 %.
        low: lower end of the interval of ``change``.
        high: upper end of it.
        confidence: of the interval, 0 to 1.
    """

    change: float
    low: float
    high: float
    confidence: float

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0.0 or self.high < 0.0


def level_changes(values: Floats, shortest: int, block: int = 1) -> list[int]:
    """Positions at which a new level begins, in order; empty when the series keeps its level.

    Optimal partitioning into segments of constant mean (Jackson et al. 2005), each new level at the price of
    4 ln(n) in units of the long-run variance: what correlated values, or a period shorter than ``shortest``, do by
    themselves is no change. Changes make that variance look larger than it is: the first guess is therefore taken from
    neighbouring parts alone, and then from what the segments leave, until they stay the same.

    Args:
        values: in time order, without NaN.
        shortest: fewest values of a segment, at least 1.
        block: over how many values the series is known to be correlated.
    """
    n, found = len(values), list[int]()
    if n < 2 * shortest:
        return found
    noise = _noise_of_neighbours(values, max(block, shortest // 4, 1))
    for _ in range(_ROUNDS):
        changes = _partition(values, shortest, _PENALTY * math.log(n) * noise)
        if changes == found:
            return found
        found = changes
        noise = long_run_variance(values - _levels(values, found), block)
    return found


def trend(values: Floats, block: int = 1, confidence: float = 0.99) -> Trend | None:
    """The least-squares line, its standard error from the long-run variance of what it leaves.

    None with fewer than 8 values or a mean of 0. ``block``: over how many values the series is known to be correlated.
    """
    n, mean = len(values), float(values.mean()) if len(values) else 0.0
    if n < 8 or mean == 0.0:
        return None
    place = np.arange(n) - (n - 1) / 2.0
    scale = float(place @ place)
    slope = float(place @ values) / scale
    rest = values - mean - slope * place
    error = math.sqrt(long_run_variance(rest, block) / scale)
    freedom = max(n / max(block_length(rest), block) - 2.0, 1.0)
    half = t_quantile(0.5 + confidence / 2.0, freedom) * error * n / abs(mean)
    change = slope * n / mean
    return Trend(change=change, low=change - half, high=change + half, confidence=confidence)


def segments(n: int, changes: list[int]) -> list[tuple[int, int]]:
    """First position and the one after the last of each segment of ``n`` values."""
    return list(zip([0, *changes], [*changes, n], strict=True))


def _noise_of_neighbours(values: Floats, length: int) -> float:
    """Long-run variance from the differences of the means of neighbouring parts, of which a change spoils only one."""
    length = min(length, len(values) // 8) or 1
    means = values[: len(values) // length * length].reshape(-1, length).mean(axis=1)
    squares = np.diff(means) ** 2 / 2.0
    # The median of a chi-squared variable of one degree of freedom is 0.455 of its mean.
    return float(np.median(squares)) / 0.455 * length


def _levels(values: Floats, changes: list[int]) -> Floats:
    levels = np.empty(len(values))
    for start, end in segments(len(values), changes):
        levels[start:end] = values[start:end].mean()
    return levels


def _partition(values: Floats, shortest: int, price: float) -> list[int]:
    """Begins of the segments, but the first, with the least sum of squares + ``price`` a change."""
    n = len(values)
    sums = np.concatenate(([0.0], np.cumsum(values - values.mean())))
    squares = np.concatenate(([0.0], np.cumsum((values - values.mean()) ** 2)))
    best, before = np.full(n + 1, np.inf), np.zeros(n + 1, dtype=int)
    best[0] = -price
    for end in range(shortest, n + 1):
        starts = np.arange(0, end - shortest + 1)
        cost = squares[end] - squares[starts] - (sums[end] - sums[starts]) ** 2 / (end - starts)
        whole = best[starts] + cost + price
        before[end] = int(whole.argmin())
        best[end] = whole[before[end]]
    changes, end = [], n
    while before[end] > 0:
        end = int(before[end])
        changes.append(end)
    return changes[::-1]

"""Confidence intervals by block bootstrap, for one series in time order and for repeats of a measurement.

Values that follow one another in a run are alike: a slow second makes all requests in it slow. Drawing single values
would call such a series far more certain than it is; drawing whole blocks of it does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import msgspec
import numpy as np

from inferometer.metrics.latency import Floats

Statistic = Callable[[Floats], float]

_FEWEST_VALUES = 8
_FEWEST_BLOCKS = 3
_MOST_BLOCKS = 1000  # more say the same, and take longer to draw


class Interval(msgspec.Struct, frozen=True):
    """Where the true value lies with probability ``confidence`` (0 to 1), in the unit of the statistic."""

    low: float
    high: float
    confidence: float

    @property
    def half_width(self) -> float:
        """Half of the distance between the ends."""
        return (self.high - self.low) / 2.0


def block_interval(
    values: Floats,
    statistic: Statistic,
    *,
    seed: int,
    confidence: float = 0.95,
    resamples: int = 1000,
    block: int | None = None,
) -> Interval | None:
    """The interval of ``statistic`` over one series, by circular block bootstrap (Politis & Romano 1992).

    The ends are percentiles of the statistic over the resamples, expanded for the number of blocks as a t interval is
    for the number of values (Hesterberg 2015, "What Teachers Should Know About the Bootstrap", 4.3): with few blocks
    plain percentiles are too narrow. Time grows with ``resamples`` x values; of a mean, x blocks.

    Args:
        values: in time order; NaN = no value, left out.
        statistic: from an array of values to a number, such as ``np.mean``.
        seed: the same seed gives the same interval.
        confidence: 0 to 1.
        resamples: how often the series is drawn anew.
        block: values per block; chosen from the data when None.

    Returns:
        None where it cannot be known: fewer than 8 values, or too few blocks of the length that the data needs.
    """
    series = _present(values)
    if len(series) < _FEWEST_VALUES:
        return None
    length = max(block_length(series), len(series) // _MOST_BLOCKS) if block is None else max(block, 1)
    blocks = len(series) / length
    if blocks < _FEWEST_BLOCKS:
        return None
    rng = np.random.default_rng(seed)
    found = _statistics(series, statistic, length, resamples, rng)
    outside = NormalDist().cdf(
        -math.sqrt(blocks / (blocks - 1.0)) * t_quantile(0.5 + confidence / 2.0, blocks - 1.0)
    )
    low, high = np.quantile(found, (outside, 1.0 - outside))
    return Interval(float(low), float(high), confidence)


class Part(NamedTuple):
    """A statistic of one series.

    Attributes:
        value: of the statistic.
        variance: of its error, by what the series shows; 0 of a single value.
        freedom: degrees of freedom behind ``variance``.
    """

    value: float
    variance: float
    freedom: float


def statistic_of(values: Floats, percentile: float | None) -> float:
    """A percentile (0 to 100) of the values; None = their mean."""
    return float(values.mean() if percentile is None else np.percentile(values, percentile))


def part_of(values: Floats, percentile: float | None = None) -> Part:
    """The mean of a series in time order, or a percentile (0 to 100) of it, and the variance of its error.

    That variance is what the circular block bootstrap of the mean tends to with ever more resamples, which is known
    without drawing any: the variance of the means of all blocks, divided by how many make the series. The error of a
    percentile is that of the share of values below it, carried over to the values (Woodruff 1952).

    Args:
        values: at least one, without NaN.
        percentile: which; None = the mean.
    """
    found = statistic_of(values, percentile)
    if percentile is None:
        return Part(found, *_variance_of_mean(values))
    variance, freedom = _variance_of_mean((values <= found).astype(np.float64))
    share, error = percentile / 100.0, math.sqrt(variance)
    if error == 0.0:
        return Part(found, 0.0, freedom)
    around = max(share - error, 0.0), min(share + error, 1.0)
    below, above = np.quantile(values, around)
    return Part(found, (float(above - below) / (around[1] - around[0]) * error) ** 2, freedom)


def half_width(parts: Sequence[Part], confidence: float = 0.95) -> float:
    """Half of the interval of the mean of a statistic over repeats of a measurement.

    Two levels, of which the wider one counts: the t interval of the repeats' own values, which holds whatever repeats
    differ by, and is as wide as few repeats deserve; and that of the error inside them, which keeps it from being
    narrow where repeats agree by chance. Of one repeat the second alone is left: how another run would differ, it
    cannot know.

    Args:
        parts: one per repeat, at least one.
        confidence: 0 to 1.
    """
    repeats, quantile = len(parts), 0.5 + confidence / 2.0
    inside = (
        _error(sum(part.variance for part in parts), sum(part.freedom for part in parts), quantile) / repeats
    )
    if repeats < 2:
        return inside
    seen = float(np.var([part.value for part in parts], ddof=1)) / repeats
    return max(inside, _error(seen, repeats - 1.0, quantile))


def block_length(values: Floats) -> int:
    """Values per block that suit the circular block bootstrap, from the correlation of the series with itself.

    Politis & White (2004), "Automatic Block-Length Selection for the Dependent Bootstrap", with the correction of
    Patton, Politis & White (2009): b = (2 G^2 / D)^(1/3) n^(1/3) with D = 4/3 g(0)^2, at most min(3 sqrt(n), n / 3).
    """
    n = len(values)
    if n < _FEWEST_VALUES:
        return 1
    spectrum, slope = _spectrum(values)
    if not spectrum > 0.0:
        return 1
    length = (1.5 * (slope / spectrum) ** 2) ** (1.0 / 3.0) * n ** (1.0 / 3.0)
    return int(max(1, min(math.ceil(length), math.ceil(min(3.0 * math.sqrt(n), n / 3.0)))))


def long_run_variance(values: Floats, block: int = 1) -> float:
    """Variance of the mean of the series x its length: the variance of its values and all that their order adds.

    The larger of two estimates, as each misses what the other sees: the spectrum at frequency 0 with the flat-top
    window of Politis & White (2004), and overlapping batch means (Meketon & Schmeiser 1984) of ``block`` values.
    """
    n, plain = len(values), float(np.var(values))
    if n < _FEWEST_VALUES:
        return plain
    length = max(1, min(block, n // _FEWEST_BLOCKS))
    sums = np.concatenate(([0.0], np.cumsum(values)))
    batches = (sums[length:] - sums[:-length]) / length
    # A series that swings to and fro may come out at nothing, which no series is.
    return max(_spectrum(values)[0], float(np.var(batches)) * length * n / (n - length), plain / 20.0)


def t_quantile(p: float, freedom: float) -> float:
    """Quantile ``p`` (0.5 to 1) of Student's t with ``freedom`` > 0 degrees of freedom, to six digits.

    By bisection of its distribution function, which is integrated over the angle atan(t / sqrt(freedom)).
    """
    angles = np.linspace(0.0, math.pi / 2.0, 20_001)
    # With t = sqrt(freedom) tan(angle) the density becomes cos(angle)^(freedom - 1) times a constant.
    density = np.cos(angles) ** (freedom - 1.0) if freedom >= 1.0 else np.ones_like(angles)
    cumulated = np.concatenate(([0.0], np.cumsum((density[1:] + density[:-1]) / 2.0)))
    angle = float(np.interp((2.0 * p - 1.0) * cumulated[-1], cumulated, angles))
    return math.sqrt(max(freedom, 1.0)) * math.tan(angle)


def _present(values: Floats) -> Floats:
    series = np.asarray(values, dtype=np.float64)
    return series[~np.isnan(series)]


def _spectrum(values: Floats) -> tuple[float, float]:
    """g(0) and G of Politis & White (2004): what the correlation with itself sums to, plain and weighted by the lag."""
    n = len(values)
    centred = values - values.mean()
    variance = float(centred @ centred) / n
    if not variance > 0.0:
        return 0.0, 0.0
    run = max(5, math.ceil(math.sqrt(math.log10(n))))
    most = min(math.ceil(math.sqrt(n)) + run, n - 1)
    covariance = np.array([float(centred[lag:] @ centred[: n - lag]) / n for lag in range(most + 1)])
    last = min(2 * _last_correlated(covariance[1:] / variance, run, n), most)
    lags = np.arange(1, last + 1)
    weighted = np.clip(2.0 * (1.0 - lags / max(last, 1)), 0.0, 1.0) * covariance[1 : last + 1]
    return variance + 2.0 * float(weighted.sum()), 2.0 * float(lags @ weighted)


def _last_correlated(correlation: Floats, run: int, n: int) -> int:
    """The lag after which ``run`` lags in a row show no correlation; else the last lag that shows any."""
    strong = np.abs(correlation) >= 2.0 * math.sqrt(math.log10(n) / n)
    for lag in range(len(strong) - run + 1):
        if not strong[lag : lag + run].any():
            return lag
    found = np.flatnonzero(strong)
    return int(found[-1]) + 1 if len(found) else 0


def _statistics(
    series: Floats, statistic: Statistic, length: int, times: int, rng: np.random.Generator
) -> Floats:
    """The statistic of the series drawn anew, ``times`` times: blocks from anywhere on it, bent to a ring."""
    n, blocks = len(series), -(-len(series) // length)
    starts = rng.integers(n, size=(times, blocks), dtype=np.int32)
    if statistic is np.mean:
        last = n - (blocks - 1) * length
        whole = _block_sums(series, length)[starts[:, :-1]].sum(axis=1)
        return np.asarray((whole + _block_sums(series, last)[starts[:, -1]]) / n, dtype=np.float64)
    ring = np.concatenate((series, series[: length - 1]))
    drawn = np.lib.stride_tricks.sliding_window_view(ring, length)
    return np.array([statistic(drawn[row].reshape(-1)[:n]) for row in starts])


def _block_sums(series: Floats, length: int) -> Floats:
    """Sum of the ``length`` values from each place on, the series bent to a ring."""
    sums = np.concatenate(([0.0], np.cumsum(np.concatenate((series, series[: length - 1])))))
    return np.asarray(sums[length:] - sums[:-length], dtype=np.float64)


def _variance_of_mean(values: Floats) -> tuple[float, float]:
    """Variance of the error of the mean, by blocks that suit the series, and its degrees of freedom."""
    length = block_length(values)
    blocks = len(values) / length
    if blocks < 2.0:
        return 0.0, 0.0
    return float(np.var(_block_sums(values, length) / length)) / (blocks - 1.0), blocks - 1.0


def _error(variance: float, freedom: float, quantile: float) -> float:
    """T quantile x standard error."""
    return t_quantile(quantile, freedom) * math.sqrt(variance) if variance > 0.0 else 0.0

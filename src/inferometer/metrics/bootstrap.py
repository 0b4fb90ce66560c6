"""Confidence intervals by block bootstrap, for one series in time order and for repeats of a measurement.

Values that follow one another in a run are alike: a slow second makes all requests in it slow. Drawing single values
would call such a series far more certain than it is; drawing whole blocks of it does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import NormalDist

import msgspec
import numpy as np

from inferometer.metrics.latency import Floats

Statistic = Callable[[Floats], float]

_FEWEST_VALUES = 8
_FEWEST_BLOCKS = 3
_AT_ONCE = 1 << 20


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
    plain percentiles are too narrow. Time grows with ``resamples`` x values.

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
    length = block_length(series) if block is None else max(block, 1)
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


def repeats_interval(
    samples: Sequence[Floats],
    statistic: Statistic,
    *,
    seed: int,
    confidence: float = 0.95,
    resamples: int = 1000,
) -> Interval | None:
    """The interval of ``statistic`` over all values of several repeats, by hierarchical bootstrap.

    The spread between repeats comes from drawing repeats with replacement, the spread inside them from drawing blocks
    of each; both are added, and the t quantile for their joint degrees of freedom (Welch-Satterthwaite) makes the
    interval: symmetric, and wide where few repeats differ by much, as it should be. Of repeats of one value each it
    is the t interval of their mean.

    Args:
        samples: one series in time order per repeat; NaN = no value, left out.
        statistic: from an array of values to a number.
        seed: the same seed gives the same interval.
        confidence: 0 to 1.
        resamples: how often all is drawn anew.

    Returns:
        None with fewer than two repeats that have values: nothing is known of the spread between them.
    """
    series = [present for present in map(_present, samples) if len(present)]
    repeats = len(series)
    if repeats < 2:
        return None
    rng = np.random.default_rng(seed)
    lengths = [block_length(one) for one in series]
    drawn = [list(_redrawn(*pair, resamples, rng)) for pair in zip(series, lengths, strict=True)]
    inside = np.var([statistic(np.concatenate(parts)) for parts in zip(*drawn, strict=True)])
    chosen = rng.integers(repeats, size=(resamples, repeats))
    both = np.var([statistic(np.concatenate([drawn[r][i] for r in row])) for i, row in enumerate(chosen)])
    # Drawing R repeats of R shows (R - 1) / R of the spread between them.
    between = max(float(both - inside), 0.0) * repeats / (repeats - 1.0)
    freedom_inside = sum(len(one) / length - 1.0 for one, length in zip(series, lengths, strict=True))
    half = _half_width(between, repeats - 1.0, float(inside), freedom_inside, confidence)
    middle = statistic(np.concatenate(series))
    return Interval(middle - half, middle + half, confidence)


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
    """The statistic of the series drawn anew, ``times`` times; means of short series all at once."""
    n = len(series)
    if statistic is not np.mean or n * times > _AT_ONCE:
        return np.array([statistic(drawn) for drawn in _redrawn(series, length, times, rng)])
    blocks = np.lib.stride_tricks.sliding_window_view(np.concatenate((series, series[: length - 1])), length)
    drawn = blocks[rng.integers(n, size=(times, -(-n // length)))].reshape(times, -1)[:, :n]
    return np.asarray(drawn.mean(axis=1), dtype=np.float64)


def _redrawn(series: Floats, length: int, times: int, rng: np.random.Generator) -> Iterator[Floats]:
    """The series drawn anew ``times`` times: blocks from anywhere on it, bent to a ring."""
    n = len(series)
    ring = np.concatenate((series, series[: length - 1]))
    blocks = np.lib.stride_tricks.sliding_window_view(ring, length)
    for _ in range(times):
        yield blocks[rng.integers(n, size=-(-n // length), dtype=np.int32)].reshape(-1)[:n]


def _half_width(
    between: float, freedom_between: float, inside: float, freedom_inside: float, confidence: float
) -> float:
    """T quantile x standard error of two independent parts of a variance."""
    total = between + inside
    if total == 0.0:
        return 0.0
    doubt = between**2 / freedom_between
    doubt += inside**2 / freedom_inside if freedom_inside > 0 else 0.0
    freedom = min(total**2 / doubt, 1e4) if doubt > 0 else 1e4
    return t_quantile(0.5 + confidence / 2.0, freedom) * math.sqrt(total)

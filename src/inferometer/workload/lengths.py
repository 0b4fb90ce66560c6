"""Lengths drawn from a plan, by a seed of their own: the text of a prompt never changes how long the next one is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import singledispatch
from itertools import cycle
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from inferometer.errors import UsageError
from inferometer.spec import derive_seed
from inferometer.spec.lengths import Dist, Fixed, LengthPlan, LogNormal, Normal, Uniform, Zipf

Ints = NDArray[np.int64]
_BLOCK = 1024
_TIGHT = 0.995  # of the largest spread that two limits allow


def draw_pairs(plan: LengthPlan, seed: int) -> Iterator[tuple[int, int]]:
    """Tokens of prompt and answer, without end, the same for the same seed."""
    if plan.in_order:
        yield from cycle(plan.pairs)
    if plan.pairs:
        rng = np.random.default_rng(derive_seed(seed, "lengths"))
        while True:
            for place in rng.integers(len(plan.pairs), size=_BLOCK).tolist():
                yield plan.pairs[place]
    first, second = (
        np.random.default_rng(derive_seed(seed, concern)) for concern in ("input lengths", "output lengths")
    )
    while True:
        inputs, outputs = draw(plan.input, first, _BLOCK), draw(plan.output, second, _BLOCK)
        yield from zip(inputs.tolist(), outputs.tolist(), strict=True)


@singledispatch
def draw(dist: Dist, rng: np.random.Generator, count: int) -> Ints:
    """``count`` lengths."""
    raise TypeError(f"no distribution: {dist!r}")


@draw.register
def _(dist: Fixed, rng: np.random.Generator, count: int) -> Ints:
    return np.full(count, dist.low, dtype=np.int64)


@draw.register
def _(dist: Uniform, rng: np.random.Generator, count: int) -> Ints:
    return rng.integers(dist.low, dist.high, size=count, endpoint=True)


@draw.register
def _(dist: Normal, rng: np.random.Generator, count: int) -> Ints:
    return _whole(rng.normal(dist.mean, dist.std, count), dist)


@draw.register
def _(dist: LogNormal, rng: np.random.Generator, count: int) -> Ints:
    drawn = dist.median * np.exp(dist.sigma * rng.standard_normal(count))
    return np.rint(np.clip(drawn, dist.low, dist.high)).astype(np.int64)


@draw.register
def _(dist: Zipf, rng: np.random.Generator, count: int) -> Ints:
    if dist.clipped:
        return np.clip(rng.zipf(dist.alpha, count), dist.low, dist.high)
    weights = np.arange(dist.low, dist.high + 1, dtype=float) ** -dist.alpha
    heights = np.cumsum(weights)
    return dist.low + np.searchsorted(heights / heights[-1], rng.random(count), side="right").clip(
        max=len(weights) - 1
    )


def _whole(drawn: NDArray[np.float64], dist: Normal) -> Ints:
    clipped = np.clip(drawn, dist.low, dist.high)
    return (np.floor(clipped) if dist.cut else np.rint(clipped)).astype(np.int64)


def mean_input(plan: LengthPlan) -> float:
    """Expected tokens of a prompt, from a long draw with a fixed seed (exact where all are alike)."""
    return mean_lengths(plan)[0]


def mean_lengths(plan: LengthPlan) -> tuple[float, float]:
    """Expected tokens of a prompt and of an answer, as ``mean_input``."""
    if plan.pairs:
        first, second = (sum(column) / len(plan.pairs) for column in zip(*plan.pairs, strict=True))
        return first, second
    return _mean(plan.input), _mean(plan.output)


def _mean(dist: Dist) -> float:
    if isinstance(dist, Fixed | Uniform):
        return (dist.low + getattr(dist, "high", dist.low)) / 2
    return float(np.mean(draw(dist, np.random.default_rng(0), 100_000)))


def spread_evenly(dist: Dist, rng: np.random.Generator, count: int) -> Ints:
    """``count`` lengths in random order whose moments are the distribution's own even when they are few.

    One is drawn from each of ``count`` equally likely slices of a normal distribution; other distributions are
    drawn as usual.
    """
    if not isinstance(dist, Normal) or dist.std == 0:
        return draw(dist, rng, count)
    standard = NormalDist()
    slices = (np.arange(count) + rng.random(count)) / count
    heights = np.array([standard.inv_cdf(min(max(u, 1e-12), 1 - 1e-12)) for u in slices.tolist()])
    return _whole(rng.permutation(dist.mean + dist.std * heights), dist)


def clipped_normal(name: str, mean: float, std: float, low: int, high: int) -> Normal:
    """The normal distribution that has the mean and deviation asked for *after* it is clipped to its limits.

    Clipping pulls the mean towards the middle and makes the deviation smaller, so the parameters of the underlying
    normal are not those of the lengths. With a = (low - m) / s, b = (high - m) / s and Phi, phi of the standard
    normal, the clipped one has

        mean = m + s ((phi(a) - phi(b)) + a Phi(a) + b (1 - Phi(b)))  of a variable whose moments follow likewise;

    m is found by bisection for each s, and s by bisection, because both moments grow with their parameter. Half a
    token of rounding is not part of it.

    Args:
        name: of the length, for messages.
        mean: asked for, tokens.
        std: asked for, tokens; at most sqrt((mean - low)(high - mean)), which two values alone reach.
        low: smallest length.
        high: largest length.

    Raises:
        UsageError: limits that are exchanged, a mean outside of them, or a deviation that they do not allow or that is
            none.
    """
    if low > high:
        raise UsageError(f"--min-{name} {low} is above --max-{name} {high}", "exchange them")
    if not low <= mean <= high:
        raise UsageError(
            f"--avg-{name} {mean:g} is outside --min-{name} {low} to --max-{name} {high}", "move one of them"
        )
    if not std >= 0:
        raise UsageError(f"--std-{name} {std:g} is no deviation", "give 0 or more")
    most = math.sqrt((mean - low) * (high - mean))
    if std > _TIGHT * most:
        raise UsageError(
            f"--std-{name} {std:g} is impossible: lengths from {low} to {high} with a mean of {mean:g} deviate by "
            f"less than {most:.4g}",
            f"lower --std-{name}, or widen --min-{name} and --max-{name}",
        )
    if std == 0:
        return Normal(mean, 0.0, low, high)

    def centre(sigma: float) -> float:
        return _root(
            lambda middle: _moments(middle, sigma, low, high)[0], mean, low - 40 * sigma, high + 40 * sigma
        )

    top = std
    while _moments(centre(top), top, low, high)[1] < std:
        top *= 2
    sigma = _root(lambda s: _moments(centre(s), s, low, high)[1], std, std / 2, top)
    return Normal(centre(sigma), sigma, low, high)


def _root(function: Callable[[float], float], wanted: float, low: float, high: float) -> float:
    """Where a growing function has the value wanted, between two places."""
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < wanted else (low, middle)
    return (low + high) / 2


def _moments(mean: float, sigma: float, low: float, high: float) -> tuple[float, float]:
    """Mean and deviation of a normal variable that is clipped to ``low`` and ``high``."""
    a, b = (low - mean) / sigma, (high - mean) / sigma
    below, above = math.erfc(-a / math.sqrt(2)) / 2, math.erfc(b / math.sqrt(2)) / 2
    at_a, at_b = (math.exp(-x * x / 2) / math.sqrt(2 * math.pi) for x in (a, b))
    inside = 1 - below - above
    first = a * below + b * above + at_a - at_b
    second = a * a * below + b * b * above + inside + a * at_a - b * at_b
    return mean + sigma * first, sigma * math.sqrt(max(second - first * first, 0.0))

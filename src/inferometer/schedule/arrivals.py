"""Arrival processes: planned offsets drawn by seed, absolute, and never rescaled to look like the asked rate."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import count

from inferometer.spec.curves import Curve

NS_PER_S = 1_000_000_000


def arrival_offsets_ns(rate_per_s: float, burstiness: float, seed: int) -> Iterator[int]:
    """Endless planned offsets in ns from the load point's epoch; the first is 0.

    Gaps are gamma distributed with shape ``burstiness`` and mean ``1 / rate_per_s``: 1 is a Poisson process,
    below 1 is burstier, infinity is a constant rate (the convention of ``vllm bench serve``). An infinite rate
    means that every request is due at once.

    Args:
        rate_per_s: requests per second, > 0, may be infinite.
        burstiness: shape of the gamma distribution, > 0, may be infinite.
        seed: decides the whole sequence.
    """
    if math.isinf(rate_per_s):
        while True:
            yield 0
    if math.isinf(burstiness):
        index = 0
        while True:
            yield constant_offset_ns(index, rate_per_s)
            index += 1
    draw = random.Random(seed).gammavariate  # noqa: S311 - arrivals, not secrets
    scale_s = 1.0 / (rate_per_s * burstiness)
    at_s = 0.0
    while True:
        yield round(at_s * NS_PER_S)
        at_s += draw(burstiness, scale_s)


def shaped_offsets_ns(curve: Curve, burstiness: float, burst: int, seed: int) -> Iterator[int]:
    """Endless planned offsets in ns of arrivals whose rate changes, or that come several at a time; the first is 0.

    The gaps are drawn in operational time, in which one request arrives per unit, and mapped through the inverse of
    the integrated rate: ``burstiness`` keeps its meaning at any rate. Bursts come as single arrivals would at a rate
    that is so many times lower.

    Args:
        curve: requests per second over time.
        burstiness: as in ``arrival_offsets_ns``, of the gaps between bursts.
        burst: requests that arrive together.
        seed: decides the whole sequence.
    """
    for at_s in curve.times_of(_operational(burstiness, burst, seed)):
        offset_ns = round(at_s * NS_PER_S)
        for _ in range(burst):
            yield offset_ns


def _operational(burstiness: float, burst: int, seed: int) -> Iterator[float]:
    """Arrivals of bursts where one request arrives per unit of time."""
    if math.isinf(burstiness):
        yield from (float(number * burst) for number in count())
    draw = random.Random(seed).gammavariate  # noqa: S311 - arrivals, not secrets
    scale = burst / burstiness
    at = 0.0
    while True:
        yield at
        at += draw(burstiness, scale)


def constant_offset_ns(index: int, rate_per_s: float) -> int:
    """Planned offset in ns of request ``index`` at a constant, finite rate; rounding does not add up."""
    return round(index * NS_PER_S / rate_per_s)

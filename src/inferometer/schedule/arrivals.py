"""Arrival processes: planned offsets drawn by seed, absolute, and never rescaled to look like the asked rate."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

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


def constant_offset_ns(index: int, rate_per_s: float) -> int:
    """Planned offset in ns of request ``index`` at a constant, finite rate; rounding does not add up."""
    return round(index * NS_PER_S / rate_per_s)

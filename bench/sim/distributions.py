"""Whether two samples may come from one distribution: the two-sample Kolmogorov-Smirnov test."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class KS(NamedTuple):
    """Largest distance between two empirical distribution functions, and how likely one at least as large is."""

    distance: float
    p: float


def kolmogorov_smirnov(first: Floats, second: Floats) -> KS:
    """The asymptotic two-sample test (Stephens 1970, the small-sample term of Numerical Recipes 14.3).

    Raises:
        ValueError: an empty sample.
    """
    if not (len(first) and len(second)):
        raise ValueError("the test needs two samples")
    a, b = np.sort(first), np.sort(second)
    both = np.concatenate([a, b])
    distance = float(
        np.max(
            np.abs(np.searchsorted(a, both, "right") / len(a) - np.searchsorted(b, both, "right") / len(b))
        )
    )
    root = math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    lam = (root + 0.12 + 0.11 / root) * distance
    return KS(distance, _tail(lam))


def _tail(lam: float) -> float:
    """Q(lambda) of Kolmogorov's distribution."""
    if lam < 0.2:  # the series converges slowly there, and the value is 1 to 12 digits
        return 1.0
    terms = (2.0 * (-1) ** (k - 1) * math.exp(-2.0 * (k * lam) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, sum(terms)))

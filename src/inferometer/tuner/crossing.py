"""Where a falling curve crosses zero, from noisy points around it: a line through what lies near, with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from inferometer.metrics.latency import Floats

DRAWS = 400
_NEAR = 0.4
_FEWEST_FOR_EXCESS = 4
_ROUNDS = 16
_FARTHEST = 0.2  # relative step of a round: a fit around one end must not throw the crossing to the other
_BEND = 1.0  # how far the curve may be off its tangent at distance d: _BEND * |slope| * d^2


class Sample(NamedTuple):
    """One probe on the scale of one limit."""

    load: float
    margin: float
    error: float


class Crossing(NamedTuple):
    """Where the margin is zero.

    Attributes:
        load: the estimate.
        draws: the same from data drawn anew within its errors; their spread is that of the estimate.
        excess: how many times as far as their errors say the points lie off the line; 1 when they do not.
        slope: of the margin per relative change of the load.
    """

    load: float
    draws: Floats
    excess: float
    slope: float


def crossing(samples: Sequence[Sample], bounds: tuple[float, float], seed: int) -> Crossing | None:
    """The load at which the margin is zero.

    A line over the square root of the load (over which the margin of a queue is straighter than over the load or its
    logarithm) is fitted by weighted least squares; points further off count less, by how far a smooth curve may have
    bent away from its tangent there, and the fit is repeated around the crossing it gave. Repeated with all margins
    drawn anew within their errors (parametric bootstrap), widened when the points lie further off than these say.

    Args:
        samples: at least two different loads.
        bounds: the crossing is looked for between them.
        seed: of the draws.

    Returns:
        None when the points do not fall.
    """
    loads = np.array([sample.load for sample in samples])
    if len(np.unique(loads)) < 2:
        return None
    margins = np.array([[sample.margin for sample in samples]])
    errors = np.array([sample.error for sample in samples])
    start = np.full(1, float(np.sqrt(bounds[0] * bounds[1])))
    found, slope, sigma = _solve(loads, margins, errors, start, bounds)
    if not slope[0] < 0:
        return None
    excess = _excess(loads, margins[0], sigma[0], float(found[0]))
    rng = np.random.default_rng(seed)
    drawn = margins + rng.standard_normal((DRAWS, len(loads))) * errors * excess
    around, _, _ = _solve(loads, drawn, errors, np.repeat(found, DRAWS), bounds)
    return Crossing(float(found[0]), around, excess, float(slope[0]))


def _solve(
    loads: Floats, margins: Floats, errors: Floats, start: Floats, bounds: tuple[float, float]
) -> tuple[Floats, Floats, Floats]:
    """Crossing and slope for each row of ``margins``, and the standard errors that were used."""
    at = start[:, None]
    slope = np.full_like(at, -1.0)
    sigma = np.broadcast_to(errors, margins.shape)
    for _ in range(_ROUNDS):
        offset = 2.0 * (np.sqrt(loads / at) - 1.0)
        sigma = np.sqrt(errors**2 + (_BEND * slope * offset**2) ** 2)
        weight = 1.0 / sigma**2
        total = weight.sum(1, keepdims=True)
        mean_x = (weight * offset).sum(1, keepdims=True) / total
        mean_y = (weight * margins).sum(1, keepdims=True) / total
        spread = (weight * (offset - mean_x) ** 2).sum(1, keepdims=True)
        slope = (weight * (offset - mean_x) * (margins - mean_y)).sum(1, keepdims=True) / spread
        falling = np.minimum(slope, -1e-3)
        step = np.clip(mean_x - mean_y / falling, -_FARTHEST, _FARTHEST)
        moved = 1.0 + step / 2.0
        at = np.clip(at * moved**2, *bounds)
    return at[:, 0], slope[:, 0], sigma


def _excess(loads: Floats, margins: Floats, sigma: Floats, at: float) -> float:
    """Root of chi square per degree of freedom of the points near the crossing, at least 1."""
    near = np.abs(loads / at - 1.0) < _NEAR
    if near.sum() < _FEWEST_FOR_EXCESS:
        return 1.0
    loads, margins, sigma = loads[near], margins[near], sigma[near]
    offset = 2.0 * (np.sqrt(loads / at) - 1.0)
    weight = 1.0 / sigma
    design = np.stack((np.ones_like(offset), offset), axis=1) * weight[:, None]
    coefficients, *_ = np.linalg.lstsq(design, margins * weight, rcond=None)
    residual = margins * weight - design @ coefficients
    return max(1.0, float(np.sqrt(residual @ residual / (len(loads) - 2))))

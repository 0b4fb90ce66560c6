"""How sure a prediction is: refits to disturbed data, and noise beside their spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from inferometer.errors import UsageError
from inferometer.simulator.calibration.fit import Fit, Floats, fit
from inferometer.simulator.latency.profile import Noise

INDEPENDENT: Final = 10
"""Errors that values measured one after the other have at most, and their size in standard deviations of a value."""
_ERROR: Final = 1.6
Residuals = Callable[[Floats], Floats]


class Interval(msgspec.Struct, frozen=True):
    """A predicted value with its 90 % prediction interval, in the unit of the value."""

    value: float
    low: float
    high: float


def refits(
    residuals: Residuals, best: Fit, center: Floats, spread: Floats, *, members: int, seed: int
) -> list[Floats]:
    """Logarithms of coefficients that explain the data about as well as the best ones.

    Randomised maximum a posteriori (Bardsley et al. 2014, SIAM J. Sci. Comput. 36:A1895): each member is fitted to
    measurements with errors added, under a prior whose medians are drawn from the prior, from a start drawn about the
    best fit. Directions that the data cannot see spread as widely as the prior does. Values that were measured one
    after the other share steps and what the model cannot express, so they count as ``INDEPENDENT`` errors at most (a
    coarsened posterior: Miller and Dunson 2019, JASA 114:1113); as many as there are values would make members that
    agree with each other and not with the next load.

    Args:
        residuals: as for ``fit``; neighbours in time are neighbours.
        best: where the refits begin.
        center: the prior's medians, as logarithms.
        spread: the prior's standard deviations.
        members: refits.
        seed: of errors, medians and starts.
    """
    random = np.random.default_rng(seed)
    count = len(best.residuals)
    errors = min(count, INDEPENDENT)
    shared = np.arange(count) * errors // count
    free = np.flatnonzero((spread > 0) & np.any(best.jacobian != 0, axis=0))
    columns = best.jacobian[:, free]
    precision = columns.T @ columns + np.diag(1 / spread[free] ** 2)
    shape = np.linalg.cholesky(np.linalg.inv(precision))
    found = []
    for _ in range(members):
        added = _ERROR * random.standard_normal(errors)[shared]
        drawn = center + spread * random.standard_normal(len(center))
        start = best.logs.copy()
        start[free] += shape @ random.standard_normal(len(free))

        def disturbed(logs: Floats, added: Floats = added) -> Floats:
            return residuals(logs) + added

        found.append(fit(disturbed, drawn, spread, start=start, polish=0).logs)
    return found


def interval(value: float, members: Sequence[float], noise: Noise | None = None) -> Interval:
    """The 90 % prediction interval of a positive value: the one formula for requests and load points.

    The members' spread, in logarithms, and the noise's share make a factor; the noise's seconds are added to that in
    quadrature. Noise known from little data widens both by Student's factor.

    Args:
        value: predicted by the best coefficients.
        members: predicted by each member of the ensemble, all above 0; two at least, or none where there is no
            ensemble.
        noise: beside their spread; None = none is known, so the interval is that of the coefficients alone.

    Raises:
        UsageError: one member, or a value that is not above 0.
    """
    if len(members) == 1 or not min(value, *members, np.inf) > 0:
        raise UsageError("an interval needs values above 0, and two members at least", "calibrate again")
    noise = noise or Noise(share=0.0)
    spread = float(np.var(np.log(members), ddof=1)) if len(members) else 0.0
    student = student_95(noise.freedom)
    reach, added_s = student * float(np.sqrt(spread + noise.share**2)), student * noise.seconds
    high = value + np.hypot(value * np.expm1(reach), added_s)
    low = value - np.hypot(value * -np.expm1(-reach), added_s)
    return Interval(value, max(0.0, float(low)), float(high))


def student_95(freedom: float) -> float:
    """The 95 % point of Student's t (Cornish-Fisher; exact to 2 % from 3 degrees on, 6.31 and 2.92 below)."""
    if freedom < 3:
        return float(np.interp(freedom, (1, 2, 3), (6.314, 2.920, 2.353)))
    z = 1.6449
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3

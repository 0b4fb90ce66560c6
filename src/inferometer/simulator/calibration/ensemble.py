"""How sure a prediction is: refits to reweighted data, and the errors made on data left out of a fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from inferometer.errors import UsageError
from inferometer.simulator.calibration.fit import Fit, Floats, fit

Residuals = Callable[[Floats], Floats]


class Interval(msgspec.Struct, frozen=True):
    """A predicted value with its 90 % prediction interval, in the unit of the value."""

    value: float
    low: float
    high: float


def refits(
    residuals: Residuals, best: Fit, center: Floats, spread: Floats, *, members: int, seed: int
) -> list[Floats]:
    """Logarithms of coefficients that fit the data about as well as the best ones.

    Randomised maximum a posteriori: each member sees the measurements with weights drawn from an exponential
    distribution (Bayesian bootstrap, Rubin 1981) and a prior whose medians are drawn from the prior, so directions
    that the data cannot see spread as widely as the prior does.

    Args:
        residuals: as for ``fit``.
        best: where the refits begin.
        center: the prior's medians, as logarithms.
        spread: the prior's standard deviations.
        members: refits.
        seed: of weights and medians.
    """
    random = np.random.default_rng(seed)
    found = []
    for _ in range(members):
        weights = np.sqrt(random.exponential(1.0, len(best.residuals)))
        drawn = center + spread * random.standard_normal(len(center))

        def weighted(logs: Floats, weights: Floats = weights) -> Floats:
            return residuals(logs) * weights

        found.append(fit(weighted, drawn, spread, start=best.logs, polish=0).logs)
    return found


def interval(value: float, members: Sequence[float], left_out: Floats) -> Interval:
    """The 90 % prediction interval of a positive value.

    The logarithm's variance is that of the members and that of the errors on data left out, which holds noise and
    what the model cannot express. Few errors left out widen it by Student's factor.

    Args:
        value: predicted by the best coefficients.
        members: predicted by each member of the ensemble.
        left_out: log errors of predictions of data that their fits did not see; two at least.

    Raises:
        UsageError: fewer than two errors or members.
    """
    if len(left_out) < 2 or len(members) < 2:
        raise UsageError("an interval needs two errors on left-out data and two members at least")
    spread = np.var(np.log(members), ddof=1) + robust_variance(left_out)
    reach = float(np.exp(_student_95(len(left_out) - 1) * np.sqrt(spread)))
    return Interval(value, value / reach, value * reach)


def robust_variance(errors: Floats) -> float:
    """Variance about 0 with errors beyond three median deviations drawn in, so that one outlier does not rule."""
    scale = 1.4826 * float(np.median(np.abs(errors)))
    limit = 3 * scale if scale > 0 else np.inf
    return float(np.mean(np.clip(errors, -limit, limit) ** 2))


def _student_95(freedom: int) -> float:
    """The 95 % point of Student's t (Cornish-Fisher; exact to 2 % from 3 degrees on, 6.31 and 2.92 below)."""
    if freedom < 3:
        return (6.314, 2.920)[max(freedom, 1) - 1]
    z = 1.6449
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3

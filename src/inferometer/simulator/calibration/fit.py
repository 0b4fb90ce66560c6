"""Coefficients from measurements: the most probable ones under log-normal priors.

Damped Gauss-Newton comes near; CMA-ES, begun with the covariance found there, finishes where the loss jumps.
The unknowns are logarithms, so nothing turns negative, and residuals are log ratios over their noise, so a fit means
relative errors. Replays jump where a schedule changes; differences over many percent see through the jumps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferometer.errors import UsageError
from inferometer.simulator.calibration.evolution import minimise
from inferometer.simulator.latency.model import Coefficients

Floats = NDArray[np.float64]
NAMES: Final = Coefficients.__struct_fields__
_FLOOR: Final = 1e-14
_HELD: Final = float(np.log(10 * _FLOOR))
_DIFFERENCES: Final = (0.15, 0.05)
_WIDER: Final = 10.0
_ROBUST: Final = 2.0
_ROUNDS: Final = 30


class Prior(msgspec.Struct, frozen=True):
    """What is believed before a measurement: coefficients are log-normal and independent.

    Attributes:
        center: the medians. Zeros stay zero.
        spread: standard deviation of the logarithm, by coefficient.
    """

    center: Coefficients
    spread: tuple[float, ...]

    def logs(self) -> Floats:
        """Logarithms of the medians."""
        return np.log(np.maximum([getattr(self.center, name) for name in NAMES], _FLOOR))


class Fit(msgspec.Struct, frozen=True):
    """What a fit found.

    Attributes:
        logs: logarithms of the coefficients, in the order of ``NAMES``, then of further unknowns.
        jacobian: of the residuals over ``logs``, without the prior's rows.
        residuals: log ratio of model to measurement over its noise.
        loss: robust half sum of squares, prior included.
    """

    logs: Floats
    jacobian: Floats
    residuals: Floats
    loss: float

    @property
    def coefficients(self) -> Coefficients:
        """The coefficients."""
        return coefficients_of(self.logs)


def coefficients_of(logs: Floats) -> Coefficients:
    """Coefficients from logarithms; what is below any clock is 0."""
    values = np.exp(logs[: len(NAMES)])
    return Coefficients(
        **{n: float(v) if v > 10 * _FLOOR else 0.0 for n, v in zip(NAMES, values, strict=True)}
    )


def robust_loss(residuals: Floats, logs: Floats, center: Floats, spread: Floats) -> float:
    """Half the soft-L1 of residuals, and half the squares of what the prior finds unlikely."""
    square = _ROBUST**2
    robust = square * (np.sqrt(1 + residuals**2 / square) - 1)
    free = (spread > 0) & (center > _HELD)
    far = (logs - center)[free] / spread[free]
    return float(robust.sum() + 0.5 * (far**2).sum())


class _Problem:
    """Residuals of measurements and of the prior, with the weights of the robust loss."""

    def __init__(self, residuals: Callable[[Floats], Floats], center: Floats, spread: Floats) -> None:
        self.residuals, self.center, self.spread = residuals, center, spread
        self.open = np.flatnonzero((spread > 0) & (center > _HELD))

    def loss(self, logs: Floats, residuals: Floats) -> float:
        """See ``robust_loss``."""
        return robust_loss(residuals, logs, self.center, self.spread)

    def jacobian(self, logs: Floats, difference: float) -> Floats:
        """By central differences of ``difference``; columns of coefficients that are held stay 0."""
        columns: dict[int, Floats] = {}
        for i in self.open:
            step = np.zeros_like(logs)
            step[i] = difference
            columns[int(i)] = (self.residuals(logs + step) - self.residuals(logs - step)) / (2 * difference)
        held = np.zeros(len(next(iter(columns.values()))))
        return np.stack([columns.get(i, held) for i in range(len(logs))], axis=1)

    def move(self, logs: Floats, residuals: Floats, jacobian: Floats, damping: float) -> Floats:
        """The damped Gauss-Newton move, at most a factor of 2.7 in any coefficient."""
        weight = 1 / np.sqrt(1 + residuals**2 / _ROBUST**2)
        columns = jacobian[:, self.open]
        precision = 1 / self.spread[self.open] ** 2
        gradient = columns.T @ (weight * residuals) + precision * (logs - self.center)[self.open]
        curve = (columns * weight[:, None]).T @ columns + np.diag(precision)
        curve += damping * np.diag(np.diag(curve))
        move = np.zeros_like(logs)
        move[self.open] = -np.linalg.solve(curve, gradient)
        return move / max(1.0, float(np.abs(move).max()))


def fit(
    residuals: Callable[[Floats], Floats],
    center: Floats,
    spread: Floats,
    *,
    start: Floats | None = None,
    seed: int = 0,
    polish: int = 500,
) -> Fit:
    """The most probable logarithms of coefficients.

    Args:
        residuals: log ratios of model to measurement over their noise, for logarithms of the unknowns.
        center: the prior's medians, as logarithms.
        spread: the prior's standard deviations; 0 holds an unknown.
        start: where to begin; None = at the prior.
        seed: of the polish.
        polish: replays of the polish; 0 = none.

    Raises:
        UsageError: no measurement, or every unknown held.
    """
    problem = _Problem(residuals, center, spread)
    logs = (center if start is None else start).copy()
    now = residuals(logs)
    if not len(now) or not len(problem.open):
        raise UsageError("a calibration needs measurements and at least one coefficient that is not held")
    for difference in _DIFFERENCES:
        logs, now, jacobian = _descend(problem, logs, now, difference)
    if polish:
        precision = (jacobian.T @ jacobian)[np.ix_(problem.open, problem.open)]
        precision += np.diag(1 / problem.spread[problem.open] ** 2)

        def at(values: Floats) -> Floats:
            whole: Floats = logs.copy()
            whole[problem.open] = values
            return whole

        def loss(values: Floats) -> float:
            whole = at(values)
            return problem.loss(whole, residuals(whole))

        shape = _WIDER * np.linalg.inv(precision)
        best, _ = minimise(loss, logs[problem.open], shape, seed, evaluations=polish)
        logs = at(best)
        now = residuals(logs)
    return Fit(logs, problem.jacobian(logs, _DIFFERENCES[0]), now, problem.loss(logs, now))


def _descend(
    problem: _Problem, logs: Floats, now: Floats, difference: float
) -> tuple[Floats, Floats, Floats]:
    """Gauss-Newton until it gains no more; logarithms, residuals, and the Jacobian there."""
    loss, damping = problem.loss(logs, now), 1e-2
    jacobian = problem.jacobian(logs, difference)
    for _ in range(_ROUNDS):
        before = loss
        while damping < 1e6:
            trial = logs + problem.move(logs, now, jacobian, damping)
            found = problem.residuals(trial)
            gained = problem.loss(trial, found)
            if gained < loss:
                logs, now, loss, damping = trial, found, gained, damping / 5
                break
            damping *= 4
        else:
            break
        jacobian = problem.jacobian(logs, difference)
        if before - loss < 1e-3 * before:
            break
    return logs, now, jacobian

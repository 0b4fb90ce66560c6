"""Coefficients from a table of load points: (concurrency, input, output) with mean TTFT and TPOT, nothing more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import numpy as np

from inferometer.errors import UsageError
from inferometer.simulator.calibration.fit import (
    NAMES,
    Fit,
    Floats,
    Prior,
    coefficients_of,
    fit,
    robust_loss,
)
from inferometer.simulator.calibration.replay import Load, replay
from inferometer.simulator.calibration.requests import SPREAD
from inferometer.simulator.calibration.steady import SteadyState
from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.latency.experts import TouchedExperts
from inferometer.simulator.latency.model import Coefficients
from inferometer.simulator.latency.profile import Noise

_NOISE: Final = {"ttft_s": 0.15, "tpot_s": 0.03}
_BELIEVED: Final = 5.0  # load points that the noise above counts as
_FARTHEST: Final = 6.0
_ROUNDS: Final = 4  # simulated: one that finds an empty engine, two in steady state, one that leaves it
ROUNDS_SPREAD: Final = 0.3
"""Of the prior of the logarithm of ``Habits.rounds``, which a fit adds to the coefficients."""
_CORRECTIONS: Final = 5
_CLOSE: Final = 0.1  # of the noise


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One measured load point of a closed loop.

    Attributes:
        concurrency: clients.
        input_tokens: mean.
        output_tokens: mean, above 1.
        ttft_s: mean; None = not measured.
        tpot_s: mean; None = not measured.
    """

    concurrency: int
    input_tokens: int
    output_tokens: int
    ttft_s: float | None = None
    tpot_s: float | None = None

    def __post_init__(self) -> None:
        if min(self.concurrency, self.input_tokens) < 1 or self.output_tokens < 2:
            raise UsageError(
                f"load point concurrency={self.concurrency}, input_tokens={self.input_tokens}, "
                f"output_tokens={self.output_tokens} must have at least 1, 1 and 2"
            )
        for name in ("ttft_s", "tpot_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(
                    f"load point's {name}={value} must be above 0", "leave out what was not measured"
                )


class Habits(msgspec.Struct, frozen=True, kw_only=True):
    """How the client behind a table made its load, and the engine took it.

    Attributes:
        rounds: requests per client; the first round finds an empty engine and starts at once, the last leaves it.
        length_spread: outputs vary evenly by this share to either side, which keeps clients out of step.
        held_back: seats that the engine lacks for the clients, as where its batch was made for fewer.
        seed: of the lengths.
    """

    rounds: float = 10.0
    length_spread: float = 0.1
    held_back: int = 0
    seed: int = 0

    def limits(self, limits: EngineLimits, point: Point) -> EngineLimits:
        """Limits of the engine as the clients of a point find it."""
        if not self.held_back:
            return limits
        seats = max(1, point.concurrency - self.held_back)
        return msgspec.structs.replace(limits, max_num_seqs=min(limits.max_num_seqs, seats))


HABITS: Final = (Habits(), Habits(held_back=1))
"""What tables of closed loops were found to be made by."""


class Predicted(msgspec.Struct, frozen=True):
    """Means of a replayed load point."""

    ttft_s: float
    tpot_s: float


def load_of(point: Point, habits: Habits) -> Load:
    """The requests of a load point, as far as they are simulated."""
    count = round(min(habits.rounds, _ROUNDS)) * point.concurrency
    random = np.random.default_rng(habits.seed)
    factors = 1 + habits.length_spread * random.uniform(-1, 1, count)
    outputs = np.maximum(2, np.rint(point.output_tokens * factors)).astype(int)
    jobs = (Job(prompt_tokens=point.input_tokens, output_tokens=made) for made in outputs.tolist())
    return Load(jobs=tuple(jobs), concurrency=point.concurrency)


def predict(
    point: Point,
    limits: EngineLimits,
    cost: Coefficients,
    habits: Habits | None = None,
    experts: TouchedExperts | None = None,
) -> Predicted:
    """Mean TTFT and TPOT of a load point: a few rounds are simulated, those in steady state stand for more of them."""
    habits = habits or Habits()
    load = load_of(point, habits)
    times = replay(load, habits.limits(limits, point), cost, experts)
    count = point.concurrency
    rounds = len(load.jobs) // count
    weights = np.ones(rounds)
    if rounds > 2:
        weights[1:-1] = (habits.rounds - 2) / (rounds - 2)
    weights /= weights.sum() * count

    def mean(column: Floats) -> float:
        return float(column.reshape(rounds, count).sum(axis=1) @ weights)

    return Predicted(mean(times.ttft_s()), mean(times.tpot_s(load.outputs())))


def weak_table_prior(points: Sequence[Point]) -> Prior:
    """A prior of the right order of magnitude from the table itself, as ``weak_prior`` does for a run."""
    decoded = [point for point in points if point.tpot_s is not None]
    begun = [point for point in points if point.ttft_s is not None]
    if not decoded or not begun:
        raise UsageError(
            "a table must have at least one TTFT and one TPOT", "add the columns ttft_ms and tpot_ms"
        )
    tpot = min(point.tpot_s or 0.0 for point in decoded)
    token = min((point.ttft_s or 0.0) / point.input_tokens for point in begun) / 2
    busy = float(np.median([p.concurrency for p in points]))
    context = busy * float(np.median([p.input_tokens + p.output_tokens / 2 for p in points]))
    center = Coefficients(
        weights_s=tpot / 2,
        token_s=token,
        step_s=tpot / 4,
        sequence_s=tpot / 4 / busy,
        kv_token_s=tpot / 4 / context,
        attention_s=token / 10 / float(np.mean([p.input_tokens for p in points])),
        arrival_s=2e-3,
        first_token_s=2e-3,
        prompt_step_s=tpot / 8,
    )
    return Prior(center, tuple(getattr(SPREAD, name) for name in NAMES))


class TableFit(Fit, frozen=True, kw_only=True):
    """What a fit to load points found.

    Attributes:
        habits: of the client; those that the table shows.
        prior: medians and spreads that the fit began with.
    """

    habits: Habits
    prior: Prior


class TableProblem:
    """Log ratios of model to measurement over their noise, TTFT of all points that have it and then TPOT.

    Args:
        points: measured.
        limits: of the engine: one for all, or one for each point.
        habits: of the client.
        experts: of the model; None = dense.

    The unknowns are the logarithms of the coefficients and of ``habits.rounds``.
    """

    def __init__(
        self,
        points: Sequence[Point],
        limits: EngineLimits | Sequence[EngineLimits],
        habits: Habits,
        experts: TouchedExperts | None = None,
    ) -> None:
        each = [limits] * len(points) if isinstance(limits, EngineLimits) else limits
        self.points, self.habits, self.experts = points, habits, experts
        self._limits = list(each)
        seen = [habits.limits(limit, point) for limit, point in zip(each, points, strict=True)]
        self._steady = SteadyState(points, seen, experts)
        self._ttft = _known(point.ttft_s for point in points)
        self._tpot = _known(point.tpot_s for point in points)
        self._correction: Floats = np.zeros(
            int(np.isfinite(self._ttft).sum() + np.isfinite(self._tpot).sum())
        )

    def habits_at(self, logs: Floats) -> Habits:
        """The habits of a guess."""
        return msgspec.structs.replace(self.habits, rounds=max(1.0, float(np.exp(logs[len(NAMES)]))))

    def _off(self, ttft_s: Floats, tpot_s: Floats) -> Floats:
        ttft = np.log(ttft_s / self._ttft) / _NOISE["ttft_s"]
        tpot = np.log(tpot_s / self._tpot) / _NOISE["tpot_s"]
        return np.concatenate([ttft[np.isfinite(ttft)], tpot[np.isfinite(tpot)]])

    def simulated(self, logs: Floats) -> Floats:
        """Residuals by replays."""
        cost, habits = coefficients_of(logs), self.habits_at(logs)
        rows = [
            predict(point, limits, cost, habits, self.experts)
            for point, limits in zip(self.points, self._limits, strict=True)
        ]
        return _softened(self._off(_known(row.ttft_s for row in rows), _known(row.tpot_s for row in rows)))

    def correct(self, logs: Floats, simulated: Floats) -> None:
        """Make ``averaged`` there equal to what was ``simulated``."""
        off = np.sign(simulated) * np.sqrt((1 + simulated**2 / 2) ** 2 - 1)
        self._correction = off - self._averages(logs)

    def averaged(self, logs: Floats) -> Floats:
        """Residuals by averages, smooth and a thousand times quicker, with the last correction."""
        return _softened(self._averages(logs) + self._correction)

    def _averages(self, logs: Floats) -> Floats:
        means = self._steady.averages(coefficients_of(logs))
        burst = np.exp(-max(0.0, float(logs[len(NAMES)])))
        return self._off((1 - burst) * means.ttft_s + burst * means.burst_s, means.tpot_s)


def _softened(off: Floats) -> Floats:
    """What squares to the soft-L1 of width 1.

    A point of a sweep is often off for reasons that no step has, as a client at its limit; then it must not bend the
    others, which few points would let it.
    """
    soft: Floats = np.sign(off) * np.sqrt(2 * (np.sqrt(1 + off**2) - 1))
    return soft


def _known(values: Iterable[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def fit_table(
    points: Sequence[Point],
    limits: EngineLimits | Sequence[EngineLimits],
    *,
    habits: Habits | None = None,
    prior: Prior | None = None,
    experts: TouchedExperts | None = None,
) -> TableFit:
    """Coefficients from load points.

    Args:
        points: measured; five that span concurrency, input and output lengths are enough.
        limits: of the engine that was measured: one for all, or one for each point.
        habits: of the client; None = those of ``HABITS`` under which the points are likeliest.
        prior: of model and device; None = ``weak_table_prior``.
        experts: of the model; None = dense.

    Raises:
        UsageError: no TTFT or no TPOT, or lengths the pool cannot hold.
    """
    believed = weak_table_prior(points) if prior is None else prior
    tried = HABITS if habits is None else (habits,)
    fits = [_fitted(TableProblem(points, limits, each, experts), believed) for each in tried]
    return min(fits, key=lambda found: found.loss)


def _fitted(problem: TableProblem, prior: Prior) -> TableFit:
    """Averages are fitted, corrected by replays where the fit stands, and fitted again until both agree."""
    center = np.append(prior.logs(), np.log(problem.habits.rounds))
    spread = np.append(prior.spread, ROUNDS_SPREAD)
    logs, best = center, None
    for _ in range(_CORRECTIONS):
        found = fit(problem.averaged, center, spread, start=logs, polish=0)
        real = problem.simulated(found.logs)
        logs = found.logs
        loss = robust_loss(real, logs, center, spread)
        if best is None or loss < best.loss:
            best = TableFit(
                found.logs, found.jacobian, real, loss, habits=problem.habits_at(found.logs), prior=prior
            )
        if np.abs(real - found.residuals).max() < _CLOSE:
            break
        problem.correct(found.logs, real)
    assert best is not None
    return best


def point_noise(metric: str, predicted: Floats, measured: Floats, spread: Floats) -> Noise:
    """Noise of a load point, from fits that had not seen it: few points, so what fits assume counts as well.

    The scaled inverse chi-square update of a variance (Gelman et al. 2013, "Bayesian Data Analysis", 2.6) with the
    noise that the fit assumes as prior. A point further off than six times what was expected is of another kind (a
    client at its limit, a full pool) and says no more than that of the others.

    Args:
        metric: ``ttft_s`` or ``tpot_s``.
        predicted: means, each by a fit without its point.
        measured: means.
        spread: of the ensemble of that fit: standard deviation of the logarithm.
    """
    assumed = _NOISE[metric]
    expected = np.sqrt(spread**2 + assumed**2)
    score = np.minimum(np.abs(np.log(measured / predicted)) / expected, _FARTHEST)
    freedom = _BELIEVED + len(score)
    share = assumed * float(np.sqrt((_BELIEVED + (score**2).sum()) / freedom))
    return Noise(share=share, freedom=freedom)

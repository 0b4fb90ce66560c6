"""Coefficients from a table of load points: (concurrency, input, output) with mean TTFT and TPOT, nothing more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from inferometer.errors import UsageError
from inferometer.simulator.calibration.fit import NAMES, Fit, Floats, Prior, coefficients_of, fit
from inferometer.simulator.calibration.replay import Load, replay
from inferometer.simulator.calibration.requests import SPREAD
from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.latency.model import Coefficients

_TTFT_NOISE: Final = 0.1
_TPOT_NOISE: Final = 0.03


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
    """How the client behind a table made its load.

    Attributes:
        rounds: requests per client; the first round finds an empty engine and starts at once.
        length_spread: outputs vary evenly by this share to either side, which keeps clients out of step.
        seed: of the lengths.
    """

    rounds: int = 6
    length_spread: float = 0.1
    seed: int = 0


class Predicted(msgspec.Struct, frozen=True):
    """Means of a replayed load point."""

    ttft_s: float
    tpot_s: float


def load_of(point: Point, habits: Habits) -> Load:
    """The requests of a load point."""
    count = habits.rounds * point.concurrency
    random = np.random.default_rng(habits.seed)
    factors = 1 + habits.length_spread * random.uniform(-1, 1, count)
    outputs = np.maximum(2, np.rint(point.output_tokens * factors)).astype(int)
    jobs = (Job(prompt_tokens=point.input_tokens, output_tokens=made) for made in outputs.tolist())
    return Load(jobs=tuple(jobs), concurrency=point.concurrency)


def predict(load: Load, limits: EngineLimits, cost: Coefficients) -> Predicted:
    """Mean TTFT and TPOT of a load."""
    times = replay(load, limits, cost)
    return Predicted(float(times.ttft_s().mean()), float(times.tpot_s(load.outputs()).mean()))


def weak_table_prior(points: Sequence[Point]) -> Prior:
    """A prior of the right order of magnitude from the table itself, as ``weak_prior`` does for a run."""
    decoded = [point for point in points if point.tpot_s is not None]
    begun = [point for point in points if point.ttft_s is not None]
    if not decoded or not begun:
        raise UsageError("a table must have at least one TTFT and one TPOT", "add the columns ttft and tpot")
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


def residuals_of(points: Sequence[Point], limits: EngineLimits, habits: Habits) -> Callable[[Floats], Floats]:
    """The residuals of a table for logarithms of coefficients."""
    loads = [load_of(point, habits) for point in points]

    def residuals(logs: Floats) -> Floats:
        cost = coefficients_of(logs)
        rows = []
        for point, load in zip(points, loads, strict=True):
            found = predict(load, limits, cost)
            if point.ttft_s is not None:
                rows.append(np.log(found.ttft_s / point.ttft_s) / _TTFT_NOISE)
            if point.tpot_s is not None:
                rows.append(np.log(found.tpot_s / point.tpot_s) / _TPOT_NOISE)
        return np.array(rows)

    return residuals


def fit_table(
    points: Sequence[Point],
    limits: EngineLimits,
    *,
    habits: Habits | None = None,
    prior: Prior | None = None,
    polish: int = 300,
) -> Fit:
    """Coefficients from load points.

    Args:
        points: measured; five that span concurrency, input and output lengths are enough.
        limits: of the engine that was measured.
        habits: of the client; None = the defaults.
        prior: of model and device; None = ``weak_table_prior``.
        polish: replays of the table that the fit may add at its end.

    Raises:
        UsageError: no TTFT or no TPOT, or lengths the pool cannot hold.
    """
    believed = weak_table_prior(points) if prior is None else prior
    residuals = residuals_of(points, limits, habits or Habits())
    return fit(residuals, believed.logs(), np.array(believed.spread), polish=polish)

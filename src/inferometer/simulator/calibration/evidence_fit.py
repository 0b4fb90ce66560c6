"""Coefficients from all evidence together: runs and step records with residuals of their own, a table before them.

A table of means says little beside the requests or the steps of a run: what it says becomes their prior.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferometer.errors import UsageError
from inferometer.simulator.calibration.capacity import capacity_seen
from inferometer.simulator.calibration.evidence import Observed
from inferometer.simulator.calibration.fit import NAMES, Fit, Floats, Prior, coefficients_of, fit
from inferometer.simulator.calibration.replay import Times, replay
from inferometer.simulator.calibration.requests import log_ratios, weak_prior, with_pool
from inferometer.simulator.calibration.seen import identifiability
from inferometer.simulator.calibration.steps import Record, step_seconds, weak_step_prior
from inferometer.simulator.calibration.table import (
    ROUNDS_SPREAD,
    Habits,
    Point,
    TableFit,
    TableProblem,
    fit_table,
)
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.experts import TouchedExperts
from inferometer.simulator.latency.model import Coefficients

_STEP_NOISE: Final = 0.05
_LEAST_STEP_NOISE: Final = 0.001
_INDEPENDENT_STEPS: Final = 400
_POOL_SPREAD: Final = 0.15
_UNEXPLAINED: Final = 0.5  # loss per value; about that of errors as large as their noise
_FAR_BETTER: Final = 0.8
_POLISH: Final = 500
_POLISHED_REQUESTS: Final = 600
_LEAST_POLISH: Final = 60
Mask = NDArray[np.bool_]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured of one engine.

    Attributes:
        observed: load points of runs.
        steps: records of the engine.
        points: of a table of load points.
        limits: of the table's engine.
        experts: of a mixture; None = dense.
        pool_known: whether ``kv_blocks`` of all limits are the engine's own.
        step_noise: share by which the time of a step may be off.
    """

    observed: tuple[Observed, ...] = ()
    steps: tuple[Record, ...] = ()
    points: tuple[Point, ...] = ()
    limits: EngineLimits = EngineLimits()
    experts: TouchedExperts | None = None
    pool_known: bool = False
    step_noise: float = _STEP_NOISE

    def __post_init__(self) -> None:
        if not (self.observed or self.steps or self.points):
            raise UsageError(
                "there is nothing to calibrate from", "name a RUN, --step-log FILE or --table FILE"
            )

    @property
    def table_alone(self) -> bool:
        """Whether a table of load points is all there is."""
        return bool(self.points) and not (self.observed or self.steps)

    @property
    def steps_alone(self) -> bool:
        """Whether step records are all there is."""
        return bool(self.steps) and not (self.observed or self.points)


class Chosen(NamedTuple):
    """Which measurements a fit looks at: of each load point, of the step records, of the table's points."""

    requests: tuple[Mask, ...]
    steps: Mask
    points: Mask

    @property
    def total(self) -> int:
        """How many."""
        return int(sum(mask.sum() for mask in (*self.requests, self.steps, self.points)))

    def without(self, other: Chosen) -> Chosen:
        """What is in this one and not in the other."""
        pairs = zip(self.requests, other.requests, strict=True)
        return Chosen(
            tuple(mine & ~left for mine, left in pairs),
            self.steps & ~other.steps,
            self.points & ~other.points,
        )


def everything(evidence: Evidence) -> Chosen:
    """All that counts."""
    requests = tuple(each.used for each in evidence.observed)
    return Chosen(requests, np.ones(len(evidence.steps), np.bool_), np.ones(len(evidence.points), np.bool_))


def nothing(evidence: Evidence) -> Chosen:
    """Of all, nothing."""
    requests = tuple(np.zeros(len(each.used), np.bool_) for each in evidence.observed)
    return Chosen(requests, np.zeros(len(evidence.steps), np.bool_), np.zeros(len(evidence.points), np.bool_))


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the KV pool.

    Attributes:
        how: ``told`` by the engine or its user; ``fitted`` to when requests waited for it; ``never full`` in what was
            measured, so that it was taken as large enough; ``not shown`` by a table.
        peak_tokens: most context that was held at a time; None without requests.
    """

    how: str
    peak_tokens: float | None = None


class JointFit(msgspec.Struct, frozen=True, kw_only=True):
    """A fit to all evidence.

    Attributes:
        fit: the coefficients; after them the tokens of the pool where that was fitted, and the rounds of the clients
            where there is nothing but a table. All are logarithms.
        prior: of the coefficients.
        center: medians of the prior of all unknowns, and
        spread: its standard deviations.
        pool: what is known of it.
        habits: of the clients behind the table; None = there is none.
    """

    fit: Fit
    prior: Prior
    center: Floats
    spread: Floats
    pool: Pool
    habits: Habits | None = None


def fit_evidence(evidence: Evidence, prior: Prior | None = None, seed: int = 0) -> JointFit:
    """The most probable coefficients given all evidence.

    Args:
        evidence: what was measured.
        prior: of model and device; None = of the right order of magnitude, from the evidence itself.
        seed: of the fit's polish.

    Raises:
        UsageError: lengths that the pool cannot hold, or a table without TTFT or TPOT.
    """
    table = (
        fit_table(evidence.points, evidence.limits, prior=prior, experts=evidence.experts)
        if evidence.points
        else None
    )
    if table is not None and evidence.table_alone:
        return _of_table(table)
    believed = prior or weakest(evidence)
    if table is not None:
        believed = posterior(table, table.prior)
    habits = None if table is None else table.habits
    return _with_or_without_pool(evidence, believed, habits, seed)


def _with_or_without_pool(evidence: Evidence, prior: Prior, habits: Habits | None, seed: int) -> JointFit:
    """A fit with the pool that was told or never fills, or with one that is fitted, if that explains the times better.

    Requests also wait for long prompts before them, and short waits for the pool are not seen as such, so both are
    tried: where requests are seen to wait, and where the times are further off than their noise.
    """
    center, spread, pool = prior.logs(), np.array(prior.spread), pool_of(evidence)
    residuals, polish = residuals_of(evidence, everything(evidence)), _polish(evidence)
    found = fit(residuals, center, spread, seed=seed, polish=polish)
    if pool.how != "told" and pool.peak_tokens:
        waits, unexplained = pool.how == "fitted", found.loss > _UNEXPLAINED * len(found.residuals)
        if waits or unexplained:
            middle = np.append(center, np.log(pool.peak_tokens))
            wide = np.append(spread, _POOL_SPREAD)
            held = fit(residuals, middle, wide, seed=seed, polish=polish)
            if held.loss < found.loss * (1.0 if waits else _FAR_BETTER):
                found, center, spread = held, middle, wide
        how = "fitted" if found.logs.size > len(NAMES) else "never full"
        pool = msgspec.structs.replace(pool, how=how)
    return JointFit(fit=found, prior=prior, center=center, spread=spread, pool=pool, habits=habits)


def posterior(found: Fit, prior: Prior) -> Prior:
    """What is known after a fit, each coefficient by itself."""
    spreads = {row.name: row.spread for row in identifiability(found, prior)}
    return Prior(found.coefficients, tuple(spreads.get(name, 0.0) for name in NAMES))


def _of_table(table: TableFit) -> JointFit:
    return JointFit(
        fit=table,
        prior=table.prior,
        center=np.append(table.prior.logs(), np.log(Habits().rounds)),
        spread=np.append(table.prior.spread, ROUNDS_SPREAD),
        pool=Pool(how="not shown"),
        habits=table.habits,
    )


def refit(evidence: Evidence, whole: JointFit, chosen: Chosen) -> Floats:
    """Logarithms that fit a part of the evidence; the whole fit is where the search begins, and no more."""
    residuals = near(evidence, whole, chosen)
    return fit(residuals, whole.center, whole.spread, start=whole.fit.logs, polish=0).logs


def near(evidence: Evidence, whole: JointFit, chosen: Chosen) -> Callable[[Floats], Floats]:
    """Residuals for searches that begin at the whole fit."""
    if not evidence.table_alone:
        return residuals_of(evidence, chosen)
    points = [point for point, use in zip(evidence.points, chosen.points, strict=True) if use]
    problem = TableProblem(points, evidence.limits, whole.habits or Habits(), evidence.experts)
    problem.correct(whole.fit.logs, problem.simulated(whole.fit.logs))
    return problem.averaged


def pool_of(evidence: Evidence) -> Pool:
    """Whether the pool is known, shows itself, or was never full."""
    seen = [
        capacity_seen(each.run.load, each.run.times, each.limits.max_num_seqs, each.used)
        for each in evidence.observed
    ]
    peak = max((each.peak_tokens for each in seen), default=None)
    if evidence.pool_known:
        return Pool(how="told", peak_tokens=peak)
    full = [each.peak_tokens for each in seen if each.limits]
    return Pool(how="fitted", peak_tokens=max(full)) if full else Pool(how="never full", peak_tokens=peak)


def weakest(evidence: Evidence) -> Prior:
    """The least of what each piece of evidence alone gives for a coefficient.

    Such a prior shares one measured time among all coefficients, so each piece bounds them from above.
    """
    if not evidence.observed:
        return weak_step_prior(evidence.steps)
    decoding = [each for each in evidence.observed if (each.run.load.outputs()[each.used] > 1).any()]
    found = [weak_prior(each.run, each.used) for each in decoding or evidence.observed]
    least = {name: min(getattr(each.center, name) for each in found) for name in NAMES}
    return Prior(Coefficients(**least), found[0].spread)


def limits_at(observed: Observed, evidence: Evidence, logs: Floats) -> EngineLimits:
    """The limits of a load point with the pool that ``logs`` say, or one that never fills, or the engine's own."""
    if evidence.pool_known:
        return observed.limits
    load = observed.run.load
    ample = float((load.inputs() + load.outputs()).sum())
    return with_pool(observed.limits, load, float(np.exp(logs[-1])) if len(logs) > len(NAMES) else ample)


def replayed(observed: Observed, evidence: Evidence, logs: Floats) -> Times:
    """A load point as coefficients say it."""
    limits = limits_at(observed, evidence, logs)
    return replay(observed.run.load, limits, coefficients_of(logs), evidence.experts)


def residuals_of(evidence: Evidence, chosen: Chosen) -> Callable[[Floats], Floats]:
    """The residuals of chosen requests and steps, for logarithms of coefficients.

    Errors of consecutive steps are much alike, so that all step records together weigh no more than 400 would.
    """
    parts: list[Callable[[Floats], Floats]] = []
    for each, used in zip(evidence.observed, chosen.requests, strict=True):
        if used.any():
            parts.append(_of_requests(each, used, evidence))
    if chosen.steps.any():
        records = [record for record, use in zip(evidence.steps, chosen.steps, strict=True) if use]
        parts.append(_of_steps(records, evidence))
    return lambda logs: np.concatenate([part(logs) for part in parts]) if parts else np.empty(0)


def _of_requests(observed: Observed, used: Mask, evidence: Evidence) -> Callable[[Floats], Floats]:
    run = observed.run
    unfitted = limits_at(observed, evidence, np.empty(0))

    def residuals(logs: Floats) -> Floats:
        limits = limits_at(observed, evidence, logs) if len(logs) > len(NAMES) else unfitted
        return log_ratios(run, replay(run.load, limits, coefficients_of(logs), evidence.experts), used)

    return residuals


def _of_steps(records: Sequence[Record], evidence: Evidence) -> Callable[[Floats], Floats]:
    off = _steps_off(records, evidence.experts)
    weight = min(1.0, (_INDEPENDENT_STEPS / len(records)) ** 0.5) / evidence.step_noise

    def residuals(logs: Floats) -> Floats:
        found: Floats = off(logs) * weight
        return found

    return residuals


def _steps_off(records: Sequence[Record], experts: TouchedExperts | None) -> Callable[[Floats], Floats]:
    """Log ratios of computed to recorded seconds."""
    shapes = np.array([record.shape for record in records], dtype=np.float64)
    seconds = np.array([record.step_s for record in records])

    def off(logs: Floats) -> Floats:
        found: Floats = np.log(seconds_of(shapes, coefficients_of(logs), experts) / seconds)
        return found

    return off


def with_noise_left(evidence: Evidence, whole: JointFit) -> Evidence:
    """The evidence with steps as noisy as a first fit left them: what a simulated engine wrote has no noise at all."""
    left = float(np.sqrt(np.mean(_steps_off(evidence.steps, evidence.experts)(whole.fit.logs) ** 2)))
    return msgspec.structs.replace(evidence, step_noise=min(_STEP_NOISE, max(_LEAST_STEP_NOISE, left)))


def seconds_of(shapes: Floats, cost: Coefficients, experts: TouchedExperts | None) -> Floats:
    """Seconds of many steps, whose columns are those of ``StepShape``; of a mixture where ``experts`` are given."""
    found = step_seconds(shapes, cost)
    if experts is None:
        return found
    tokens = shapes[:, 0]
    read = cost.weights_s * (1 - experts.routed * (1 - experts.picked) ** tokens)
    compute = cost.token_s * tokens
    return found - np.maximum(cost.weights_s, compute) + np.maximum(read, compute)


def _polish(evidence: Evidence) -> int:
    requests = sum(len(each.run.load.jobs) for each in evidence.observed)
    return max(_LEAST_POLISH, round(_POLISH * min(1.0, _POLISHED_REQUESTS / max(1, requests))))

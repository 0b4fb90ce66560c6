"""A profile of an engine from what was measured of it, with its errors on what the fit had not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from inferometer.api.calibration_sources import (
    RunFacts,
    observed,
    read_points,
    read_runs,
    run_facts,
    run_warnings,
    with_facts,
)
from inferometer.api.measured_engine import Hardware, MeasuredEngine, Told, measured_engine
from inferometer.errors import UsageError
from inferometer.record.tables import RunRecord
from inferometer.simulator.calibration.believed import roofline_prior
from inferometer.simulator.calibration.blocks import cross_validate
from inferometer.simulator.calibration.calibrated import Calibrated
from inferometer.simulator.calibration.ensemble import refits
from inferometer.simulator.calibration.evidence import Observed, shown_of
from inferometer.simulator.calibration.evidence_fit import (
    Evidence,
    JointFit,
    everything,
    fit_evidence,
    near,
    with_noise_left,
)
from inferometer.simulator.calibration.evidence_noise import coverage_of, noise_from
from inferometer.simulator.calibration.fit import NAMES, Floats, Prior, coefficients_of
from inferometer.simulator.calibration.residuals import (
    compare,
    compare_points,
    compare_steps,
    fit_errors,
    held_out,
    poor_fit,
)
from inferometer.simulator.calibration.seen import identifiability, warnings
from inferometer.simulator.calibration.steps import read_batches
from inferometer.simulator.calibration.table import Point
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.profile import Profile, Provenance
from inferometer.simulator.latency.roofline import touched_experts
from inferometer.simulator.latency.trust import Where
from inferometer.spec import derive_seed
from inferometer.version import __version__

FEWEST_MEMBERS: Final = 8
_FEWEST_REQUESTS: Final = 20
Progress = Callable[[str, int, int], None]
"""Told what is done, how many of it are, and how many there are."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Where the measurements are.

    Attributes:
        runs: run folders.
        step_logs: batch tables of the engine.
        tables: CSV files of load points.
    """

    runs: tuple[Path, ...] = ()
    step_logs: tuple[Path, ...] = ()
    tables: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if not (self.runs or self.step_logs or self.tables):
            raise UsageError(
                "there is nothing to calibrate from",
                "name a RUN (inferometer runs list shows them), --step-log FILE or --table FILE",
            )


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """How much is done.

    Attributes:
        members: refits for prediction intervals.
        requests: that count, of all runs together; more make it slower, and little better.
        seed: of all that is drawn.
        made_at: UTC, ISO 8601, for the profile; None = not said.
    """

    members: int = 12
    requests: int = 2000
    seed: int = 0
    made_at: str | None = None

    def __post_init__(self) -> None:
        if self.members < FEWEST_MEMBERS:
            raise UsageError(
                f"--members {self.members} are too few for an interval: at least {FEWEST_MEMBERS}"
            )
        if self.requests < _FEWEST_REQUESTS:
            raise UsageError(f"--max-requests {self.requests} is too few: at least {_FEWEST_REQUESTS}")


def calibrate_engine(
    measured: Measured,
    told: Told | None = None,
    effort: Effort | None = None,
    progress: Progress | None = None,
) -> Calibrated:
    """Fit coefficients to everything that was measured of one engine, and find out how far they may be trusted.

    Args:
        measured: runs, step records and tables.
        told: what the user says of the engine.
        effort: how much is done.
        progress: told of each fit.

    Raises:
        UsageError: nothing to fit to, runs of several models, flags that contradict, or lengths the pool cannot hold.
        DataError: a file that cannot be understood.
        RunFolderError: a folder that is no closed run.
    """
    told, effort, tell = told or Told(), effort or Effort(), progress or _silent
    tell("reading", 0, 1)
    read = _Reading(measured, told, effort)
    evidence = read.evidence
    tell("fitting", 0, 1)
    whole = fit_evidence(evidence, read.prior(), derive_seed(effort.seed, "fit"))
    if evidence.steps_alone:
        evidence = with_noise_left(evidence, whole)
        whole = fit_evidence(evidence, read.prior(), derive_seed(effort.seed, "fit"))
    left = cross_validate(evidence, whole, lambda done, of: tell("held-out fits", done, of))
    members = []
    for number, member in enumerate(_members(evidence, whole, effort)):
        members.append(member)
        tell("refits", number + 1, effort.members)
    requests = compare(evidence, whole, left, members)
    values = [*compare_steps(evidence, whole, left), *compare_points(evidence, whole, left)]
    seen = identifiability(whole.fit, whole.prior)
    limits, kv_source, kv_warnings = _pool(read.engine, evidence, whole)
    profile = Profile(
        coefficients=whole.fit.coefficients,
        limits=limits,
        kv_blocks_known=bool(read.engine.kv_source),
        ensemble=tuple(coefficients_of(member) for member in members),
        ensemble_pools=pools_of(whole, members),
        noise=noise_from(requests, values),
        experts=evidence.experts,
        seen=_trust(evidence),
        engine=read.engine.name,
        device=read.hardware.device.title if read.hardware else None,
        model=read.hardware.model if read.hardware else None,
        placement=read.engine.placement,
        provenance=Provenance(
            method="+".join(read.methods),
            runs=tuple(path.name for path in (*measured.runs, *measured.step_logs, *measured.tables)),
            made_at=effort.made_at,
            version=__version__,
            observations=everything(evidence).total,
            held_out=held_out(requests, values),
            unseen=tuple(row.name for row in seen if not row.seen),
            notes=read.engine.notes,
        ),
    )
    return Calibrated(
        profile=profile,
        sources=tuple(read.sources()),
        requests=tuple(requests),
        values=tuple(values),
        fitted=fit_errors(requests, values),
        coverage=coverage_of(requests),
        seen=tuple(seen),
        pool=whole.pool,
        kv_source=kv_source,
        warnings=(*read.warnings, *kv_warnings, *poor_fit(profile.provenance.held_out), *warnings(seen)),
    )


def _silent(what: str, done: int, of: int) -> None:
    del what, done, of


class _Reading:
    """Files as evidence, and the engine behind them."""

    def __init__(self, measured: Measured, told: Told, effort: Effort) -> None:
        self.records = read_runs(measured.runs)
        self.told, self.measured = told, measured
        self.warnings: list[str] = []
        engines = [self._engine(record) for record in self.records] or [
            measured_engine(RunFacts(), None, told)
        ]
        batches = [read_batches(path, engines[0][0].limits.block_tokens) for path in measured.step_logs]
        self.steps = [record for each in batches for record in each.records]
        pool = min((each.kv_blocks for each in batches if each.kv_blocks), default=None)
        if pool is not None:
            engines = [
                (_with_pool(engine, pool, measured.step_logs), hardware) for engine, hardware in engines
            ]
        self.engine, self.hardware = self._first(engines)
        share = max(1, effort.requests // max(1, len(self.records)))
        points = [
            each
            for record, (engine, _) in zip(self.records, engines, strict=False)
            for each in observed(record, plain(engine.limits), share)
        ]
        self._tell_of(points)
        self.points: list[Point] = [point for path in measured.tables for point in read_points(path)]
        self.evidence = Evidence(
            observed=tuple(_holding(each) for each in points),
            steps=tuple(self.steps),
            points=tuple(self.points),
            limits=_for_table(plain(self.engine.limits), self.points),
            experts=touched_experts(self.hardware.model) if self.hardware else None,
            pool_known=bool(points) and all(engine.kv_source for engine, _ in engines),
        )

    def _engine(self, record: RunRecord) -> tuple[MeasuredEngine, Hardware | None]:
        started = record.meta.engine
        return measured_engine(run_facts(record), started.command if started else None, self.told)

    def _first(
        self, engines: Sequence[tuple[MeasuredEngine, Hardware | None]]
    ) -> tuple[MeasuredEngine, Hardware | None]:
        first = engines[0]
        self.warnings += first[0].notes
        for record, (engine, _) in zip(self.records[1:], engines[1:], strict=False):
            if engine.limits != first[0].limits:
                self.warnings.append(
                    f"the engine of {record.path.name} had other limits than that of {self.records[0].path.name}: "
                    "each is replayed with its own, the profile has those of the first"
                )
        return first

    def _tell_of(self, points: Sequence[Observed]) -> None:
        for record in self.records:
            self.warnings += run_warnings(record)
        self.warnings += dict.fromkeys(line for each in points for line in each.warnings)
        count = sum(each.requests for each in points)
        if not points and not self.measured.tables:
            self.warnings.append(
                "step records say nothing of requests outside of steps (arrival_s, first_token_s are 0), nor of loads "
                "that may be trusted: name a run of the same engine beside them"
            )
        if points and count < _FEWEST_REQUESTS:
            self.warnings.append(f"{count} requests are few: 100 and more tell coefficients apart")

    @property
    def methods(self) -> list[str]:
        """What it is calibrated from, in the words of ``Provenance``."""
        kinds = {"steps": self.steps, "requests": self.evidence.observed, "table": self.points}
        return [name for name, found in kinds.items() if found]

    def sources(self) -> Iterator[str]:
        """A line for each load point, file of step records and table."""
        for each in self.evidence.observed:
            yield f"{each.name}: {each.configuration}, {each.requests} requests"
        if self.steps:
            names = ", ".join(path.name for path in self.measured.step_logs)
            yield f"{names}: {len(self.steps)} steps"
        if self.points:
            yield f"{', '.join(path.name for path in self.measured.tables)}: {len(self.points)} load points"

    def prior(self) -> Prior | None:
        """What sizes and peaks say; None where they are not known."""
        if self.hardware is None:
            return None
        return roofline_prior(self.hardware.model, self.hardware.device, self.engine.placement)


def _with_pool(engine: MeasuredEngine, blocks: int, logs: Sequence[Path]) -> MeasuredEngine:
    """The engine with the pool that its step records tell, unless more direct words are known."""
    if engine.kv_source:
        return engine
    block = engine.limits.block_tokens
    limits = with_facts(engine.limits, RunFacts(), blocks * block)
    return engine._replace(
        limits=limits, kv_source=f"total_blocks of {', '.join(path.name for path in logs)}"
    )


def plain(limits: EngineLimits) -> EngineLimits:
    """Limits without what a replay of bare lengths cannot use: it knows no prompts, so none is found in a cache."""
    return msgspec.structs.replace(limits, prefix_cache=False)


def _holding(seen: Observed) -> Observed:
    """The load point with limits that hold its longest request: the engine had it, whatever its flags seem to say."""
    longest = max(job.prompt_tokens + job.output_tokens for job in seen.run.load.jobs)
    return msgspec.structs.replace(seen, limits=_long_enough(seen.limits, longest))


def _for_table(limits: EngineLimits, points: Sequence[Point]) -> EngineLimits:
    # Outputs of a table's load points vary about their means, by a tenth.
    return _long_enough(limits, max((p.input_tokens + 2 * p.output_tokens for p in points), default=1))


def _long_enough(limits: EngineLimits, longest: int) -> EngineLimits:
    blocks = max(limits.kv_blocks, -(-longest // limits.block_tokens))
    length = max(limits.max_model_len, longest)
    budget = limits.max_num_batched_tokens
    if not limits.split_prompts:
        budget = max(budget, length)
    elif limits.scheduler == "prefill-first":
        budget = max(budget, longest)
    return msgspec.structs.replace(
        limits, kv_blocks=blocks, max_model_len=length, max_num_batched_tokens=budget
    )


def _members(evidence: Evidence, whole: JointFit, effort: Effort) -> Iterator[Floats]:
    residuals = near(evidence, whole, everything(evidence))
    for number in range(effort.members):
        seed = derive_seed(effort.seed, f"member {number}")
        yield refits(residuals, whole.fit, whole.center, whole.spread, members=1, seed=seed)[0]


def pools_of(whole: JointFit, members: Sequence[Floats]) -> tuple[float, ...]:
    """The KV pool of each refit over that of the fit; empty where it was not fitted."""
    if whole.pool.how != "fitted":
        return ()
    return tuple(float(np.exp(member[len(NAMES)] - whole.fit.logs[len(NAMES)])) for member in members)


def _pool(
    engine: MeasuredEngine, evidence: Evidence, whole: JointFit
) -> tuple[EngineLimits, str, tuple[str, ...]]:
    """Limits for the profile, where their pool comes from, and what to know of it."""
    limits = engine.limits
    if evidence.pool_known or engine.kv_source:
        return limits, f"told: {engine.kv_source}", ()
    if whole.pool.how == "fitted":
        tokens = float(np.exp(whole.fit.logs[len(NAMES)]))
        return (
            _with_tokens(limits, tokens),
            "fitted to when requests waited for it",
            ("the size of the KV cache was fitted: give --kv-tokens, or --metrics-url to the run",),
        )
    peak = whole.pool.peak_tokens or 0.0
    if engine.kv_planned is not None:
        planned = float(engine.kv_planned * limits.block_tokens)
        return _with_tokens(limits, max(planned, peak)), "computed from the memory of the device", ()
    held = _with_tokens(limits, max(peak, float(limits.kv_blocks * limits.block_tokens)))
    full = f", and it was never full (at most {peak:,.0f} tokens were held)" if peak else ""
    warning = (
        f"the size of the KV cache is not known{full}: heavier loads are simulated as if it were large; "
        "give --kv-tokens, or --device and --model-config"
    )
    return held, "not known", (warning,)


def _with_tokens(limits: EngineLimits, tokens: float) -> EngineLimits:
    blocks = max(1, round(tokens / limits.block_tokens))
    length = min(limits.max_model_len, blocks * limits.block_tokens)
    return msgspec.structs.replace(limits, kv_blocks=blocks, max_model_len=length)


def _trust(evidence: Evidence) -> tuple[Where, ...]:
    found = [where for each in evidence.observed for where in shown_of(each)]
    for point in evidence.points:
        context = point.concurrency * (point.input_tokens + point.output_tokens / 2)
        found.append(
            Where(
                step_tokens=max(
                    min(point.input_tokens, evidence.limits.max_num_batched_tokens), point.concurrency
                ),
                decodes=point.concurrency,
                kv_tokens=context,
                input_tokens=point.input_tokens,
                output_tokens=point.output_tokens,
            )
        )
    return tuple(found)

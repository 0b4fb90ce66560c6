"""Finds the envelope of the generator on this machine: one trial after the other against a truth server."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from inferometer.checks.envelope import DIMENSIONS, Dimension, Envelope, Machine
from inferometer.checks.limits import SPARE_DESCRIPTORS, SystemLimits
from inferometer.checks.sweep import Sweep
from inferometer.checks.trial import EVENT_STREAMS, Trial, best, judge, pace, spec_of
from inferometer.checks.truth import TruthProcess
from inferometer.clock import Clock
from inferometer.errors import LoadgenError
from inferometer.loadgen.progress import Observer
from inferometer.metrics.summary import summarize_point
from inferometer.record.store import read_run
from inferometer.spec import RunSpec

# First level of each dimension. The ceilings are where a truth server in Python is surely the limit.
START: Mapping[Dimension, float] = {"events": EVENT_STREAMS / 0.02, "streams": 2000.0, "requests": 500.0}
CEILING: Mapping[Dimension, float] = {"events": 1.6e6, "streams": 20_000.0, "requests": 32_000.0}
# The dimensions in the order in which they are raised, and how long after the start a trial may begin at the latest,
# so that all of it takes less than 90 s. Streams come last: the machine has to forget thousands of connections.
LATEST_S: Mapping[Dimension, float] = {"events": 28.0, "requests": 52.0, "streams": 74.0}
_MOST_SERVERS = 4

Measure = Callable[[RunSpec, Observer], Path]


class CalibrationObserver(Observer, Protocol):
    """Watches a calibration."""

    def on_trial(self, dimension: Dimension, level: float) -> None:
        """A load is about to be tried."""
        ...

    def on_outcome(self, trial: Trial) -> None:
        """A load was tried."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a calibration takes from outside.

    Attributes:
        machine: what the envelope will hold for.
        cores: the cores that this process may use; empty = not known.
        limits: of the operating system.
        clock: for the time that all of it may take.
        utc_now: for the label of the result.
        measure: carries a run out, and gives its folder.
    """

    machine: Machine
    cores: Sequence[int]
    limits: SystemLimits
    clock: Clock
    utc_now: Callable[[], datetime]
    measure: Measure


@dataclass(frozen=True, slots=True)
class Calibration:
    """The envelope and the trials that it comes from, in order; ``kept`` is where their run folders are."""

    envelope: Envelope
    trials: tuple[Trial, ...]
    kept: Path | None


def calibrate(
    around: Surroundings, workers: int, observer: CalibrationObserver, keep: Path | None
) -> Calibration:
    """Raise events, streams and requests a second, each alone, until the generator breaks its own gates.

    Args:
        around: the machine and how to measure on it.
        workers: processes that carry the load.
        observer: told of each trial.
        keep: directory to keep the run folders in; None = they are removed.

    Raises:
        LoadgenError: the truth server or a worker failed.
    """
    trials: list[Trial] = []
    out = keep or Path(tempfile.mkdtemp(prefix="inferometer-check-"))
    begun_ns = around.clock.now_ns()
    at_least: list[Dimension] = []
    try:
        for dimension, latest_s in LATEST_S.items():
            sweep = Sweep(START[dimension], ceiling(dimension, workers, around.limits))
            level = sweep.ask()
            while level is not None:
                observer.on_trial(dimension, level)
                trial = _try(around, workers, (dimension, level), out, observer)
                observer.on_outcome(trial)
                trials.append(trial)
                sweep.tell(level, trial.outcome)
                late = (around.clock.now_ns() - begun_ns) / 1e9 > latest_s
                level = None if late else sweep.ask()
            if sweep.at_least:
                at_least.append(dimension)
    finally:
        if keep is None:
            shutil.rmtree(out, ignore_errors=True)
    envelope = envelope_of(trials, at_least, workers, around.machine, around.utc_now())
    return Calibration(envelope, tuple(trials), keep)


def ceiling(dimension: Dimension, workers: int, limits: SystemLimits) -> float:
    """The highest level to try: what the truth server surely cannot do, or what the system allows."""
    most = CEILING[dimension]
    if dimension != "streams":
        return most * workers if dimension == "events" else most
    # The one process of the server that has the most of them needs a descriptor for each stream as well.
    allowed = [most]
    if limits.descriptors_hard is not None:
        allowed.append(limits.descriptors_hard - SPARE_DESCRIPTORS)
    if limits.port_count is not None:
        allowed.append(limits.port_count - SPARE_DESCRIPTORS)
    return max(1.0, min(allowed))


def _try(
    around: Surroundings,
    workers: int,
    load: tuple[Dimension, float],
    out: Path,
    observer: Observer,
) -> Trial:
    dimension, level = load
    free, processes = server_share(around.cores, workers)
    with TruthProcess(pace(dimension, level), processes, free) as server:
        spec = spec_of(dimension, level, server.url, str(out), workers)
        try:
            folder = around.measure(spec, observer)
        except LoadgenError as error:
            return _failed(load, error.message, workers)
        truth = server.log()
    run = read_run(folder)
    (table,) = run.measured
    summary = summarize_point(table, spec.measure, spec.sampling, run.telemetry)
    return judge(dimension, level, table, summary, truth)


def server_share(cores: Sequence[int], workers: int) -> tuple[Sequence[int], int]:
    """The cores for the truth server, and how many processes it has there; no cores = any.

    Workers are pinned to the last cores where there are enough; the server keeps off them.
    """
    free = cores[: max(0, len(cores) - workers)]
    return free, max(1, min(_MOST_SERVERS, len(free)))


def _failed(load: tuple[Dimension, float], why: str, workers: int) -> Trial:
    dimension, level = load
    return Trial(dimension=dimension, level=level, figure=None, outcome="broke", why=why, workers=workers)


def envelope_of(
    trials: Sequence[Trial],
    at_least: Sequence[Dimension],
    workers: int,
    machine: Machine,
    measured_at: datetime,
) -> Envelope:
    """The envelope that a list of trials makes: in each dimension what the highest level that held reached.

    It promises no more than was asked for: how often events come in the middle of a trial may be a bit above that.
    """
    tops = {dimension: best(trials, dimension) for dimension in DIMENSIONS}
    held = [trial for trial in tops.values() if trial is not None]
    figures = {trial.dimension: min(trial.level, trial.figure) for trial in held if trial.figure is not None}
    events = tops["events"]
    return Envelope(
        workers=workers,
        events_per_s=figures.get("events"),
        streams=figures.get("streams"),
        requests_per_s=figures.get("requests"),
        at_least=list(at_least),
        error_p99_us=max((t.error_p99_us for t in held if t.error_p99_us is not None), default=None),
        receive_clock=held[0].receive_clock if held else None,
        cpu_us_per_event=events.cpu_us_per_event if events else None,
        measured_at_utc=measured_at.isoformat(timespec="seconds"),
        machine=machine,
    )

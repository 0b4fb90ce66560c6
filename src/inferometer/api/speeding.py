"""``speed``: how fast an engine generates without load, by length of the prompt and size of the batch."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from inferometer.api.measuring import EXIT_INTERRUPTED, EXIT_INVALID
from inferometer.api.speed_endpoint import EndpointEngine
from inferometer.clock import MonotonicClock, utc_now
from inferometer.engines.offline import OfflineEngine, idle
from inferometer.engines.offline.local import LOG, LocalEngine, environment_of
from inferometer.engines.offline.measure import measure
from inferometer.errors import InferometerError, InterruptedEarlyError, UsageError
from inferometer.loadgen.run import environment
from inferometer.loadgen.stop import StopSignal
from inferometer.metrics.speed import speed_per_s
from inferometer.metrics.speed_conditions import SpeedSummary, is_busy, summarize_speed
from inferometer.record.folder import point_latest, read_meta
from inferometer.record.speed import (
    EngineFacts,
    Generation,
    Idleness,
    SpeedRecord,
    create_speed_folder,
    read_speed,
    write_speed,
)
from inferometer.report.speed import write_speed_files
from inferometer.spec.speed import SpeedSpec

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SpeedResult:
    """A measurement that came to its end.

    Attributes:
        path: its folder.
        summary: rows with their verdict.
        exit_code: 0 ok, 5 INVALID, 130 interrupted.
    """

    path: Path
    summary: SpeedSummary
    exit_code: int


def speed(spec: SpeedSpec, tell: Tell | None = None, stop: StopSignal | None = None) -> SpeedResult:
    """Measure, row after row; what has been measured is in the folder at any moment.

    Args:
        spec: what to do.
        tell: told a line whenever something has happened.
        stop: asked for, the generation that goes on is given up.

    Raises:
        InferometerError: nothing can be measured before a person has changed something.
    """
    stop, tell = stop or StopSignal(), tell or _silent
    states = [] if spec.engine == "endpoint" else _looked(spec, tell)
    public = spec.public()
    name = str(spec.model or public["launch"] or public["url"] or "")
    folder = create_speed_folder(Path(spec.out), utc_now(), name, spec.engine).resolve()
    record = SpeedRecord(
        run_id=folder.name,
        state="failed",  # until it has come to its end
        created_utc=utc_now().isoformat(timespec="seconds"),
        engine=spec.engine,
        model=name,
        spec=public,
        environment=environment(),
        idle=states,
    )
    try:
        _carry_out(_engine(spec, folder, stop, tell), spec, record, (folder, tell))
    except InterruptedEarlyError:
        record.state = "interrupted"
    except InferometerError as error:
        error.run_folder = str(folder) if record.generations else None
        raise
    finally:
        _keep(folder, record)
    return SpeedResult(folder, speed_report(folder), _exit_code(record))


def _keep(folder: Path, record: SpeedRecord) -> None:
    """Write the record; a folder in which there is nothing to look at goes."""
    log = folder / LOG
    if log.exists() and not log.stat().st_size:
        log.unlink()
    there = folder.is_dir()  # a server that does not start takes its folder away again
    if record.generations or record.state == "interrupted" or (there and any(folder.iterdir())):
        folder.mkdir(exist_ok=True)
        write_speed(folder, record)
        point_latest(folder.parent, folder)
    elif there:
        folder.rmdir()


def speed_report(folder: Path) -> SpeedSummary:
    """Rows and verdict computed anew from ``speed.json``; the derived files are written again.

    Raises:
        RunFolderError: the folder holds no measurement of speed.
    """
    summary = summarize_speed(read_speed(folder))
    write_speed_files(folder, summary)
    return summary


def _exit_code(record: SpeedRecord) -> int:
    if record.state == "interrupted":
        return EXIT_INTERRUPTED
    return EXIT_INVALID if summarize_speed(record).verdict.word == "INVALID" else 0


def _looked(spec: SpeedSpec, tell: Tell) -> list[Idleness]:
    """How busy the devices are.

    Raises:
        UsageError: they are, or nobody knows, and ``require_idle`` was asked for.
    """
    states = idle.look(
        spec.device,
        spec.devices,
        environ=environment_of(spec, os.environ),
        first=spec.engine == "vllm" and spec.devices is None,  # of several devices it takes one unasked
    )
    busy = [each for each in states if is_busy(each)]
    for each in busy:
        tell(f"{each.device} is busy: {_words(each)}")
    if spec.require_idle and (busy or not states):
        why = (
            f"{busy[0].device} is busy: {_words(busy[0])}"
            if busy
            else "nothing here says whether the device is idle"
        )
        raise UsageError(why, "end what else uses it, choose others with --devices, or drop --require-idle")
    return states


def _words(state: Idleness) -> str:
    computes = [] if state.busy_share is None else [f"{state.busy_share * 100:.0f} %"]
    holds = [] if state.memory_share is None else [f"{state.memory_share * 100:.0f} % of its memory taken"]
    return ", ".join([*computes, *holds, *state.processes[:3]])


def _engine(spec: SpeedSpec, folder: Path, stop: StopSignal, tell: Tell) -> OfflineEngine:
    if spec.engine == "endpoint":
        return EndpointEngine(spec, folder, stop, tell)
    return LocalEngine(spec, folder, MonotonicClock(), stop, tell)


def _carry_out(engine: OfflineEngine, spec: SpeedSpec, record: SpeedRecord, where: tuple[Path, Tell]) -> None:
    folder, tell = where

    def on_facts(facts: EngineFacts) -> None:
        record.facts = facts
        if facts.load_s is not None:
            what = facts.device or ", ".join(facts.versions) or spec.engine
            tell(f"{record.model} is ready after {facts.load_s:.1f} s: {what}")

    if spec.engine != "endpoint":
        tell(f"log of the engine: {folder / LOG}")
    with closing(measure(engine, spec, on_facts)) as generations:
        for done in generations:
            record.generations.append(done)
            if spec.model is None and done.run is not None:
                record.model = read_meta(folder / done.run).model
            record.simulated = record.simulated or done.simulated
            write_speed(folder, record)
            tell(progress_line(done, record, spec))
    record.state = "complete"


def progress_line(done: Generation, record: SpeedRecord, spec: SpeedSpec) -> str:
    """One line about the generation that has just ended."""
    rows = list(dict.fromkeys((each.input_tokens, each.batch) for each in record.generations))
    place = f"{len(rows)}/{len(spec.rows)}  input {done.input_tokens:,} batch {done.batch}"
    which = f"repeat {done.repeat}/{spec.repeats}" if done.repeat else "warm-up"
    if done.outcome != "ok":
        return f"{place}: {done.outcome.replace('_', ' ')}: {done.reason}"
    found = speed_per_s(done)
    return f"{place}, {which}: {'n/a' if found is None else f'{found:,.2f} tok/s'}"


def _silent(line: str) -> None:
    """Nobody wants to know."""

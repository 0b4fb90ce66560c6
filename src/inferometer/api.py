"""What the command line and a notebook call: run, demo, check, calibrate, report, recover, list_runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from inferometer.checks import calibration as calibrating
from inferometer.checks.calibration import Calibration, CalibrationObserver, Surroundings
from inferometer.checks.demand import Need, demand, largest, warning
from inferometer.checks.envelope import Envelope, cache_dir, load_envelope, save_envelope
from inferometer.checks.limits import PortWatch, check_limits, limit_doubts, system_limits
from inferometer.checks.machine import Finding, look, this_machine
from inferometer.client.dialects import Capability
from inferometer.client.dialects.asked import settle, speaking
from inferometer.client.endpoint import target_of
from inferometer.client.prefix_cache import flush_cache
from inferometer.client.probe import Caller, ServerInfo, check_mix, choose_model, find_servers
from inferometer.client.server_tokenizer import open_server_tokenizer
from inferometer.client.target import Target
from inferometer.clock import MonotonicClock, utc_now
from inferometer.errors import InferometerError, InterruptedEarlyError, UsageError
from inferometer.loadgen.affinity import allowed_cores, usable_cores
from inferometer.loadgen.progress import NullObserver, Observer
from inferometer.loadgen.run import RunPlan, execute
from inferometer.loadgen.shards import resolve_workers
from inferometer.loadgen.stop import StopSignal
from inferometer.metrics.slo import parse_slos
from inferometer.metrics.summary import RunSummary, summarize
from inferometer.record.folder import JOURNAL, RUN_JSON, read_meta, write_meta
from inferometer.record.lock import writing
from inferometer.record.store import close_journal, read_frames, read_run
from inferometer.record.tables import RunRecord
from inferometer.report.files import write_summary
from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.spec import (
    Endpoint,
    Load,
    LoadPoint,
    Output,
    RunSpec,
    Sampling,
    Workload,
    load_points,
    warmup_point,
)
from inferometer.spec.endpoint_rules import SERVER_TOKENIZER
from inferometer.spec.lengths import length_notes
from inferometer.spec.session_rules import model_weights
from inferometer.workload import Dataset, RowFeed, Tokenizer, load_tokenizer, open_dataset

QUESTIONS = Path(__file__).parent / "workload" / "data" / "questions.jsonl"
KILLED_WORKER_S = 5.0  # the worker of a killed run ends by itself, as soon as it has journalled what it holds
EXIT_SLO_NOT_MET = 3
EXIT_INVALID = 5
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run that came to its end.

    Attributes:
        path: its folder.
        summary: every number with its verdict.
        exit_code: 0 ok, 3 SLO not met, 5 run INVALID, 130 interrupted with a valid partial run.
    """

    path: Path
    summary: RunSummary
    exit_code: int


@dataclass(frozen=True, slots=True)
class RunListing:
    """One line of ``runs list``."""

    path: Path
    created_utc: str
    model: str
    label: str
    state: str
    verdict: str
    points: int
    simulated: bool
    requests: int


def run(spec: RunSpec, observer: Observer | None = None, stop: StopSignal | None = None) -> RunResult:
    """Measure an endpoint.

    Args:
        spec: what to do.
        observer: told how far it is.
        stop: asked for, it ends the run early with what was measured.

    Raises:
        InferometerError: something a person can act on; see ``inferometer.errors``.
    """
    stop = stop or StopSignal()
    plan = prepare(spec, stop)
    if stop.level:
        raise InterruptedEarlyError("interrupted before the first request was sent")
    observer = observer or NullObserver()
    for text in plan.notes:
        observer.on_notice(text)
    watch = PortWatch(observer, plan.points, system_limits())
    folder = execute(plan, watch, stop)
    _add_notes(folder, watch.warned)
    try:
        summary = report(folder)
    except InferometerError as error:
        error.run_folder = str(folder)
        raise
    return RunResult(folder, summary, _exit_code(summary, stop))


def _add_notes(folder: Path, notes: Sequence[str]) -> None:
    """Keep in ``run.json`` what was told during the run."""
    if notes:
        meta = read_meta(folder)
        meta.notes.extend(notes)
        write_meta(folder, meta)


def demo(
    observer: Observer, out: str, on_ready: Callable[[str], None], stop: StopSignal | None = None
) -> RunResult:
    """Measure the simulated engine with real questions at concurrency 1 to 32; takes well under a minute.

    Args:
        observer: told how far it is.
        out: directory of run folders.
        on_ready: told the address of the simulated server once it listens.
        stop: ends the run early.
    """
    # Its questions are asked more than once, which a prefix cache would answer faster.
    settings = SimSettings(answer_tokens_median=28, answer_tokens_sigma=0.5, prefix_cache=False)
    with start_simulated_server(settings) as server:
        on_ready(server.url)
        return run(_demo_spec(server.url, out), observer, stop)


def _demo_spec(url: str, out: str) -> RunSpec:
    return RunSpec(
        endpoint=Endpoint(url=url),
        # The last point has the 1,000 requests that a p99 needs; the others about as long a time.
        load=Load(max_concurrency=(1, 2, 4, 8, 16, 32), num_prompts=(30, 60, 120, 240, 450, 1000)),
        workload=Workload(dataset="openqa", dataset_path=str(QUESTIONS), oversample=True),
        # Answers end by themselves: of equal length, all streams would end, and the next ones begin, in one step.
        sampling=Sampling(max_tokens=128),
        output=Output(out=out, label=("demo",)),
    )


def prepare(spec: RunSpec, stop: StopSignal | None = None) -> RunPlan:
    """Settle everything that can fail before the first request: lists, data, address, model.

    Raises:
        UsageError, DataError, EndpointError: what is wrong and what to do.
        InterruptedEarlyError: ``stop`` was asked for while the server was silent.
    """
    stop = stop or StopSignal()
    load_points(spec)
    spec, dialect, spoken = settle(spec)
    points = load_points(spec)
    check_limits(_shared(points, spec), system_limits())
    parse_slos(spec.measure.slo)
    # Else the data is looked at first, which takes no network.
    reached = _reach(spec, dialect.capability, stop) if spec.workload.tokenizer == SERVER_TOKENIZER else None
    tokenizer = load_tokenizer(spec.workload.tokenizer) if reached is None else _server_tokenizer(reached)
    feed = RowFeed(lambda point: open_dataset(spec, point, tokenizer), spec.workload.oversample)
    points = tuple(feed.settle(point) for point in points)
    shared, limits = _shared(points, spec), system_limits()
    warmup = warmup_point(spec, points[0])
    # The longest point is drawn once beforehand, so that a file that is too short fails before anything was sent.
    longest = max(points, key=lambda point: point.num_prompts or 0)
    drawn = RowFeed(lambda point: open_dataset(spec, point, tokenizer), spec.workload.oversample)
    (feed if longest.trace else drawn).take(longest, "check")  # a trace, which may be long, is not read again
    reached = reached or _reach(spec, dialect.capability, stop)
    excess = warning(_need(spec, points, load_envelope(cache_dir(os.environ), this_machine()).envelope))
    doubts = [f"{doubt.message}; {doubt.next_step}" for doubt in limit_doubts(shared, limits)]
    odd = length_notes(spec.workload)
    notes = (*reached.notes, *spoken, *odd, *doubts, *([] if excess is None else [excess]))
    everything = (warmup, *points) if warmup else points
    return RunPlan(
        spec, reached.target, reached.server, reached.model, everything, tokenizer, feed, notes=notes
    )


class _Reached(NamedTuple):
    """Servers that answered."""

    target: Target
    server: ServerInfo
    model: str
    notes: tuple[str, ...]


def _reach(spec: RunSpec, capability: Capability, stop: StopSignal) -> _Reached:
    """Ask every server what it serves, and whether it does what the run will ask of it between load points.

    Raises:
        UsageError, EndpointError, InterruptedEarlyError: as ``prepare``.
    """
    clock, stopped = MonotonicClock(), lambda: stop.level > 0
    found = target_of(spec.endpoint, os.environ)
    asked = speaking(found.target, spec.endpoint, capability, spec.sampling.stream)
    target, server = find_servers(asked, clock, stopped, capability.lists_models)
    model = _model(spec, capability, server, target)
    for one in target.servers if spec.prefix.flush_cache else ():
        with closing(Caller(one, clock, stopped)) as caller:
            flush_cache(caller)
    return _Reached(target, server, model, found.notes)


def _server_tokenizer(reached: _Reached) -> Tokenizer:
    return open_server_tokenizer(Caller(reached.target, MonotonicClock()), reached.model)


def _model(spec: RunSpec, capability: Capability, server: ServerInfo, target: Target) -> str:
    """The model that the run is named after; the dialect's name where no request names one and no server does."""
    mix = list(model_weights(spec.workload.model_mix))
    if not mix:
        if not (capability.names_model or spec.endpoint.model or server.models):
            return capability.name
        return choose_model(spec.endpoint, server, target)
    check_mix(mix, server, target)
    return spec.endpoint.model or mix[0]


def open_data(spec: RunSpec) -> tuple[Dataset, Tokenizer]:
    """The data of a spec's first load point, and what counts its tokens; no server is asked.

    Raises:
        UsageError, DataError: what is wrong and what to do.
    """
    tokenizer = load_tokenizer(spec.workload.tokenizer)
    return open_dataset(spec, load_points(spec)[0], tokenizer), tokenizer


def _shared(points: Sequence[LoadPoint], spec: RunSpec) -> list[tuple[LoadPoint, int]]:
    """Each load point with the number of workers that will share it."""
    return [(point, resolve_workers(spec.load.workers, point, usable_cores())) for point in points]


def _need(spec: RunSpec, points: Sequence[LoadPoint], envelope: Envelope | None) -> Need | None:
    """How much of the envelope a plan needs; None without an envelope."""
    return None if envelope is None else largest(envelope, demand(_shared(points, spec), spec))


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What can be said before a run.

    Attributes:
        findings: settings of this machine, and where a plan may meet them.
        envelope: what the generator was found to carry here; None when that was never measured.
        hint: why there is no envelope, and what to do; empty when there is one.
        need: what the plan takes of the envelope; None without a plan or without an envelope.
        refused: why a run would not begin; None when it would, or without a plan.
    """

    findings: list[Finding]
    envelope: Envelope | None
    hint: str
    need: Need | None
    refused: UsageError | None


def check(plan: RunSpec | None = None) -> CheckReport:
    """Look at this machine, at the stored envelope, and at what a plan needs of both. Nothing is sent.

    Args:
        plan: the run in question; its address is not used.

    Raises:
        UsageError: the plan contradicts itself.
    """
    stored = load_envelope(cache_dir(os.environ), this_machine())
    need, refused = None, None
    findings = look()
    if plan is not None:
        points = load_points(plan)
        shared, limits = _shared(points, plan), system_limits()
        need = _need(plan, points, stored.envelope)
        findings += [Finding("plan", False, *doubt) for doubt in limit_doubts(shared, limits)]
        try:
            check_limits(shared, limits)
        except UsageError as error:
            refused = error
    return CheckReport(findings, stored.envelope, stored.hint, need, refused)


def calibrate(
    observer: CalibrationObserver, workers: int | None = None, keep: Path | None = None
) -> Calibration:
    """Measure how much load the generator carries on this machine, in less than 90 s. Stores nothing.

    Args:
        observer: told of each load that is tried.
        workers: processes that carry the load; None = one, for what one carries can be scaled to more, but more of
            them leave the truth server too few cores to find their limit.
        keep: directory to keep the run folders in.

    Raises:
        LoadgenError: the truth server or a worker failed.
    """
    around = Surroundings(
        machine=this_machine(),
        cores=allowed_cores(),
        limits=system_limits(),
        clock=MonotonicClock(),
        utc_now=utc_now,
        measure=lambda spec, watcher: execute(prepare(spec), watcher, StopSignal()),
    )
    return calibrating.calibrate(around, workers or 1, observer, keep)


def store_envelope(envelope: Envelope) -> Path:
    """Keep ``envelope`` as that of this machine: ``run`` and ``check`` hold plans against it from now on.

    Returns:
        The file that it is in.

    Raises:
        UsageError: it cannot be stored.
    """
    return save_envelope(cache_dir(os.environ), envelope)


def _exit_code(summary: RunSummary, stop: StopSignal) -> int:
    if stop.level:
        return EXIT_INTERRUPTED
    if summary.verdict.word == "INVALID":
        return EXIT_INVALID
    # A limit that cannot be judged must not pass for a limit that was met.
    missed = any(result.met is not True for point in summary.points for result in point.slo)
    return EXIT_SLO_NOT_MET if missed else 0


def report(path: Path) -> RunSummary:
    """Recompute every number of a closed run from its folder, and write ``summary.json`` and ``vllm.json``.

    Raises:
        RunFolderError: not a run folder, or a run that was not closed.
    """
    record = read_run(path)
    summary = summarize(record)
    write_summary(record, summary)
    verdict = {"word": summary.verdict.word, "failed": _failed(summary)}
    if record.meta.verdict != verdict:
        record.meta.verdict = verdict
        write_meta(path, record.meta)
    return summary


def _failed(summary: RunSummary) -> list[str]:
    """Names of the conditions that do not hold, each once, in order."""
    verdicts = [summary.verdict, *(point.verdict for point in summary.points)]
    return list(dict.fromkeys(condition.name for verdict in verdicts for condition in verdict.failed))


def recover(path: Path) -> RunRecord:
    """Close a run that was killed: every request that had finished is in its tables afterwards.

    A run that is closed already is returned as it is.

    Raises:
        RunFolderError: not a run folder, or that of a run which is still going on.
    """
    read_meta(path)
    with writing(path, KILLED_WORKER_S):
        if (path / JOURNAL).is_dir():
            meta = read_meta(path)
            if meta.state == "running":
                meta.state = "recovered"
                meta.notes.append("recovered from the journal of a run that did not end by itself")
            close_journal(path, meta)
    return read_run(path)


def list_runs(out: Path) -> list[RunListing]:
    """The run folders in ``out``, oldest first; a folder that cannot be read is listed with its state."""
    folders = (path.parent for path in out.glob(f"*/{RUN_JSON}") if not path.parent.is_symlink())
    return [_listing(folder) for folder in sorted(folders)]


def _listing(folder: Path) -> RunListing:
    try:
        meta = read_meta(folder)
    except InferometerError as error:
        return RunListing(folder, "", "", "", f"unreadable: {error.message}", "", 0, False, 0)
    closed = not (folder / JOURNAL).is_dir()
    measured = [point for point in meta.points if point.kind == "measure"]
    return RunListing(
        path=folder,
        created_utc=meta.created_utc,
        model=meta.model,
        label=meta.label,
        state=meta.state if closed else "not closed",
        verdict=str((meta.verdict or {}).get("word", "")),
        points=len(measured),
        simulated=meta.simulated,
        requests=sum(point.dispatched for point in measured) if closed else len(read_frames(folder).requests),
    )

"""A whole run: folder, workers, load points one after the other, tables. Decides nothing about the numbers."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from inferometer.client.dialects import BodyOptions, open_dialect, path_of
from inferometer.client.probe import ServerInfo, next_step_for_wire
from inferometer.client.target import Target
from inferometer.clock import MonotonicClock, utc_now
from inferometer.errors import EndpointError, InferometerError, LoadgenError, RunFolderError
from inferometer.loadgen.affinity import allowed_cores, core_of, usable_cores
from inferometer.loadgen.before import all_made, make_ready, warming
from inferometer.loadgen.conduct import Conduct, EndOfRun, Finished, in_order
from inferometer.loadgen.counters import CounterReadings
from inferometer.loadgen.crew import Crew, Outcome
from inferometer.loadgen.link import Fleet
from inferometer.loadgen.messages import Conversation, Setup, StartPoint, WireRequest
from inferometer.loadgen.nodes.fleet import RemoteFleet
from inferometer.loadgen.pauses import pausing, rest
from inferometer.loadgen.plan import FollowTurns, body_options, planned_turns, point_record, wire_requests
from inferometer.loadgen.process import LocalFleet
from inferometer.loadgen.progress import Observer
from inferometer.loadgen.resume import Past, go_on, open_sitting, taken_up
from inferometer.loadgen.sessions import first_turn, without_later_turns
from inferometer.loadgen.shards import Dealer, resolve_workers
from inferometer.loadgen.stop import StopSignal
from inferometer.metrics.failures import NEXT_STEPS
from inferometer.record.engine import EngineRecord
from inferometer.record.folder import JOURNAL, create_folder, point_latest, write_meta
from inferometer.record.lock import writing
from inferometer.record.sittings import end_sitting, latest_sitting, successor
from inferometer.record.store import close_journal, read_frames, read_open_point
from inferometer.record.types import PointRecord, RequestRecord, RunMeta, RunState
from inferometer.schedule import owner_of, pack_offsets
from inferometer.spec import LoadPoint, RunSpec, load_title, public_dict
from inferometer.version import __version__
from inferometer.workload import DatasetInfo, RowFeed, Tokenizer


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Everything that is settled before the first request goes out."""

    spec: RunSpec
    target: Target
    server: ServerInfo
    model: str
    points: tuple[LoadPoint, ...]  # those known beforehand, warm-up first, if any
    tokenizer: Tokenizer
    feed: RowFeed
    notes: tuple[str, ...] = ()  # what was known beforehand; kept in run.json
    data: DatasetInfo | None = None  # of the longest load point
    remote_workers: int | None = None  # on all nodes of a cluster together; None = they run on this machine
    numbered: int = 0  # highest number of a load point that is there already, of a run that goes on
    engine: EngineRecord | None = None  # the server, where it was started for the run
    housed: Callable[[Path], None] = lambda folder: None  # told the run folder once it is there

    def points_after(self, point: LoadPoint) -> int:
        """How many of the measured load points known beforehand come after ``point``."""
        places = [place for place, each in enumerate(self.points) if each.index == point.index]
        return sum(each.kind == "measure" for each in self.points[places[0] + 1 :]) if places else 0

    @property
    def measured(self) -> int:
        """How many load points count; of a run that goes on, those that are there too."""
        return max(self.numbered, sum(1 for point in self.points if point.kind == "measure"))


def execute(
    plan: RunPlan,
    observer: Observer,
    stop: StopSignal,
    conduct: Conduct | None = None,
    past: Past | None = None,
    fleet: RemoteFleet | None = None,
) -> Path:
    """Carry out load points and close the run folder, whatever happens on the way.

    A worker that dies while requests are sent ends the run, but is no error here: the run is closed with what was
    finished, its load point is "lost", and a note says how the worker ended.

    Args:
        plan: what was settled beforehand.
        observer: told how far it is.
        stop: asked for, it ends the run early.
        conduct: which load points, in which order; None = those of the plan. It may carry out others, which follow
            from what those before have shown.
        past: the run that it goes on with, in whose folder it measures what that lacks; None = a new run.
        fleet: other machines that send the load, see ``RunPlan.remote_workers``; None = this one does.

    Raises:
        EndpointError: every warm-up request failed; the first error is in the message.
        LoadgenError: a worker cannot go on, or died before anything was sent, or the folder cannot be closed;
            finished requests are in it.
        RunFolderError: the folder cannot be made.
    """
    clock = MonotonicClock()
    conduct = conduct or in_order(plan.points)
    meta = _meta(plan)
    if past is None:
        folder = create_folder(Path(plan.spec.output.out), utc_now(), plan.model, meta.label)
        meta.run_id = folder.name
    else:
        folder, meta = past.folder, taken_up(past, meta)
        conduct = go_on(past, conduct, plan.feed)
    if fleet is not None:
        meta.nodes += fleet.nodes_of(len(meta.sittings))
    with writing(folder) if past is None else nullcontext(past.lock) as lock:
        open_sitting(folder, meta, clock, () if past is None else past.changed)
        meta.state = "failed"  # until the run has come to its end
        point_latest(folder.parent, folder)
        plan.housed(folder)
        if fleet is not None:
            fleet.begin(folder)
        with _Closing(folder, meta, clock):
            sitting = _Sitting(plan, meta, (folder, fleet or LocalFleet(folder, lock), clock), observer, stop)
            if sitting.conducted(conduct):
                meta.state = "interrupted" if stop.level else "complete"
    return folder


class _Closing:
    """Closes the run folder however the run ends; what went wrong before is told rather than a failure to close."""

    def __init__(self, folder: Path, meta: RunMeta, clock: MonotonicClock) -> None:
        self._folder = folder
        self._meta = meta
        self._clock = clock

    def __enter__(self) -> None:
        """Nothing to open: the folder exists."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Nobody turned Ctrl-C into a StopSignal, as in a notebook.
        state: RunState = "interrupted" if isinstance(error, KeyboardInterrupt) else self._meta.state
        end_sitting(self._meta, state, self._clock)
        if isinstance(error, InferometerError):
            error.run_folder = str(self._folder)
            self._meta.notes.append(error.message)
        try:
            close_journal(self._folder, self._meta)
        except RunFolderError as trouble:
            if error is None:
                unclosed = LoadgenError(trouble.message, trouble.next_step)
                unclosed.run_folder = str(self._folder)
                raise unclosed from None
            if isinstance(error, InferometerError):
                error.next_step = trouble.next_step


def _meta(plan: RunPlan) -> RunMeta:
    words = [text for text in plan.spec.output.label if "=" not in text]
    pairs = [text.partition("=") for text in plan.spec.output.label if "=" in text]
    return RunMeta(
        run_id="",
        state="running",
        simulated=plan.server.simulated,
        created_utc=utc_now().isoformat(timespec="seconds"),
        model=plan.model,
        label="-".join(words),
        labels={key: value for key, _, value in pairs},
        spec=public_dict(plan.spec),
        environment=environment(),
        server=msgspec.to_builtins(plan.server),
        engine=plan.engine,
        points=[_record_of(plan, point) for point in plan.points],
        notes=list(plan.notes),
    )


def _record_of(plan: RunPlan, point: LoadPoint) -> PointRecord:
    asked = plan.spec.load.workers if plan.remote_workers is None else plan.remote_workers
    workers = resolve_workers(asked, point, usable_cores())
    record = point_record(point, workers, pack_offsets(plan.feed.offsets_ns(point)))
    record.speculative_tokens = plan.spec.endpoint.num_speculative_tokens
    record.scheduler_steps = plan.spec.endpoint.num_scheduler_steps
    return record


def environment() -> dict[str, Any]:
    """The machine and the versions that measured; nothing that names a person or a network."""
    return {
        "inferometer": __version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
    }


class _Sitting:
    """Load points carried out with one crew, one after the other."""

    def __init__(
        self,
        plan: RunPlan,
        meta: RunMeta,
        where: tuple[Path, Fleet, MonotonicClock],
        observer: Observer,
        stop: StopSignal,
    ) -> None:
        self._plan = plan
        self._meta = meta
        self._folder, self._fleet, self._clock = where
        self._observer = observer
        self._stop = stop
        self._crew: Crew
        self._began = False
        names = {plan.model, plan.spec.endpoint.model, plan.spec.endpoint.served_model_name} - {None}
        self._counters = CounterReadings(plan.spec, plan.target, [str(name) for name in names], self._clock)
        self._rests = False  # the latest load point was a measured one: the next comes after a pause

    def conducted(self, conduct: Conduct) -> bool:
        """Carry out what ``conduct`` asks for; False when the rest was left out, because it would measure nothing."""
        planned = {point.index for point in self._plan.points}
        most = max((point.workers for point in self._meta.points if point.index in planned), default=1)
        with Crew(partial(_setup, self._plan, self._folder), most, self._fleet, self._clock) as crew:
            self._crew = crew
            try:
                conduct(self._carry_out)
            except EndOfRun as end:
                rest = f"; load points left out after it: {end.left_out}" if end.left_out else ""
                if end.reason is not None:
                    self._meta.notes.append(end.reason + rest)
                    self._observer.on_notice(end.reason + rest)
                return end.whole
        return True

    def _carry_out(self, point: LoadPoint) -> Finished:
        if self._stop.level:
            raise EndOfRun(whole=True)
        place = self._place(point)
        record = self._record(point, self._meta.points[place])
        self._rest_before(point, record)
        outcome = _point(
            self._plan,
            (self._crew, self._counters),
            (point, record, self._folder.name),
            self._observer,
            self._stop,
        )
        if outcome.lost and not outcome.began and not self._began:
            raise LoadgenError(
                outcome.lost[0], "if memory ran out, lower the load, else see the system's log"
            )
        self._began, self._rests = True, point.kind == "measure"
        done = outcome.point
        self._meta.points[place] = successor(self._meta.points[place], done)
        # The journal has all but what this process alone knows, and says if it has not.
        with suppress(RunFolderError):
            self._write_meta()
        self._observer.on_point_end(done)
        named = f"load point {done.index} ({load_title(done.load)})"
        if outcome.trouble is not None:
            self._meta.notes.append(f"{named}: {outcome.trouble}")
        if outcome.lost:
            raise EndOfRun(f"{named}: {'; '.join(outcome.lost)}", self._plan.points_after(point))
        told = None
        if done.kind == "warmup" and not self._stop.level and not _answered(outcome):
            _check_warmup(self._folder, done)
        elif (reason := _hopeless(outcome, self._stop)) is not None:
            told = f"{named}: {reason}"
        return Finished(done, told, partial(read_open_point, self._folder, done.index))

    def _rest_before(self, point: LoadPoint, record: PointRecord) -> None:
        """The pause that was asked for, noted in the load point that it precedes."""
        pause_s = self._plan.spec.sweep.pause_s
        if pause_s is None or not self._rests:
            return
        told = pausing(abs(point.index), self._plan.measured, load_title(record.load), pause_s)
        rested_s = rest(pause_s, told, self._observer, self._stop, self._clock)
        if self._stop.level:
            raise EndOfRun(whole=True)
        record.paused_s = rested_s

    def _record(self, point: LoadPoint, known: PointRecord) -> PointRecord:
        """The record of ``point``, which begins; that of an earlier sitting is left as it is."""
        record = known if known.epoch_ns is None else _record_of(self._plan, point)
        record.sitting = latest_sitting(self._meta)
        return record

    def _write_meta(self) -> None:
        """As it is now: whoever finds it so without us knows that the run was killed."""
        state, self._meta.state = self._meta.state, "running"
        try:
            write_meta(self._folder, self._meta)
        finally:
            self._meta.state = state

    def _place(self, point: LoadPoint) -> int:
        """Where the record of ``point`` is; one that the plan does not have is added, so that it can be recovered."""
        for place, known in enumerate(self._meta.points):
            if known.index == point.index:
                return place
        self._meta.points.append(_record_of(self._plan, point))
        self._write_meta()
        return len(self._meta.points) - 1


def _setup(plan: RunPlan, folder: Path, worker: int, workers: int) -> Setup:
    """What the worker of that number, of so many, is told first."""
    return Setup(
        target=plan.target,
        journal=str(folder / JOURNAL / f"worker-{worker}.seg"),
        worker=worker,
        dialect=plan.spec.endpoint.backend,
        template=plan.spec.endpoint.template,
        tokenizer=plan.spec.workload.tokenizer,
        keep_text=plan.spec.output.keep_text,
        cpu=core_of(worker, workers, allowed_cores()),
    )


def _hopeless(outcome: Outcome, stop: StopSignal) -> str | None:
    """Why further load points would measure nothing; None when they might."""
    point, last = outcome.point, outcome.progress
    if stop.level:
        return None
    if point.stop_reason == "unreachable":
        return "the server was gone"
    if last is not None and last.done == last.failed:
        return f"none of {last.done} requests succeeded"
    return None


def _point(
    plan: RunPlan,
    by: tuple[Crew, CounterReadings],
    what: tuple[LoadPoint, PointRecord, str],
    observer: Observer,
    stop: StopSignal,
) -> Outcome:
    point, record, run_id = what
    crew, counters = by
    # The run's own name is part of the salt: the same command run twice must not find its prompts in the cache of
    # a server that has kept running.
    same = plan.spec.sweep.same_prompts
    again = f"-{record.sitting}" if record.sitting else ""  # what was sent of it before may be in a cache
    salt = run_id if same else f"{run_id}-{point.index}{again}"
    dialect = open_dialect(plan.spec.endpoint.backend, plan.spec.endpoint.template)
    options = body_options(plan.spec, point, plan.model)
    requests = plan.feed.take(point, salt)
    conversation = _conversation(plan.spec, point, options)
    if plan.spec.sessions.wanted and conversation is None:
        requests = map(without_later_turns, requests)
    wire = wire_requests(
        requests, dialect, options, plan.tokenizer, plan.spec.output.keep_text, _follow(conversation)
    )
    info = plan.feed.info()
    if info is not None:
        record.dataset = {**msgspec.to_builtins(info), "salt": salt, "seed": point.seed}
        if same:
            record.dataset["same_prompts"] = True
    record.repeated_prompts = plan.feed.repeated + plan.feed.reused
    if conversation is not None:
        record.planned_requests = planned_turns(plan.spec, point, record.planned_requests, plan.feed)
    recorded = pack_offsets(plan.feed.offsets_ns(point))
    warm = warming(plan.spec, (point, salt), plan.tokenizer, dialect, options)
    wire = all_made(wire, plan.tokenizer)
    make_ready(plan.spec, plan.target, record, warm, MonotonicClock())
    before = counters.read(record)

    def start(first: list[WireRequest], complete: bool) -> StartPoint:
        return StartPoint(
            point=record,
            load=asdict(point),
            path=path_of(dialect, None, options),
            stream=plan.spec.sampling.stream,
            grace_s=plan.spec.load.grace_s,
            requests=first,
            complete=complete,
            points_total=plan.measured,
            title=load_title(record.load),
            recorded=recorded,
            conversation=conversation,
        )

    workers = record.workers
    dealer = Dealer(wire, lambda index: owner_of(point, index, workers), workers, point.peak_concurrency or 0)
    outcome = crew.run_point(start, dealer, record.workers, observer, stop)
    outcome.point.counters_before = before
    outcome.point.counters_after = counters.read(outcome.point)
    # Rows of a point that time bounds are drawn, and perhaps repeated, while it goes on.
    outcome.point.repeated_prompts = plan.feed.repeated + plan.feed.reused
    return outcome


def _conversation(spec: RunSpec, point: LoadPoint, options: BodyOptions) -> Conversation | None:
    """How later turns are made; the warm-up has none, which could take as long as what it precedes."""
    if not spec.sessions.wanted or point.kind == "warmup":
        return None
    recorded = spec.sessions.history == "dataset"
    return Conversation(options, recorded=recorded, keep_text=spec.output.keep_text)


def _follow(conversation: Conversation | None) -> FollowTurns | None:
    return None if conversation is None else partial(first_turn, recorded=conversation.recorded)


def _answered(outcome: Outcome) -> bool:
    """Whether a request is known to have succeeded, without a look into the journal."""
    return outcome.progress is not None and outcome.progress.done > outcome.progress.failed


def _check_warmup(folder: Path, point: PointRecord) -> None:
    """A service that answers no warm-up request is not put under load.

    Raises:
        EndpointError: every request failed.
        LoadgenError: none was sent.
    """
    records = [frame.record for frame in read_frames(folder).requests if frame.record.point == point.index]
    if not records:
        raise LoadgenError("the warm-up sent no request", "give --warmup 0 to go without")
    if any(record.status == "ok" for record in records):
        return
    first = records[0]
    raise EndpointError(
        f"all {len(records)} warm-up requests failed; the first: {first.status}: {first.error}",
        next_step_for(first),
    )


def next_step_for(record: RequestRecord) -> str:
    """What a person can do about a failed request."""
    error, http_status = record.error or "", record.http_status
    steps = {
        **NEXT_STEPS,
        400: "the server refuses the request body: compare --model, lengths and --extra-body with its error",
        401: "give the key with --api-key or in OPENAI_API_KEY",
        403: "give the key with --api-key or in OPENAI_API_KEY",
        404: "check --model and the path: --endpoint PATH, --backend openai-completions",
        405: "check the path of --url and --endpoint",
        407: "give the proxy's user name and password: --proxy http://USER:PASSWORD@HOST:PORT",
        422: "the server refuses the request body: compare --model, lengths and --extra-body with its error",
    }
    if http_status in steps:
        return steps[http_status]
    if http_status is not None and http_status >= 500:
        return "the server failed: see its log"
    if http_status is not None and 300 <= http_status < 400:
        return "write the address that it redirects to in --url"
    if "text/html" in error:
        return "--url leads to a web page: check host, port and path"
    if record.status in ("timeout", "connect_error"):
        return next_step_for_wire(error)
    return "see the server's log; --warmup 0 measures in spite of it"

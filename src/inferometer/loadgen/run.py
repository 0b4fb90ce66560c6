"""A whole run: folder, workers, load points one after the other, tables. Decides nothing about the numbers."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from inferometer.client.dialects import BodyOptions, open_dialect, path_of
from inferometer.client.probe import next_step_for_wire
from inferometer.clock import AnchoredClock, MonotonicClock, VirtualClock, utc_now
from inferometer.errors import EndpointError, InferometerError, LoadgenError, RunFolderError
from inferometer.loadgen.affinity import allowed_cores, core_of, usable_cores
from inferometer.loadgen.before import all_made, make_ready, warming
from inferometer.loadgen.conduct import Conduct, EndOfRun, Finished, in_order
from inferometer.loadgen.counters import CounterReadings
from inferometer.loadgen.crew import Crew, Outcome
from inferometer.loadgen.drawing import draw
from inferometer.loadgen.link import Fleet
from inferometer.loadgen.messages import Conversation, Setup, StartPoint, WireRequest
from inferometer.loadgen.nodes.fleet import RemoteFleet
from inferometer.loadgen.pauses import pausing, rest
from inferometer.loadgen.plan import FollowTurns, body_options, point_record, wire_requests
from inferometer.loadgen.process import LocalFleet
from inferometer.loadgen.progress import Observer
from inferometer.loadgen.resume import Past, go_on, open_sitting, taken_up
from inferometer.loadgen.run_plan import RunPlan
from inferometer.loadgen.sessions import first_turn
from inferometer.loadgen.shards import Dealer, resolve_workers
from inferometer.loadgen.stop import StopSignal
from inferometer.metrics.failures import NEXT_STEPS
from inferometer.record.folder import JOURNAL, create_folder, point_latest, write_meta
from inferometer.record.lock import writing
from inferometer.record.sittings import end_sitting, latest_sitting, successor
from inferometer.record.store import close_journal, read_frames, read_open_point
from inferometer.record.types import PointRecord, RequestRecord, RunMeta, RunState
from inferometer.schedule import owner_of, pack_offsets
from inferometer.spec import LoadPoint, RunSpec, load_title, public_dict
from inferometer.version import __version__


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
    clock = _clock_of(plan)
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


def _clock_of(plan: RunPlan) -> AnchoredClock:
    """The axis of the run's times; a simulated run has its own, which begins at 0 and knows no wait."""
    real = MonotonicClock()
    return real if plan.virtual is None else VirtualClock(realtime_ns=real.realtime_ns())


class _Closing:
    """Closes the run folder however the run ends; what went wrong before is told rather than a failure to close."""

    def __init__(self, folder: Path, meta: RunMeta, clock: AnchoredClock) -> None:
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
        again=plan.again,
        environment=environment(),
        server=msgspec.to_builtins(plan.server),
        engine=plan.engine,
        points=[_record_of(plan, point) for point in plan.points],
        notes=list(plan.notes),
    )


def _record_of(plan: RunPlan, point: LoadPoint) -> PointRecord:
    asked = plan.spec.load.workers if plan.remote_workers is None else plan.remote_workers
    workers = 1 if plan.virtual is not None else resolve_workers(asked, point, usable_cores())
    record = point_record(point, workers, pack_offsets(plan.feed.offsets_ns(point)))
    record.virtual = plan.virtual is not None
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


Carry = Callable[[LoadPoint, PointRecord], Outcome]


class _Sitting:
    """Load points carried out with one crew, one after the other."""

    def __init__(
        self,
        plan: RunPlan,
        meta: RunMeta,
        where: tuple[Path, Fleet, AnchoredClock],
        observer: Observer,
        stop: StopSignal,
    ) -> None:
        self._plan = plan
        self._meta = meta
        self._folder, self._fleet, self._clock = where
        self._observer = observer
        self._stop = stop
        self._carry: Carry
        self._began = False
        self._rests = False  # the latest load point was a measured one: the next comes after a pause

    def conducted(self, conduct: Conduct) -> bool:
        """Carry out what ``conduct`` asks for; False when the rest was left out, because it would measure nothing."""
        with self._carrier() as self._carry:
            try:
                conduct(self._carry_out)
            except EndOfRun as end:
                rest = f"; load points left out after it: {end.left_out}" if end.left_out else ""
                if end.reason is not None:
                    self._meta.notes.append(end.reason + rest)
                    self._observer.on_notice(end.reason + rest)
                return end.whole
        return True

    @contextmanager
    def _carrier(self) -> Iterator[Carry]:
        """What carries out a load point: a crew that sends it, or a simulated service."""
        plan = self._plan
        if plan.virtual is not None:
            from inferometer.loadgen.virtual import VirtualPoints  # a run of a real server needs no simulator

            assert isinstance(self._clock, VirtualClock)
            where = (self._folder, self._clock)
            with VirtualPoints(plan, plan.virtual, where, self._observer, self._stop) as points:
                yield points.carry_out
            return
        planned = {point.index for point in plan.points}
        most = max((point.workers for point in self._meta.points if point.index in planned), default=1)
        names = {plan.model, plan.spec.endpoint.model, plan.spec.endpoint.served_model_name} - {None}
        counters = CounterReadings(plan.spec, plan.servers, [str(name) for name in names], self._clock)

        with Crew(partial(_setup, plan, self._folder), most, self._fleet, self._clock) as crew:

            def carry(point: LoadPoint, record: PointRecord) -> Outcome:
                what = (point, record, self._folder.name)
                return _point(plan, (crew, counters), what, self._observer, self._stop)

            yield carry

    def _carry_out(self, point: LoadPoint) -> Finished:
        if self._stop.level:
            raise EndOfRun(whole=True)
        place = self._place(point)
        record = self._record(point, self._meta.points[place])
        self._rest_before(point, record)
        outcome = self._carry(point, record)
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
        clock = self._clock
        if isinstance(clock, VirtualClock):
            clock.advance_ns(round(pause_s * 1e9))
            rested_s = pause_s
        else:
            rested_s = rest(pause_s, told, self._observer, self._stop, clock)
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
        target=plan.servers,
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
    dialect = open_dialect(plan.spec.endpoint.backend, plan.spec.endpoint.template)
    options = body_options(plan.spec, point, plan.model)
    drawn = draw(plan.spec, plan.feed, (point, record, run_id))
    conversation = _conversation(plan.spec, options) if drawn.converses else None
    wire = wire_requests(
        drawn.requests, dialect, options, plan.tokenizer, plan.spec.output.keep_text, _follow(conversation)
    )
    warm = warming(plan.spec, (point, drawn.salt), plan.tokenizer, dialect, options)
    wire = all_made(wire, plan.tokenizer)
    make_ready(plan.spec, plan.servers, record, warm, MonotonicClock())
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
            recorded=drawn.recorded,
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


def _conversation(spec: RunSpec, options: BodyOptions) -> Conversation:
    """How later turns are made."""
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

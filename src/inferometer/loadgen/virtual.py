"""Load points in virtual time: the requests and the schedule of a run, answered by a simulated service."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from itertools import tee
from pathlib import Path
from types import TracebackType

import msgspec

from inferometer.clock import MonotonicClock, VirtualClock
from inferometer.errors import LoadgenError, UsageError
from inferometer.loadgen.crew import Outcome
from inferometer.loadgen.drawing import Drawn, draw
from inferometer.loadgen.progress import Observer, Progress
from inferometer.loadgen.run_plan import RunPlan
from inferometer.loadgen.stop import StopSignal
from inferometer.loadgen.virtual_asks import Asking
from inferometer.loadgen.virtual_figures import Figures, figures_of, load_of, predicted
from inferometer.loadgen.virtual_goodput import goodput_of
from inferometer.loadgen.virtual_rows import Rows, given_up, unsent
from inferometer.loadgen.virtual_service import Virtual
from inferometer.metrics.slo import parse_slos
from inferometer.record.folder import JOURNAL
from inferometer.record.journal import Frame, JournalWriter, PointEnd, PointStart
from inferometer.record.prediction import PointPrediction, write_prediction
from inferometer.record.types import PointRecord, StopReason
from inferometer.schedule import make_schedule
from inferometer.simulator.cluster.service import Ask, Served, Service
from inferometer.simulator.cluster.serving import serve_point
from inferometer.spec import LoadPoint, load_title

_TELL_EVERY_NS = 250_000_000


class VirtualPoints:
    """Carries out load points against a simulated service, and writes what a worker would write.

    Life cycle: use as a context manager; ``carry_out`` for each load point, one after the other on one virtual axis.

    Args:
        plan: what was settled beforehand.
        virtual: the service.
        where: the run folder, and the clock of the virtual axis.
        observer: told how far it is, in virtual and in real time.
        stop: asked for, it ends the load point at once.
    """

    def __init__(
        self,
        plan: RunPlan,
        virtual: Virtual,
        where: tuple[Path, VirtualClock],
        observer: Observer,
        stop: StopSignal,
    ) -> None:
        self._plan = plan
        self._virtual = virtual
        self._folder, self._clock = where
        self._observer = observer
        self._stop = stop
        self._prediction = virtual.prediction
        self._journal: JournalWriter

    def __enter__(self) -> VirtualPoints:
        self._journal = JournalWriter(self._folder / JOURNAL / "worker-0.seg")
        write_prediction(self._folder, self._prediction)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.close()

    def carry_out(self, point: LoadPoint, record: PointRecord) -> Outcome:
        """Carry out one load point; its rows are in the journal when this returns.

        Raises:
            UsageError: the service refuses all requests of a warm-up, or nobody knows how long an answer would be.
            DataError: see ``RowFeed.take``.
            LoadgenError: the journal cannot be written.
            RunFolderError: ``prediction.json`` cannot be written.
        """
        drawn = draw(self._plan.spec, self._plan.feed, (point, record, self._folder.name))
        asking = Asking(self._plan.spec, point, self._plan.tokenizer, self._virtual.service)
        wanted = self._virtual.members if record.kind == "measure" else ()
        asks, *again = tee(asking.asks(drawn.requests), 1 + len(wanted))
        record.epoch_ns = self._clock.now_ns()
        self._append(PointStart(record))
        told = _Told(self._plan, point, record, self._observer, self._stop)
        served = self._served(self._virtual.service, asks, (point, drawn), told)
        done = self._written(point, record, served, asking)
        # Rows of a point that time bounds are drawn, and perhaps repeated, while it goes on.
        record.repeated_prompts = self._plan.feed.repeated + self._plan.feed.reused
        if record.kind == "warmup":
            _check_warmup(served)
        else:
            members = (  # one after the other: the answers of all at once would fill the memory
                self._served(member, asks, (point, drawn), told.of_member(number, len(wanted)))
                for number, (member, asks) in enumerate(zip(wanted, again, strict=True), start=1)
                if not self._stop.level
            )
            self._predict(point, served, members, asking)
        return Outcome(done, told.last(len(served.answers), _failed(served)), True, ())

    def _served(
        self, service: Service, asks: Iterator[Ask], what: tuple[LoadPoint, Drawn], told: _Told
    ) -> Served:
        point, drawn = what
        served = serve_point(
            service,
            asks,
            make_schedule(point, recorded=drawn.recorded),
            until_ns=_until_ns(point),
            drain="cut" if point.drain == "cut" else "wait",
            watch=told,
        )
        answers = given_up(served.answers, self._given_up_ns(point))
        return msgspec.structs.replace(served, answers=answers)

    def _given_up_ns(self, point: LoadPoint) -> int | None:
        """When the client no longer waits for what is in flight; None = it waits for all."""
        until_ns = _until_ns(point)
        if until_ns is None:
            return None
        return until_ns + (0 if point.drain == "cut" else round(self._plan.spec.load.grace_s * 1e9))

    def _written(self, point: LoadPoint, record: PointRecord, served: Served, asking: Asking) -> PointRecord:
        """Journal the answers; the load point as it has ended."""
        given_up_ns, end_ns = self._given_up_ns(point), served.end_ns
        if given_up_ns is not None:
            end_ns = min(end_ns, given_up_ns)
        assert record.epoch_ns is not None
        rows = Rows(record.index, record.epoch_ns, self._plan.spec.sampling.stream, given_up_ns)
        for frame in rows.frames(served.answers, asking.asked):
            self._append(frame)
            record.dispatched += 1
        record.stop_reason = self._reason(_until_ns(point), served)
        record.end_ns = record.epoch_ns + end_ns
        self._append(PointEnd(record))
        self._journal.sync()
        self._clock.advance_ns(end_ns)
        return record

    def _reason(self, until_ns: int | None, served: Served) -> StopReason:
        if self._stop.level:
            return "interrupted"
        return "duration" if until_ns is not None and served.end_ns >= until_ns else "complete"

    def _predict(self, point: LoadPoint, served: Served, members: Iterator[Served], asking: Asking) -> None:
        spec, virtual = self._plan.spec, self._virtual
        percentiles, streamed = spec.measure.percentiles, spec.sampling.stream
        each_request, _ = parse_slos(spec.measure.slo if streamed else ())

        def figures(one: Served) -> Figures:
            return {
                **figures_of(one.answers, percentiles, streamed),
                **goodput_of(one.answers, each_request, unsent(one.answers, asking.asked)),
            }

        best = figures(served)
        spread = [figures(each) for each in members]
        limits = virtual.service.limits
        load = load_of(served.answers, limits.max_num_batched_tokens)
        found = PointPrediction(
            point=point.index,
            members=len(spread),
            numbers=predicted(best, spread, virtual.profile, load),
            warnings=[] if load is None else list(virtual.profile.outside(load)),
            steps=served.steps,
            busy_share=[float(busy_ns / max(served.end_ns, 1)) for busy_ns in served.busy_ns],
            kv_peak_blocks=list(served.kv_peak_blocks),
        )
        points = [*self._prediction.points, found]
        self._prediction = msgspec.structs.replace(self._prediction, points=points)
        write_prediction(self._folder, self._prediction)

    def _append(self, frame: Frame) -> None:
        try:
            self._journal.append(frame)
        except OSError as error:
            raise LoadgenError(
                f"{self._journal.path}: {os.strerror(error.errno or errno.EIO)}",
                "free some space, or use another --out",
            ) from None


class _Told:
    """Watches a load point: tells the observer of virtual and real time, and ends it when that is asked for."""

    def __init__(
        self, plan: RunPlan, point: LoadPoint, record: PointRecord, observer: Observer, stop: StopSignal
    ) -> None:
        self._observer = observer
        self._stop = stop
        self._timer = MonotonicClock()
        self._began_ns = self._next_ns = self._timer.now_ns()
        self._title = load_title(record.load)
        self._now = Progress(
            point=record.index,
            points_total=plan.measured,
            kind=record.kind,
            title=self._title,
            planned=record.planned_requests,
            done=0,
            failed=0,
            in_flight=0,
            output_tokens=0,
            elapsed_s=0.0,
            limit_s=point.duration_s,
            real_s=0.0,
            asked_concurrency=point.peak_concurrency,
            asked_rate_per_s=point.peak_rate,
        )

    def of_member(self, number: int, of: int) -> _Told:
        """The same for a member of the ensemble."""
        self._now = msgspec.structs.replace(self._now, title=f"{self._title}, interval {number}/{of}")
        return self

    def __call__(self, virtual_ns: int, done: int) -> bool:
        now_ns = self._timer.now_ns()
        if now_ns >= self._next_ns:
            self._next_ns = now_ns + _TELL_EVERY_NS
            real_s = (now_ns - self._began_ns) / 1e9
            self._now = msgspec.structs.replace(
                self._now, done=done, elapsed_s=virtual_ns / 1e9, real_s=real_s, stopping=self._stop.level > 0
            )
            self._observer.on_progress(self._now)
        return self._stop.level > 0

    def last(self, done: int, failed: int) -> Progress:
        """How it ended."""
        return msgspec.structs.replace(self._now, title=self._title, done=done, failed=failed)


def _until_ns(point: LoadPoint) -> int | None:
    return None if point.duration_s is None else round(point.duration_s * 1e9)


def _failed(served: Served) -> int:
    return sum(answer.refused is not None for answer in served.answers)


def _check_warmup(served: Served) -> None:
    """A service that refuses every request is not put under load.

    Raises:
        UsageError: it does.
    """
    refused = next((answer.refused for answer in served.answers if answer.refused is not None), None)
    if refused is not None and _failed(served) == len(served.answers):
        raise UsageError(
            f"the simulated service refuses every request of the warm-up: {refused}",
            'give shorter prompts and answers, or raise its context: --engine-args "--max-model-len N"',
        )

"""One load point in one worker: the loop that joins requests, schedule and transport."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from inferometer.client.decode import DecodeOptions, decode_steps
from inferometer.client.exchange import Exchange
from inferometer.client.poller import MOST_EVENTS
from inferometer.client.reactor import Reactor
from inferometer.loadgen.backlog import Backlog, Decoded
from inferometer.loadgen.health import HealthMeter, Place
from inferometer.loadgen.leavers import Leavers
from inferometer.loadgen.messages import FromWorker, Need, Ready, Setup, StartPoint, Status, WireRequest
from inferometer.loadgen.progress import Progress
from inferometer.loadgen.sessions import Sessions, never_sent, said_by_server
from inferometer.record.journal import JournalWriter, PointEnd, PointStart, RequestFrame
from inferometer.record.types import ChunkColumns, HealthSample, PointRecord, RequestRecord, StopReason
from inferometer.schedule import Schedule, Shard
from inferometer.spec import LoadPoint

SENDS_PER_TURN = 32
STATUS_EVERY_NS = 250_000_000
CONNECT_LIMIT_NS = 5_000_000_000
CONNECTS_PER_TURN = 16
OPEN_LOOP_CONNECTIONS = 64
LOW_WATER = 1024  # ask for more requests when fewer wait, or when fewer than two rounds of the permits do
LOW_WATER_BYTES = 32 << 20  # but not while so much of them waits: a single prompt may have 64 MB
# A closed loop on a server that is gone would fail some 20,000 times a second until its time is up.
GONE_FAILURES = 1000
GONE_NS = 5_000_000_000
DECODE_NS = 200_000  # at most between two looks at the sockets
LONG_BODY_BYTES = 1 << 14  # copying a longer one takes more time than a system call
BIG_BODY_BYTES = 1 << 16  # a larger body is not kept once it has been handed to the transport


class PointRun:
    """Carries out one load point, or this worker's share of it.

    Life cycle: made with the first batch of requests; ``run`` connects, says ``Ready``, waits for ``go``, and
    returns when the point is over and journalled. ``go``, ``more`` and ``stop`` are called from the control channel
    while ``run`` is polling.

    Args:
        start: the whole point, with this worker's requests.
        setup: the worker's constants.
        parts: transport, shared by all points of a run; when to send, this worker's share; where finished requests
            go; how responses are decoded.
        say: sends a message to the parent.
        control: reads the control channel when it is ready.
    """

    def __init__(
        self,
        start: StartPoint,
        setup: Setup,
        parts: tuple[Reactor, Schedule, JournalWriter, DecodeOptions],
        say: Callable[[FromWorker], None],
        control: Callable[[], None],
    ) -> None:
        self.start = start
        self.point: PointRecord = start.point
        self.reactor, self.schedule, self.journal, self.decoding = parts
        self.clock = self.reactor.clock
        self.worker, self.cpu = setup.worker, setup.cpu
        self.keep_text = setup.keep_text
        self.say = say
        self.control = control
        self.requests: deque[WireRequest] = deque()
        self.waiting_bytes = 0  # of ``requests``
        self.more(start.requests, start.complete)
        self.load = LoadPoint(**start.load)
        framing = self.decoding.dialect.capability.framing
        self.leavers = Leavers(self.load, framing) if self.load.cancel_share else None
        self.flying: dict[int, WireRequest] = {}
        self.sessions = Sessions(start.conversation, self.decoding.dialect)
        self.backlog = Backlog(
            lambda exchange: decode_steps(exchange, self._decoding_of(exchange)), self._store
        )
        # All permits of a closed loop may come free together, when answers of equal length end.
        self.low_water = max(LOW_WATER, 2 * self._connections_wanted())
        self.epoch_ns = 0
        self.until_ns: int | None = None  # nothing that is due then, or later, is sent
        self.stop_level = 0
        self.give_up_ns: int | None = None
        self.done = self.failed = self.output_tokens = 0
        self.disk_error: str | None = None
        self.unconnected = 0  # connect errors in a row
        self.unconnected_since_ns = 0
        self.health: HealthMeter
        self.latest: HealthSample | None = None
        self.status_at_ns = 0

    def run(self) -> PointRecord:
        """Send, receive, decode when idle, until everything that was sent has ended."""
        self._connect()
        self._begin()
        while not self._over():
            now_ns = self.clock.now_ns()
            self._dispatch(now_ns)
            if self.backlog:
                self._decode(now_ns)
            else:
                self.reactor.serve(self._deadline())
            self._collect()
            self._attend(self.clock.now_ns())
        self.backlog.drain(self.clock.now_ns)
        return self._finish()

    def _decode(self, now_ns: int) -> None:
        """Look after the sockets, then decode: for a moment, as receive times come from the kernel.

        Not while more is ready to be read than one look takes, for events that wait together lose their times; nor,
        where our reads are the receive times, while anything is. An answer that has waited long gets a step all the
        same, and one without a body costs next to nothing.
        """
        backlog = self.backlog
        ready = 0 if backlog.full else self.reactor.poll(0)  # what was sent for it may be answered already
        if self.reactor.finished:  # what may be sent in their place goes before decoding them
            self._collect()
            now_ns = self.clock.now_ns()
            self._dispatch(now_ns)
        kernel = self.reactor.kernel_stamps
        until_ns = 0
        if ready < (MOST_EVENTS - 1 if kernel else 1):  # the timer may have taken a place
            until_ns = min(now_ns + DECODE_NS, self._deadline()) if kernel else 0
        elif not (backlog.overdue(now_ns) or backlog.full or backlog.pressing):
            return
        backlog.step(now_ns)
        # A session that goes on is not delayed by the rest of the backlog.
        while backlog and not self.sessions.due(until_ns):
            if not (backlog.full or backlog.bare or self.clock.now_ns() < until_ns):
                return
            backlog.step(now_ns)

    def _decoding_of(self, exchange: Exchange) -> DecodeOptions:
        """What is repeated in the next turn of a session is kept until then."""
        if self.flying[exchange.index].later is None or not self.sessions.needs_answers:
            return self.decoding
        return self.decoding._replace(keep_text=True)

    def more(self, requests: list[WireRequest], complete: bool) -> None:
        """Take a further batch."""
        self.requests.extend(requests)
        self.waiting_bytes += sum(request.weight for request in requests)
        self.complete = complete
        self.asked_for_more = False

    def stop(self, level: int, reason: StopReason = "interrupted") -> None:
        """Send nothing more; 1: give what is in flight the grace time, 2: end it now."""
        self.stop_level = max(self.stop_level, level)
        self.point.stop_reason = self.point.stop_reason or reason
        grace_ns = round(self.start.grace_s * 1e9) if self.stop_level < 2 else 0
        give_up_ns = self.clock.now_ns() + grace_ns
        self.give_up_ns = min(self.give_up_ns or give_up_ns, give_up_ns)

    def go(self, epoch_ns: int) -> None:
        """All workers are ready; the point begins at ``epoch_ns``."""
        self.epoch_ns = epoch_ns
        limit_s = self.load.duration_s
        self.until_ns = None if limit_s is None else epoch_ns + round(limit_s * 1e9)

    def _connect(self) -> None:
        """Open the connections gradually before the epoch, so that connecting is no part of the load."""
        wanted = self._connections_wanted()
        limit_ns = self.clock.now_ns() + CONNECT_LIMIT_NS
        self.reactor.drop_old()
        while (
            self.reactor.keep_alive
            and self.reactor.idle < wanted
            and self.clock.now_ns() < limit_ns
            and not self.stop_level
        ):
            before = self.reactor.connections
            for number in range(before, min(before + CONNECTS_PER_TURN, wanted)):
                self.reactor.open_idle(
                    self.worker + number * self.point.workers
                )  # as our requests are numbered
            self.reactor.poll(self.clock.now_ns() + 5_000_000)
            self._hear()
            if self.reactor.connections == 0:
                return  # nobody listens: the requests themselves will say so

    def _connections_wanted(self) -> int:
        """This worker's part of the connections that the whole point will keep."""
        in_all = min(self.load.peak_concurrency or OPEN_LOOP_CONNECTIONS, self.load.num_prompts or 1 << 30)
        return len(Shard(self.worker, self.point.workers).slots(in_all))

    def _begin(self) -> None:
        """Wait for the instant at which all workers begin; a point that is stopped before it never began."""
        self.say(Ready())
        while not self.epoch_ns and not self.stop_level:
            self.reactor.poll(None)
            self._hear()
        self.reactor.poll(0)  # the turns that follow are the point's own
        place = Place(self.point.index, self.worker, self.cpu)
        self.health = HealthMeter(self.clock.now_ns(), self.reactor, place)
        if self.epoch_ns:
            self.point.epoch_ns = self.epoch_ns
            self._append(PointStart(self.point, self.worker))

    def _over(self) -> bool:
        if self.reactor.in_flight or self.reactor.finished:
            return False
        if self.stop_level:
            return True
        return not self.sessions.open and (self.schedule.exhausted() or (self.complete and not self.requests))

    def _deadline(self) -> int:
        """Until when the transport may wait."""
        wake_ns = self.status_at_ns
        if self.leavers is not None and self.leavers.waiting:
            wake_ns = min(wake_ns, self.leavers.waiting[0].due_ns)
        if self.stop_level:
            return min(self.give_up_ns or 0, wake_ns)
        due = self.schedule.wake_ns() if self.requests or self.complete else None
        if due is not None:
            wake_ns = min(self.epoch_ns + due, wake_ns)
        return min(self.sessions.ready[0].due_ns, wake_ns) if self.sessions.ready else wake_ns

    def _dispatch(self, now_ns: int) -> None:
        if self.stop_level:
            return
        if self.until_ns is not None and now_ns >= self.until_ns:
            now_ns = self.until_ns - 1  # what was due before is sent, however late
        if self.sessions.ready:
            self._dispatch_turns(now_ns)
        for _ in range(SENDS_PER_TURN):
            due = self.schedule.wake_ns()
            if due is None or self.epoch_ns + due > now_ns:
                return
            if not self.requests:
                if self.complete:
                    self.stop(1, "data")
                return
            planned = self.schedule.take()
            request = self.requests.popleft()
            self.waiting_bytes -= request.weight
            if request.later is not None:
                self.sessions.begin()
            index = planned.request if request.index is None else request.index
            queued_ns = None if planned.queued_ns is None else self.epoch_ns + planned.queued_ns
            self._send(request, index, self.epoch_ns + planned.planned_ns, queued_ns, planned.request)

    def _dispatch_turns(self, now_ns: int) -> None:
        """Send the later turns of sessions that are due."""
        for _ in range(SENDS_PER_TURN):
            if not self.sessions.due(now_ns):
                return
            due_ns, number, server, request = self.sessions.take()
            self._send(request, number, due_ns, None, server)

    def _send(
        self, request: WireRequest, index: int, planned_ns: int, queued_ns: int | None, place: int
    ) -> None:
        """Send one request; ``place`` in the order of sessions decides the server, which then has all of its turns."""
        head = self.reactor.post_head(place, request.path or self.start.path, len(request.body))
        leavers = self.leavers
        kind = Exchange if leavers is None else leavers.kind_of(index, request.output_tokens_target)
        if len(request.body) < LONG_BODY_BYTES:
            exchange = kind(index, head + request.body, planned_ns, queued_ns)
        else:
            exchange = kind(index, head, planned_ns, queued_ns, request.body)
        exchange.echoed = request.echoed
        if len(request.body) > BIG_BODY_BYTES:
            request = msgspec.structs.replace(request, body=b"")
        self.flying[exchange.index] = request
        self.point.dispatched += 1
        self.reactor.send(exchange, place)
        if leavers is not None:
            leavers.sent(exchange, self.clock.now_ns())
        self._note_send(exchange)

    def _note_send(self, exchange: Exchange) -> None:
        if exchange.sent_ns is None:
            return  # still connecting, which is not the generator's lateness
        lag_ns = exchange.sent_ns - (exchange.queued_ns or exchange.planned_ns)
        if lag_ns > self.reactor.turns.send_lag_max_ns:
            self.reactor.turns.send_lag_max_ns = lag_ns

    def _collect(self) -> None:
        """Free the permits of what has ended, at the time at which its last byte arrived.

        A session keeps its permit until its last turn has ended, and its next turn waits for the answer.
        """
        finished = self.reactor.finished
        while finished:
            exchange = finished.popleft()
            end_ns = exchange.end_ns or self.clock.now_ns()
            request = self.flying[exchange.index]
            if request.later is None:
                self.schedule.release(end_ns - self.epoch_ns)
                if request.turn and request.index is not None:
                    self.sessions.end()
            self.backlog.add(exchange, presses=request.later is not None)
            if exchange.failure == "connect_error":
                self._unconnected(end_ns)
            else:
                self.unconnected = 0

    def _unconnected(self, now_ns: int) -> None:
        """Send nothing more once nobody has been there for a while."""
        self.unconnected += 1
        if self.unconnected == 1:
            self.unconnected_since_ns = now_ns
        elif self.unconnected >= GONE_FAILURES and now_ns - self.unconnected_since_ns > GONE_NS:
            self.stop(1, "unreachable")

    def _store(self, exchange: Exchange, decoded: Decoded) -> None:
        """Journal one decoded request; only then it counts as done."""
        record, chunks = decoded
        request = self.flying.pop(exchange.index)
        record = msgspec.structs.replace(
            record,
            point=self.point.index,
            worker=self.worker,
            row=request.row,
            session=request.session,
            turn=request.turn,
            turns_left=0 if request.later is None else len(request.later.turns),
            input_tokens_target=request.input_tokens_target,
            input_tokens_client=request.input_tokens_client,
            output_tokens_target=request.output_tokens_target,
            prompt=request.prompt if self.keep_text else None,
            model=request.model,
            images=request.images,
            image_bytes=request.image_bytes,
        )
        if request.later is not None:
            record = self._go_on(request, record, chunks)
        self._append(RequestFrame(record, chunks))
        self.done += 1
        self.failed += record.status not in ("ok", "aborted")
        self.output_tokens += record.output_tokens_server or record.output_tokens_client or 0

    def _go_on(self, request: WireRequest, record: RequestRecord, chunks: ChunkColumns) -> RequestRecord:
        """After a turn that is not its session's last: the next one, or the end; returns what is to be journalled."""
        if record.status == "ok":
            answer = said_by_server(record.output, chunks) if self.sessions.needs_answers else None
            self.sessions.answered(request, record, answer)
        elif not self.stop_level:  # once nothing more is sent, what was not sent has no record
            self._abandon(request, record)
        return record if self.keep_text else msgspec.structs.replace(record, output=None)

    def _abandon(self, request: WireRequest, record: RequestRecord) -> None:
        """A turn has failed or was given up: those after it are recorded unsent, and the session's permit is free."""
        self.sessions.end()
        self.schedule.release((record.end_ns or self.clock.now_ns()) - self.epoch_ns)
        for unsent in never_sent(request, record):
            self._append(RequestFrame(unsent, ChunkColumns()))
            self.point.dispatched += 1
            self.done += 1
            self.failed += unsent.status != "aborted"

    def _append(self, frame: Any) -> None:
        if self.disk_error is not None:
            return
        try:
            self.journal.append(frame)
        except OSError as error:
            self.disk_error = f"{self.journal.path}: {os.strerror(error.errno or errno.EIO)}"
            self.stop(2, "disk")

    def _attend(self, now_ns: int) -> None:
        """The control channel, the time limit after a stop, and four reports a second."""
        self._hear()
        if self.give_up_ns is not None and now_ns >= self.give_up_ns and self.reactor.in_flight:
            self.reactor.cancel_all(
                "cancelled", f"not finished when the run ended ({self.point.stop_reason})"
            )
        if self.leavers is not None:
            self.leavers.leave(now_ns, self.reactor)
        if self._time_is_up(now_ns):
            self.stop(2 if self.load.drain == "cut" else 1, "duration")
        if self._short_of_requests():
            self.asked_for_more = True
            self.say(Need())
        if now_ns >= self.status_at_ns:
            self.status_at_ns = now_ns + STATUS_EVERY_NS
            self.say(Status(self._progress(now_ns)))
            self._sample(now_ns)

    def _sample(self, now_ns: int, *, last: bool = False) -> None:
        sample = self.health.sample(now_ns, self.reactor, self.backlog, last=last)
        if sample is not None:
            self.latest = sample
            self._append(sample)

    def _short_of_requests(self) -> bool:
        if self.complete or self.asked_for_more:
            return False
        return len(self.requests) < self.low_water and self.waiting_bytes < LOW_WATER_BYTES

    def _hear(self) -> None:
        if self.reactor.woken:
            self.reactor.woken.clear()
            self.control()

    def _time_is_up(self, now_ns: int) -> bool:
        if self.until_ns is None or self.stop_level or now_ns < self.until_ns:
            return False
        # What was due inside the limit is sent, however close to its end.
        if self.backlog.pressing or self.sessions.due(self.until_ns - 1):
            return False
        due = self.schedule.wake_ns()
        return due is None or self.epoch_ns + due >= self.until_ns

    def _progress(self, now_ns: int) -> Progress:
        latest = self.latest
        return Progress(
            point=self.point.index,
            points_total=self.start.points_total,
            kind=self.point.kind,
            title=self.start.title,
            planned=self.point.planned_requests,
            done=self.done,
            failed=self.failed,
            in_flight=self.reactor.in_flight,
            output_tokens=self.output_tokens,
            elapsed_s=max(0, now_ns - self.epoch_ns) / 1e9,
            limit_s=self.load.duration_s,
            stopping=self.stop_level > 0,
            asked_concurrency=self.load.peak_concurrency,
            asked_rate_per_s=self.load.peak_rate,
            send_lag_max_s=None if latest is None else latest.send_lag_max_s,
            receive_lag_max_s=None if latest is None else latest.receive_lag_max_s,
            cpu_share=None if latest is None else latest.cpu_share,
        )

    def _finish(self) -> PointRecord:
        now_ns = self.clock.now_ns()
        point = self.point
        point.stop_reason = point.stop_reason or ("complete" if self.schedule.exhausted() else "data")
        if point.epoch_ns is None:
            return point
        point.end_ns = now_ns
        self._sample(now_ns, last=True)
        point.health = [self.health.close(now_ns, self.reactor, self.backlog)]
        self._append(PointEnd(point, self.worker))
        self.say(Status(self._progress(now_ns)))
        return point

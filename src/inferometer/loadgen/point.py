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
from inferometer.client.reactor import Reactor
from inferometer.loadgen.backlog import Backlog, Decoded
from inferometer.loadgen.health import HealthMeter
from inferometer.loadgen.messages import FromWorker, Need, Setup, StartPoint, Status, WireRequest
from inferometer.loadgen.progress import Progress
from inferometer.record.journal import JournalWriter, PointEnd, PointStart, RequestFrame
from inferometer.record.types import PointRecord, StopReason
from inferometer.schedule import Schedule

SENDS_PER_TURN = 32
STATUS_EVERY_NS = 250_000_000
LEAD_NS = 20_000_000  # between the last preparation and the epoch
CONNECT_LIMIT_NS = 5_000_000_000
CONNECTS_PER_TURN = 16
OPEN_LOOP_CONNECTIONS = 64
LOW_WATER = 1024
# A closed loop on a server that is gone would fail some 20,000 times a second until its time is up.
GONE_FAILURES = 1000
GONE_NS = 5_000_000_000
# Engines send the tokens of one step for all streams in a burst; only a pause longer than the gaps within a burst
# is a good moment to decode.
QUIET_NS = 150_000


class PointRun:
    """Carries out one load point.

    Life cycle: made with the first batch of requests; ``run`` returns when the point is over and journalled.
    ``more`` and ``stop`` are called from the control channel while ``run`` is polling.

    Args:
        start: the point.
        setup: the worker's constants.
        reactor: transport, shared by all points of a run.
        schedule: when to send.
        journal: where finished requests go.
        say: sends a message to the parent.
        control: reads the control channel when it is ready.
        decoding: how responses are decoded.
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
        self.worker = setup.worker
        self.keep_text = setup.keep_text
        self.say = say
        self.control = control
        self.requests: deque[WireRequest] = deque(start.requests)
        self.complete = start.complete
        self.asked_for_more = False
        self.flying: dict[int, WireRequest] = {}
        self.backlog = Backlog(lambda exchange: decode_steps(exchange, self.decoding), self._store)
        self.heads: dict[int, bytes] = {}
        self.epoch_ns = 0
        self.stop_level = 0
        self.give_up_ns: int | None = None
        self.done = self.failed = self.output_tokens = 0
        self.quiet = False  # nothing arrived when the transport was last asked
        self.disk_error: str | None = None
        self.unconnected = 0  # connect errors in a row
        self.unconnected_since_ns = 0
        self.health = HealthMeter(self.clock.now_ns(), self.reactor)
        self.status_at_ns = 0

    def run(self) -> PointRecord:
        """Send, receive, decode when idle, until everything that was sent has ended."""
        self._connect()
        self._begin()
        woke_ns = self.clock.now_ns()
        while not self._over():
            now_ns = self.clock.now_ns()
            self.health.turn(now_ns - woke_ns)
            self._dispatch(now_ns)
            ready = self.reactor.poll(self._deadline(now_ns))
            woke_ns = self.clock.now_ns()
            self._collect()
            self.quiet = not ready
            if self.quiet or self.backlog.overdue(woke_ns):
                self.backlog.step(woke_ns)
            while self.backlog.full:
                self.backlog.step(woke_ns)
            self._attend(woke_ns)
        self.backlog.drain(self.clock.now_ns)
        return self._finish()

    def more(self, requests: list[WireRequest], complete: bool) -> None:
        """Take a further batch."""
        self.requests.extend(requests)
        self.complete = complete
        self.asked_for_more = False

    def stop(self, level: int, reason: StopReason = "interrupted") -> None:
        """Send nothing more; 1: give what is in flight the grace time, 2: end it now."""
        self.stop_level = max(self.stop_level, level)
        self.point.stop_reason = self.point.stop_reason or reason
        grace_ns = round(self.start.grace_s * 1e9) if self.stop_level < 2 else 0
        give_up_ns = self.clock.now_ns() + grace_ns
        self.give_up_ns = min(self.give_up_ns or give_up_ns, give_up_ns)

    def _connect(self) -> None:
        """Open the connections gradually before the epoch, so that connecting is no part of the load."""
        load = self.start.load
        wanted = min(load["max_concurrency"] or OPEN_LOOP_CONNECTIONS, load["num_prompts"] or 1 << 30)
        limit_ns = self.clock.now_ns() + CONNECT_LIMIT_NS
        self.reactor.drop_old()
        while (
            self.reactor.keep_alive
            and self.reactor.idle < wanted
            and self.clock.now_ns() < limit_ns
            and self.stop_level < 2
        ):
            before = self.reactor.connections
            for _ in range(min(CONNECTS_PER_TURN, wanted - before)):
                self.reactor.open_idle()
            self.reactor.poll(self.clock.now_ns() + 5_000_000)
            self._hear()
            if self.reactor.connections == 0:
                return  # nobody listens: the requests themselves will say so

    def _begin(self) -> None:
        self.health = HealthMeter(self.clock.now_ns(), self.reactor)
        self.epoch_ns = self.clock.now_ns() + LEAD_NS
        self.point.epoch_ns = self.epoch_ns
        self._append(PointStart(self.point, self.worker))

    def _over(self) -> bool:
        if self.reactor.in_flight or self.reactor.finished:
            return False
        return self.stop_level > 0 or self.schedule.exhausted() or (self.complete and not self.requests)

    def _deadline(self, now_ns: int) -> int:
        """Until when the transport may wait: a moment while decoding is to be done, not at all once it is quiet."""
        if self.backlog and self.quiet:
            return 0
        until_ns = min(self.status_at_ns, now_ns + QUIET_NS) if self.backlog else self.status_at_ns
        if self.stop_level:
            return min(self.give_up_ns or 0, until_ns)
        due = self.schedule.wake_ns() if self.requests or self.complete else None
        return until_ns if due is None else min(self.epoch_ns + due, until_ns)

    def _dispatch(self, now_ns: int) -> None:
        if self.stop_level:
            return
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
            exchange = Exchange(
                planned.request,
                self._head(len(request.body)) + request.body,
                self.epoch_ns + planned.planned_ns,
                None if planned.queued_ns is None else self.epoch_ns + planned.queued_ns,
            )
            self.flying[planned.request] = request
            self.point.dispatched += 1
            self.reactor.send(exchange)

    def _head(self, body_bytes: int) -> bytes:
        head = self.heads.get(body_bytes)
        if head is None:
            head = self.heads[body_bytes] = self.reactor.target.request_head(
                "POST", self.start.path, body_bytes
            )
        return head

    def _collect(self) -> None:
        """Free the permits of what has ended, at the time at which its last byte arrived."""
        finished = self.reactor.finished
        while finished:
            exchange = finished.popleft()
            end_ns = exchange.end_ns or self.clock.now_ns()
            self.schedule.release(end_ns - self.epoch_ns)
            self.backlog.add(exchange)
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
            input_tokens_target=request.input_tokens_target,
            input_tokens_client=request.input_tokens_client,
            output_tokens_target=request.output_tokens_target,
            prompt=request.prompt if self.keep_text else None,
        )
        self._append(RequestFrame(record, chunks))
        self.done += 1
        self.failed += record.status != "ok"
        self.output_tokens += record.output_tokens_server or record.output_tokens_client or 0

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
        if self._time_is_up(now_ns):
            self.stop(1, "duration")
        if not self.complete and not self.asked_for_more and len(self.requests) < LOW_WATER:
            self.asked_for_more = True
            self.say(Need())
        if now_ns >= self.status_at_ns:
            self.status_at_ns = now_ns + STATUS_EVERY_NS
            self.say(Status(self._progress(now_ns)))

    def _hear(self) -> None:
        if self.reactor.woken:
            self.reactor.woken.clear()
            self.control()

    def _time_is_up(self, now_ns: int) -> bool:
        limit_s = self.start.load["duration_s"]
        if limit_s is None or self.stop_level or now_ns < self.epoch_ns + limit_s * 1e9:
            return False
        due = self.schedule.wake_ns()  # what was due inside the limit is sent, however close to its end
        return due is None or due >= limit_s * 1e9

    def _progress(self, now_ns: int) -> Progress:
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
            limit_s=self.start.load["duration_s"],
            stopping=self.stop_level > 0,
        )

    def _finish(self) -> PointRecord:
        now_ns = self.clock.now_ns()
        point = self.point
        point.end_ns = now_ns
        point.stop_reason = point.stop_reason or "complete"
        point.health = [self.health.close(now_ns, self.reactor, self.backlog)]
        self._append(PointEnd(point, self.worker))
        self.say(Status(self._progress(now_ns)))
        return point

"""All worker processes of a run: the parent watches them in one loop and waits for none of them alone."""

from __future__ import annotations

import selectors
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NamedTuple

import msgspec

from inferometer.clock import Clock
from inferometer.errors import LoadgenError
from inferometer.loadgen.link import Fleet, Link
from inferometer.loadgen.messages import (
    Failed,
    FromWorker,
    Go,
    MoreRequests,
    Need,
    PointDone,
    Ready,
    Setup,
    StartPoint,
    Status,
    Stop,
    WireRequest,
)
from inferometer.loadgen.progress import Observer, Progress, add_up
from inferometer.loadgen.shards import BATCH_BYTES, WAITING_BYTES, Dealer
from inferometer.loadgen.stop import StopSignal
from inferometer.loadgen.stopping import SoftStop
from inferometer.record.merging import lost_share, merge_shares
from inferometer.record.types import PointRecord, StopReason

BATCH = 32  # less than a ms of the parent's work, which may share a core with a worker
MORE_BYTES = 256 << 10  # as taking them in stops the worker's loop: some 0.1 ms
# Before the start the parent prepares what it can within these limits, so that it has the less to do during it.
PREPARED = 20_000
PREPARE_NS = 2_000_000_000
WATCH_S = 0.05
TELL_EVERY_NS = 200_000_000
# Between the last preparation and the epoch: ``Go`` has to reach every worker before.
LEAD_NS = 20_000_000
LEAD_PER_WORKER_NS = 2_000_000
# A worker that was told to stop cancels what is in flight, decodes at most 64 MiB and syncs its journal; one that has
# not ended so long after it should have begun with that is stopped itself, or waits for a disk that does not answer.
STUCK_NS = 10_000_000_000


class Outcome(NamedTuple):
    """How a load point went.

    Attributes:
        point: the sum of the workers' shares.
        progress: the last one, of all workers together; None when none has reported.
        began: whether the workers were let go, so that something may have been sent.
        lost: how workers ended before their time, in words; empty when none did.
        trouble: why no more requests were handed out, in words; None when all were that the point needed.
    """

    point: PointRecord
    progress: Progress | None
    began: bool
    lost: tuple[str, ...]
    trouble: str | None = None


class Crew:
    """The worker processes of a run; they stay for all of its load points.

    Life cycle: made -> ``run_point`` for each load point -> ``close``. Use as a context manager.

    Args:
        setup: the first message to the worker of a number, of so many.
        workers: how many to begin with.
        fleet: starts them.
        clock: our monotonic clock; that of workers on other machines is the fleet's concern.
    """

    def __init__(self, setup: Callable[[int, int], Setup], workers: int, fleet: Fleet, clock: Clock) -> None:
        self._setup = setup
        self._fleet = fleet
        self._clock = clock
        self._processes: list[Link] = []
        self._started = ExitStack()
        with ExitStack() as started:
            started.callback(self._started.close)
            self._staff(workers)
            started.pop_all()

    def _staff(self, workers: int) -> None:
        """Start what is missing of so many workers."""
        for worker in range(len(self._processes), workers):
            process = self._fleet.hire(self._setup(worker, workers))
            self._processes.append(self._started.enter_context(process))

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def run_point(
        self,
        start: Callable[[list[WireRequest], bool], StartPoint],
        dealer: Dealer,
        workers: int,
        observer: Observer,
        stop: StopSignal,
    ) -> Outcome:
        """Carry out one load point with the first ``workers`` processes.

        Args:
            start: makes a worker's first message from its first batch and whether that is all.
            dealer: hands out the encoded requests.
            workers: how many share the point.
            observer: told how far it is, all workers together.
            stop: looked at twenty times a second.

        Raises:
            LoadgenError: a worker cannot go on (a full disk); what was finished is in the journals.
        """
        self._staff(workers)
        with selectors.DefaultSelector() as selector:
            parties = (dealer, self._fleet, observer)
            watch = _Watch(self._processes[:workers], selector, parties, self._clock)
            return watch.run(start, stop)

    def close(self) -> None:
        """End all workers, together rather than one after the other."""
        for process in self._processes:
            process.hang_up()
        self._started.close()


class _Share:
    """One worker's share of the load point under way."""

    def __init__(self, process: Link) -> None:
        self.process = process
        self.ready = self.failed = self.writing = False
        self.progress: Progress | None = None
        self.ended: PointRecord | None = None


class _Watch:
    """One load point, watched to its end."""

    def __init__(
        self,
        processes: Sequence[Link],
        selector: selectors.BaseSelector,
        parties: tuple[Dealer, Fleet, Observer],
        clock: Clock,
    ) -> None:
        self._shares = [_Share(process) for process in processes]
        self._selector = selector
        self._dealer, self._fleet, self._observer = parties
        self._clock = clock
        self._epoch_ns: int | None = None
        self._stopped = 0  # the level that the workers were told
        self._stuck_at_ns: int | None = None  # who has not ended by then never will
        self._grace_ns = 0
        self._lost: list[str] = []
        self._failure: LoadgenError | None = None
        self._fresh = False  # a worker has reported since the observer was told
        self._tell_at_ns = 0
        self._soft: SoftStop | None = None

    def run(self, start: Callable[[list[WireRequest], bool], StartPoint], stop: StopSignal) -> Outcome:
        for share in self._shares:
            begin = start(*self._first_batch(share.process.worker))
            self._point, self._grace_ns = begin.point, round(begin.grace_s * 1e9)
            self._soft = SoftStop.of(begin.load)
            share.process.send(begin)
            self._selector.register(share.process.stdout, selectors.EVENT_READ, share)
        while any(share.ended is None for share in self._shares):
            self._stop(stop.level)
            self._end_stuck()
            self._look_for_room()
            for key, events in self._selector.select(WATCH_S):
                if events & selectors.EVENT_WRITE:
                    key.data.process.flush()
                else:
                    self._listen(key.data)
            self._let_go()
            self._tell()
        return self._outcome()

    def _first_batch(self, worker: int) -> tuple[list[WireRequest], bool]:
        """What a worker has before the start: what it must have, and as much more as takes little time and memory."""
        until_ns = self._clock.now_ns() + PREPARE_NS // len(self._shares)
        batch, complete = self._dealer.batch(worker, self._dealer.first)
        room = BATCH_BYTES - sum(request.weight for request in batch)
        most = WAITING_BYTES // len(self._shares) - BATCH_BYTES
        while not complete and len(batch) < self._dealer.round and room > -most:  # large pictures
            more, complete = self._dealer.batch(worker, BATCH)
            room -= sum(request.weight for request in more)
            batch += more
        while not complete and len(batch) < PREPARED and room > 0 and self._clock.now_ns() < until_ns:
            more, complete = self._dealer.batch(worker, BATCH)
            room -= sum(request.weight for request in more)
            batch += more
        return batch, complete

    def _stop(self, level: int, reason: StopReason = "interrupted") -> None:
        if level <= self._stopped:
            return
        self._stopped = level
        self._stuck_at_ns = self._clock.now_ns() + STUCK_NS + (self._grace_ns if level == 1 else 0)
        for share in self._shares:
            if share.ended is None:
                share.process.send(Stop(level, reason))

    def _end_stuck(self) -> None:
        """Kill the workers that should have ended long ago; the end of their output then says that they have."""
        if self._stuck_at_ns is None or self._clock.now_ns() < self._stuck_at_ns:
            return
        self._stuck_at_ns = None
        for share in self._shares:
            if share.ended is None:
                share.process.kill()

    def _look_for_room(self) -> None:
        """Watch the pipes that were too full for what is to be sent."""
        for share in self._shares:
            if share.process.unsent == share.writing:
                continue
            share.writing = share.process.unsent
            if share.writing:
                self._selector.register(share.process.stdin, selectors.EVENT_WRITE, share)
            else:
                self._selector.unregister(share.process.stdin)

    def _listen(self, share: _Share) -> None:
        messages = share.process.receive()
        if messages is None:
            self._selector.unregister(share.process.stdout)
            if share.ended is None:
                self._lose(share)
            return
        for message in messages:
            self._hear(share, message)

    def _hear(self, share: _Share, message: FromWorker) -> None:
        if isinstance(message, Status):
            share.progress = message.progress
            self._fresh = True
        elif isinstance(message, Need):
            share.process.send(MoreRequests(*self._dealer.batch(share.process.worker, BATCH, MORE_BYTES)))
        elif isinstance(message, Ready):
            share.ready = True
        elif isinstance(message, Failed):
            share.failed = True
            self._failure = self._failure or LoadgenError(message.message, message.next_step)
            self._stop(2)
        else:
            assert isinstance(message, PointDone)
            share.ended = message.point

    def _lose(self, share: _Share) -> None:
        """A worker has ended before its time: the others finish what is in flight and send nothing more."""
        sent = 0 if share.progress is None else share.progress.done
        share.ended = lost_share(msgspec.structs.replace(self._point, epoch_ns=self._epoch_ns), sent)
        if not share.failed:
            self._lost.append(share.process.ending())
            self._stop(1)

    def _let_go(self) -> None:
        """All begin at one instant, a moment ahead."""
        if self._epoch_ns is not None or self._stopped or not all(share.ready for share in self._shares):
            return
        self._fleet.mark_clocks()
        lead_ns = LEAD_NS + LEAD_PER_WORKER_NS * len(self._shares) + self._fleet.lead_ns
        self._epoch_ns = self._clock.now_ns() + lead_ns
        for share in self._shares:
            share.process.send(Go(self._epoch_ns))

    def _tell(self) -> None:
        now_ns = self._clock.now_ns()
        if self._fresh and now_ns >= self._tell_at_ns:
            self._fresh = False
            self._tell_at_ns = now_ns + TELL_EVERY_NS
            progress = add_up(self._reports())
            self._observer.on_progress(progress)
            if self._soft is not None and not self._stopped:
                reason = self._soft.look(progress)
                if reason is not None:
                    self._stop(self._soft.level, reason)

    def _reports(self) -> list[Progress]:
        return [share.progress for share in self._shares if share.progress is not None]

    def _outcome(self) -> Outcome:
        if self._epoch_ns is not None:
            self._fleet.mark_clocks()
        if self._failure is not None:
            raise self._failure
        last = add_up(self._reports()) if self._reports() else None
        if last is not None and self._fresh:
            self._observer.on_progress(last)
        point = merge_shares([share.ended for share in self._shares if share.ended is not None])
        if self._lost and self._epoch_ns is None:
            # It was to begin now, and nothing came of it: that is a load point with no record, not one left out.
            point.epoch_ns = point.end_ns = self._clock.now_ns()
        return Outcome(point, last, self._epoch_ns is not None, tuple(self._lost), self._dealer.trouble)

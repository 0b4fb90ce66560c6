"""The worker process: started by ``loadgen.process``, spoken to over its standard pipes.

It shares nothing with other workers, writes its own journal, and ends when its parent does: when standard input
reaches its end, what is in flight is cancelled, everything finished is in the journal.
"""

from __future__ import annotations

import gc
import os
import resource
import select
from pathlib import Path

import msgspec

from inferometer.client.decode import DecodeOptions
from inferometer.client.dialects import open_dialect
from inferometer.client.poller import READ
from inferometer.client.reactor import Reactor
from inferometer.clock import MonotonicClock
from inferometer.errors import InferometerError
from inferometer.loadgen.affinity import pin
from inferometer.loadgen.messages import (
    Failed,
    FromWorker,
    Go,
    Inbox,
    MoreRequests,
    PointDone,
    Setup,
    StartPoint,
    Status,
    Stop,
    ToWorker,
    pack,
)
from inferometer.loadgen.point import PointRun
from inferometer.loadgen.priority import go_ordinary, go_realtime, take_short_slices
from inferometer.record.journal import JournalWriter
from inferometer.schedule import Shard, make_schedule
from inferometer.spec import LoadPoint
from inferometer.spec.endpoint_rules import SERVER_TOKENIZER
from inferometer.workload import load_tokenizer

STDIN, STDOUT = 0, 1
OPEN_MAX = 10240  # macOS, <sys/syslimits.h>


class Worker:
    """Carries out the load points that the parent asks for, one after the other.

    Args:
        setup: the worker's constants.
        inbox: what has arrived on standard input beyond the set-up.
    """

    def __init__(self, setup: Setup, inbox: Inbox) -> None:
        self._setup = setup
        self._inbox = inbox
        self._clock = MonotonicClock()
        self._reactor = Reactor(setup.target, self._clock)
        self._journal = JournalWriter(Path(setup.journal))
        self._waiting: list[StartPoint] = []
        self._early: list[ToWorker] = []  # said about the point that waits
        self._running: PointRun | None = None
        self._dialect = open_dialect(setup.dialect, setup.template)
        # The server is not asked beside the load: what it says of its answers' tokens is in its usage.
        self._count = None if setup.tokenizer == SERVER_TOKENIZER else load_tokenizer(setup.tokenizer).count
        self.orphaned = False
        os.set_blocking(STDIN, False)
        self._reactor.poller.watch(STDIN, READ)

    def serve(self) -> None:
        """Carry out points until the parent closes the pipe."""
        gc.collect()
        gc.freeze()
        while not self.orphaned:
            if not self._waiting:
                self._reactor.poll(None)
                if self._reactor.woken:
                    self._reactor.woken.clear()
                    self._control()
                continue
            self._point(self._waiting.pop(0))
        self._journal.close()
        self._reactor.close()

    def _point(self, start: StartPoint) -> None:
        load = LoadPoint(**start.load)
        decoding = DecodeOptions(
            self._dialect,
            start.stream,
            self._setup.target.secrets(),
            self._count,
            self._setup.keep_text,
        )
        schedule = make_schedule(load, Shard(self._setup.worker, start.point.workers), start.recorded)
        parts = (self._reactor, schedule, self._journal, decoding)
        run = self._running = PointRun(start, self._setup, parts, say, self._control)
        early, self._early = self._early, []
        for message in early:
            self.obey(message)
        gc.disable()  # a collection would stop the loop for tens of milliseconds when many streams are open
        point = run.run()
        gc.enable()
        go_ordinary()
        self._running = None
        self._journal.sync()
        if run.disk_error is not None:
            say(
                Failed(
                    f"the journal cannot be written: {run.disk_error}",
                    "free some space, or use another --out; finished requests are kept",
                )
            )
        say(PointDone(point))

    def _control(self) -> None:
        try:
            data = os.read(STDIN, 1 << 20)
        except BlockingIOError:
            return
        if not data:
            self.orphaned = True
            self._reactor.poller.forget(STDIN)
            if self._running is not None:
                self._running.stop(2)
            return
        for message in self._inbox.feed(data):
            self.obey(message)

    def obey(self, message: ToWorker) -> None:
        """Do, or put in line, what the parent asks for."""
        if isinstance(message, StartPoint):
            self._waiting.append(message)
        elif self._running is None:
            if self._waiting:
                self._early.append(message)
            return  # else the point had ended when this was sent
        elif isinstance(message, Go):
            go_realtime()  # not before: what prepares the load may take long without a sleep
            self._running.go(message.epoch_ns)
        elif isinstance(message, MoreRequests):
            self._running.more(message.requests, message.complete)
        elif isinstance(message, Stop):
            self._running.stop(message.level, message.reason)


def say(message: FromWorker) -> None:
    """Send a message to the parent; a parent that is gone does not matter, standard input will say so.

    A report that the parent has no time for (its terminal may be stopped with Ctrl-S) is dropped: waiting for the
    parent would stop the measurement.
    """
    if isinstance(message, Status) and not select.select([], [STDOUT], [], 0)[1]:
        return
    data = pack(message)
    try:
        while data:
            data = data[os.write(STDOUT, data) :]
    except BrokenPipeError:
        return


def raise_descriptor_limit() -> None:
    """Allow as many descriptors as the system grants without asking."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    elif soft != resource.RLIM_INFINITY:
        # macOS: soft 256, hard "unlimited", and no more than OPEN_MAX is granted.
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, OPEN_MAX), hard))


def main() -> int:
    """Read the set-up, serve, and turn what stops the worker into a message."""
    raise_descriptor_limit()
    take_short_slices()
    inbox = Inbox(ToWorker)
    messages: list[ToWorker] = []
    while not messages:
        data = os.read(STDIN, 1 << 16)
        if not data:
            return 0
        messages = inbox.feed(data)
    setup, *early = messages
    assert isinstance(setup, Setup)
    setup = msgspec.structs.replace(setup, cpu=pin(setup.cpu))
    try:
        worker = Worker(setup, inbox)
        for message in early:
            worker.obey(message)
        worker.serve()
    except InferometerError as error:
        say(Failed(error.message, error.next_step))
        return 1
    except OSError as error:
        reason = error.strerror or str(error)
        say(Failed(f"the worker cannot go on: {reason}", "finished requests are kept in the run folder"))
        return 1
    return 0

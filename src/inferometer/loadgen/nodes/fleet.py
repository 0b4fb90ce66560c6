"""Workers on other machines, as the parent has them: it speaks to the gateway, which is in the cluster."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import select
import socket
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from inferometer.client.target import Target
from inferometer.clock import Clock
from inferometer.errors import InterruptedEarlyError, UsageError
from inferometer.interpreter import own_program
from inferometer.loadgen.link import Link
from inferometer.loadgen.messages import FromWorker, Go, Inbox, PointDone, Setup, ToWorker, pack
from inferometer.loadgen.nodes.agent import host_identity
from inferometer.loadgen.nodes.gateway import NOT_JOINED
from inferometer.loadgen.nodes.talk import (
    Begin,
    Close,
    Closed,
    Connect,
    Connected,
    Ended,
    FromGateway,
    Hire,
    Kill,
    MarkClocks,
    Marked,
    Refused,
    ToGateway,
)
from inferometer.loadgen.nodes.troubles import INSTALL, explain
from inferometer.loadgen.stop import StopSignal
from inferometer.record.clocks import ClockMap
from inferometer.record.types import ClockMark, NodeRecord
from inferometer.spec.cluster import Cluster

CONNECT_LIMIT_S = 150.0
MARK_LIMIT_S = 60.0
END_LIMIT_S = 10.0
CLOSE_LIMIT_S = 40.0
LOOK_S = 0.1
REACH_LIMIT_S = 5.0
LEAD_ROUND_TRIPS = 3
_LOG_LINE = re.compile(r"\[\d{4}-\d\d-\d\d [^]]* [WI] ")  # a warning of Ray's own, which says of no end


class RemoteFleet:
    """The nodes of a cluster, each with its workers.

    Life cycle: made by ``open_fleet`` -> ``begin`` -> ``hire`` ... -> ``close``. Use as a context manager.

    Args:
        control: the line to the gateway.
        process: the gateway.
        log: what it writes to standard error.
        clock: ours.
    """

    def __init__(
        self, control: socket.socket, process: subprocess.Popen[bytes], log: IO[bytes], clock: Clock
    ) -> None:
        self._control = control
        self._process = process
        self._log = log
        self._clock = clock
        self._inbox = Inbox(FromGateway)
        self._gone = self._hired = False
        self._stop: StopSignal | None = None
        self._endings: dict[int, str] = {}
        self.nodes: list[NodeRecord] = []
        self.left: dict[str, str] = {}

    def __enter__(self) -> RemoteFleet:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def workers(self) -> int:
        """How many there are on all nodes together."""
        return sum(len(node.workers) for node in self.nodes)

    @property
    def lead_ns(self) -> int:
        """A few times the longest round trip that was seen: a message goes one way, behind others."""
        trips = [mark.round_trip_max_ns or 0 for node in self.nodes for mark in node.clock[-1:]]
        return LEAD_ROUND_TRIPS * max(trips, default=0)

    def connect(self, asked: Connect, stop: StopSignal) -> None:
        """Join the cluster and look at every node.

        Raises:
            UsageError: it cannot be joined, or a node cannot take part.
            LoadgenError: the gateway failed.
            InterruptedEarlyError: ``stop`` was asked for.
        """
        self._stop = stop
        self._say(asked)
        answer = self._expect((Connected, Refused), CONNECT_LIMIT_S, until=lambda: stop.level > 0)
        if answer is None and stop.level:
            raise InterruptedEarlyError("interrupted while the cluster was joined")
        if isinstance(answer, Connected):
            self.nodes = answer.nodes
            return
        if answer is None:
            problem = explain(asked.address, self._death(), self._said())
            raise UsageError(*problem)
        assert isinstance(answer, Refused)
        if answer.next_step == NOT_JOINED:
            raise UsageError(*explain(asked.address, answer.message, self._said()))
        raise UsageError(answer.message, answer.next_step)

    def nodes_of(self, sitting: int) -> list[NodeRecord]:
        """The nodes, as ``run.json`` has them, of that sitting of the run."""
        for node in self.nodes:
            node.sitting = sitting
        return self.nodes

    def begin(self, folder: Path) -> None:
        """The run folder is there."""
        self._say(Begin(str(folder.resolve())))

    def hire(self, setup: Setup) -> Link:
        """Start the worker of that number on its node."""
        self._hired = True
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [pack(Hire(setup))], [theirs.fileno()])
            except OSError:
                self._gone = True  # what reads from the socket finds its end
        return RemoteWorker(setup, self, ours)

    def mark_clocks(self) -> None:
        """Compare all clocks with ours."""
        self._say(MarkClocks())
        answer = self._expect((Marked,), MARK_LIMIT_S)
        if isinstance(answer, Marked):
            for node, mark in zip(self.nodes, answer.marks, strict=True):
                node.clock += [] if mark is None else [mark]

    def marks_of(self, worker: int) -> list[ClockMark]:
        """How the clock of a worker's node compared with ours so far, oldest first."""
        return next(node.clock for node in self.nodes if worker in node.workers)

    def ending(self, worker: int) -> str:
        """How a worker ended, whose socket has reached its end."""
        if worker not in self._endings:
            self._expect((), END_LIMIT_S, until=lambda: worker in self._endings)
        return self._endings.get(worker, f"worker {worker} is lost: {self._death()}")

    def kill(self, worker: int) -> None:
        """End a worker at once."""
        self._say(Kill(worker))

    def close(self) -> None:
        """End everything on the nodes, and the gateway; who is told twice to stop does not wait for a join to end."""
        if self._control.fileno() < 0:
            return
        self._say(Close())
        answer = self._expect((Closed,), CLOSE_LIMIT_S, until=self._hurried)
        if isinstance(answer, Closed):
            self.left = answer.left
        elif self._hired:  # it ended without us, and nobody knows what came of what it was about to fetch
            self.left = {node.folder: f"node {node.name} ({node.address})" for node in self.nodes}
        self._control.close()
        try:
            self._process.wait(0.0 if self._hurried() else END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _hurried(self) -> bool:
        return not self.nodes and self._stop is not None and self._stop.level > 1

    def _say(self, message: ToGateway) -> None:
        try:
            self._control.sendall(pack(message))
        except OSError:
            self._gone = True

    def _expect(
        self,
        kinds: tuple[type[FromGateway], ...],
        limit_s: float,
        until: Callable[[], bool] = lambda: False,
    ) -> FromGateway | None:
        """The next message of such a kind; None when the gateway has ended, time is up, or ``until`` holds."""
        limit_ns = self._clock.now_ns() + round(limit_s * 1e9)
        while not until() and not self._gone and self._clock.now_ns() < limit_ns:
            if select.select([self._control], [], [], LOOK_S)[0]:
                data = _received(self._control)
                self._gone = not data
                for message in self._inbox.feed(data):
                    if isinstance(message, Ended):
                        self._note_end(message)
                    elif isinstance(message, kinds):
                        return message
        return None

    def _note_end(self, ended: Ended) -> None:
        self._endings[ended.worker] = ended.how
        for node in self.nodes:
            if ended.node_lost is not None and ended.worker in node.workers:
                node.lost = ended.node_lost

    def _death(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0 if self._gone else 0.0)  # its line may end a moment before it does
        code = self._process.poll()
        if code is None:
            return "the process that is in the cluster for us does not answer"
        lines = [line for line in self._said().splitlines() if line.strip() and not _LOG_LINE.match(line)]
        last = lines[-1][:300] if lines else "it said nothing"
        return f"the process that is in the cluster for us ended with code {code}: {last}"

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace")


class RemoteWorker(Link):
    """One worker on another machine, by a socket whose other end the gateway pumps.

    Times that go to it or come from it are put on its clock, or on ours.
    """

    def __init__(self, setup: Setup, fleet: RemoteFleet, line: socket.socket) -> None:
        super().__init__(setup.worker, line, line.dup())
        self._fleet = fleet
        self._line = line

    def send(self, message: ToWorker) -> None:
        """Put a message in line; a start is told by the worker's own clock."""
        if isinstance(message, Go):
            message = Go(message.epoch_ns + self._fleet.marks_of(self.worker)[-1].offset_ns)
        super().send(message)

    def receive(self) -> list[FromWorker] | None:
        """What it has said since, with our times; None when it has ended."""
        messages = super().receive()
        return None if messages is None else [self._with_our_times(message) for message in messages]

    def _with_our_times(self, message: FromWorker) -> FromWorker:
        if not isinstance(message, PointDone):
            return message
        clock = ClockMap(self._fleet.marks_of(self.worker))
        return PointDone(clock.point(message.point))

    def ending(self) -> str:
        """How it ended, in words."""
        return self._fleet.ending(self.worker)

    def kill(self) -> None:
        """End it at once."""
        self._fleet.kill(self.worker)

    def hang_up(self) -> None:
        """Close its standard input."""
        self.forget()
        with contextlib.suppress(OSError):  # it has ended
            self._line.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End it, and wait until it has ended."""
        self.hang_up()
        if not self._ended(END_LIMIT_S):
            self.kill()
            self._ended(END_LIMIT_S)
        self.stdin.close()
        self.stdout.close()

    def _ended(self, limit_s: float) -> bool:
        """Whether its output reaches its end while we wait; what it still says is nobody's."""
        fd = self.stdout.fileno()
        while select.select([fd], [], [], limit_s)[0]:
            if self.receive() is None:
                return True
        return False


def open_fleet(
    cluster: Cluster, target: Target, files: Sequence[str], stop: StopSignal, clock: Clock
) -> RemoteFleet:
    """Join the cluster that was asked for, and see that each node can send load.

    Args:
        cluster: what was asked for.
        target: whom the load goes to.
        files: that workers read.
        stop: ends the wait.
        clock: ours.

    Raises:
        UsageError, LoadgenError, InterruptedEarlyError: see ``RemoteFleet.connect``.
    """
    address = cluster.nodes
    assert address is not None
    if find_spec("ray") is None:
        raise UsageError(f"--nodes {address} needs Ray, which is not installed", INSTALL)
    _check_listens(address)
    ours, theirs = socket.socketpair()
    log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the fleet
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
            own_program("inferometer.loadgen.nodes.gateway", str(theirs.fileno())),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,  # Ctrl-C is for the parent
        )
    with ExitStack() as made:
        fleet = made.enter_context(RemoteFleet(ours, process, log, clock))
        here = host_identity() if _is_local(target) else None
        fleet.connect(Connect(address, cluster.workers_per_node, target, list(files), here), stop)
        made.pop_all()
    return fleet


def files_of(target: Target, *more: str | None) -> list[str]:
    """Files that workers read, so that every node needs them: of the target, and those of ``more`` that are here."""
    named = [path for one in target.servers for path in (one.ca_file, one.client_cert, one.client_key)]
    named += [path for path in more if path is not None and Path(path).exists()]
    return list(dict.fromkeys(str(Path(path).resolve()) for path in named if path is not None))


def _check_listens(address: str) -> None:
    """Somebody listens there: Ray itself waits for minutes.

    Raises:
        UsageError: nobody does.
    """
    parts = urlsplit(address if "://" in address else f"//{address}")
    if address == "auto" or parts.hostname is None or parts.port is None:
        return
    try:
        socket.create_connection((parts.hostname, parts.port), REACH_LIMIT_S).close()
    except OSError as error:
        raise UsageError(
            f"nothing of a Ray cluster at --nodes {address}: {error.strerror or error}",
            "is it up, and is this the address of its head node: HOST:6379, or ray://HOST:10001 from outside?",
        ) from None


def _is_local(target: Target) -> bool:
    """Whether an address of the target means another machine on every machine."""
    hosts = [host for one in target.servers for _, host, _ in one.addresses]
    return any(ipaddress.ip_address(host.partition("%")[0]).is_loopback for host in hosts)


def _received(line: socket.socket) -> bytes:
    try:
        return line.recv(1 << 16)
    except ConnectionResetError:
        return b""

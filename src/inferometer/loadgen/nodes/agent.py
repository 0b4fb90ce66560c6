"""What runs on each node: it starts worker processes there and passes on what they read and write.

Nothing in here knows what carries its calls. Arguments and results are plain values.
"""

from __future__ import annotations

import fcntl
import os
import platform
import resource
import select
import shutil
import socket
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from inferometer.client.probe import Caller
from inferometer.client.target import Target
from inferometer.clock import Clock
from inferometer.errors import InferometerError
from inferometer.loadgen.affinity import allowed_cores, core_of
from inferometer.loadgen.messages import Setup, Stop, pack
from inferometer.loadgen.process import how_it_ended, start_worker
from inferometer.record.journal import Follower
from inferometer.version import __version__

# Of a journal in one answer: what is above 100 KiB would go through the cluster's object store.
SHIPPED_BYTES = 64 << 10
READ_BYTES = 32 << 10
LOG_BYTES = 32 << 10
LOOK_S = 0.02  # how long nobody notices that the cluster has left us, or that a journal has grown
UNREAD_BYTES = 1 << 20
ROOM_WAIT_S = 1.0
EXIT_WAIT_S = 5.0

Said = tuple[int, bytes | None]  # worker, what it said; None = it has ended


class _Hired:
    """One worker process of this node."""

    def __init__(self, setup: Setup, folder: Path, lock: int) -> None:
        self.log = folder / f"worker-{setup.worker}.log"
        self.journal = Path(setup.journal)
        self.process = start_worker(setup.worker, self.log, lock)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        os.set_blocking(self.stdin.fileno(), False)
        os.set_blocking(self.stdout.fileno(), False)
        self.follower = Follower(self.journal)
        self.unread: deque[bytes] = deque()  # what it has not taken from us
        self.said: deque[tuple[int, bytes | None]] = deque()  # (bytes of its journal when it said so, what)
        self.killed = self.ended = self.hanging_up = False

    @property
    def room(self) -> bool:
        return sum(map(len, self.unread)) < UNREAD_BYTES


class Agent:
    """Worker processes of one node, in a temporary folder.

    Its methods may be called from several threads, each by one at a time.

    Args:
        clock: the clock that the workers use.
        deserted: whether who calls us has lost hold of us, so that we may be ended at any moment.
        place: where the temporary folder is made; None = where the system wants it.
    """

    def __init__(self, clock: Clock, deserted: Callable[[], bool], place: Path | None = None) -> None:
        self._clock = clock
        self._deserted = deserted
        self._folder = Path(tempfile.mkdtemp(prefix="inferometer-node-", dir=place))
        self._lock = os.open(self._folder / "lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._hired: dict[int, _Hired] = {}
        self._guard = threading.Lock()  # of ``unread`` and the ends of standard input
        self._pause = threading.Event()  # nobody sets it: a wait of some length
        self._alone = False

    def facts(self) -> dict[str, Any]:
        """What this machine is, and which versions measure on it."""
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # the hard one, which workers take
        return {
            "name": platform.node(),
            "host": host_identity(),
            "cores": len(allowed_cores()) or os.cpu_count(),
            "files": None if files == resource.RLIM_INFINITY else files,
            "ports": source_ports(),
            "folder": str(self._folder),
            "versions": {"inferometer": __version__, "python": platform.python_version()},
        }

    def now_ns(self) -> int:
        """What the clock of this node shows."""
        return self._clock.now_ns()

    def missing(self, files: list[str]) -> list[str]:
        """Which of these files of the run this node does not have."""
        return [path for path in files if not Path(path).exists()]

    def unreachable(self, target: bytes) -> list[str]:
        """Why servers cannot be reached from here, in words; empty when each answers.

        Args:
            target: the encoded ``Target``.
        """
        told = []
        for server in msgspec.msgpack.decode(target, type=Target).servers:
            caller = Caller(server, self._clock)
            try:
                caller.call("GET", "/v1/models")  # any answer will do
            except InferometerError as error:
                told.append(error.message)
            finally:
                caller.close()
        return told

    def hire(self, setup: bytes, place: int, workers: int) -> str | None:
        """Start a worker; why it cannot be, in words, or None when it has been.

        Args:
            setup: its encoded first message; journal and core are of this node.
            place: its number on this computer, which may be several nodes.
            workers: how many there will be on this computer.
        """
        asked = msgspec.msgpack.decode(setup, type=Setup)
        own = msgspec.structs.replace(
            asked,
            journal=str(self._folder / f"worker-{asked.worker}.seg"),
            cpu=core_of(place, workers, allowed_cores()),
        )
        try:
            hired = _Hired(own, self._folder, self._lock)
        except InferometerError as error:
            return error.message
        with self._guard:
            self._hired = {**self._hired, own.worker: hired}  # other threads may be going through it
        self.give([(own.worker, pack(own))])
        return None

    def give(self, what: list[tuple[int, bytes | None]]) -> bool:
        """Pass on what workers are to read; None closes the standard input of one, which asks it to end.

        Returns:
            Whether they keep up. If not, a second has gone by, and nothing more should be given but an empty list.
        """
        with self._guard:
            for worker, data in what:
                if data is None:
                    self._hired[worker].hanging_up = True
                elif data:
                    self._hired[worker].unread.append(data)
        until_ns = self._clock.now_ns() + round(ROOM_WAIT_S * 1e9)
        while True:
            self._flush()
            behind = [hired for hired in self._hired.values() if not hired.room]
            if not behind or self._clock.now_ns() >= until_ns:
                return not behind
            self._pause.wait(LOOK_S)

    def take(self, have: dict[int, int], wait_s: float) -> dict[str, Any]:
        """What workers have written since.

        Args:
            have: by worker, how many bytes of its journal the caller has stored; nothing is told of others.
            wait_s: how long to wait until there is something.

        Returns:
            ``journal``: pieces by worker, each from where the caller's ends. ``said``: what workers said, never
            before all of their journal that was written till then; ``endings``: how workers ended, and their log.
            ``alone``: who calls us has lost hold of us: workers have been told to end at once, and what they had
            finished is still handed out as long as there is time.
        """
        until_ns = self._clock.now_ns() + round(wait_s * 1e9)
        while True:
            if not self._alone and self._deserted():
                self._end_all()
            self._flush()
            self._listen()
            found = self._found(have)
            if found["journal"] or found["said"] or self._clock.now_ns() >= until_ns:
                return found
            outputs = [hired.stdout for hired in self._hired.values() if not hired.ended]
            if outputs:
                select.select(outputs, [], [], LOOK_S)
            else:
                self._pause.wait(LOOK_S)

    def kill(self, worker: int) -> None:
        """End a worker that does not do what it is asked for."""
        self._hired[worker].killed = True
        self._hired[worker].process.kill()

    def close(self, have: dict[int, int]) -> str | None:
        """End all workers and remove the folder.

        Args:
            have: by worker, how many bytes of its journal the caller has stored.

        Returns:
            The folder, if a journal in it has more than that: it is left there. Else None.
        """
        for hired in self._hired.values():
            hired.hanging_up = True
        self._flush()
        for hired in self._hired.values():
            try:
                hired.process.wait(EXIT_WAIT_S)
            except subprocess.TimeoutExpired:
                hired.process.kill()
                hired.process.wait()
            hired.stdin.close()
            hired.stdout.close()
        left = any(hired.follower.whole() > have.get(worker, 0) for worker, hired in self._hired.items())
        os.close(self._lock)
        if left:
            return str(self._folder)
        shutil.rmtree(self._folder)
        return None

    def _end_all(self) -> None:
        self._alone = True
        with self._guard:
            for hired in self._hired.values():
                hired.unread.append(pack(Stop(2, "lost")))
                hired.hanging_up = True

    def _flush(self) -> None:
        """Write what pipes take at once."""
        with self._guard:
            for hired in self._hired.values():
                while (
                    not hired.stdin.closed
                    and hired.unread
                    and (written := _write(hired.stdin.fileno(), hired.unread[0]))
                ):
                    rest = hired.unread.popleft()[written:]
                    if rest:
                        hired.unread.appendleft(rest)
                if hired.hanging_up and not hired.unread and not hired.stdin.closed:
                    hired.stdin.close()

    def _listen(self) -> None:
        for hired in self._hired.values():
            if hired.ended or len(hired.said) > 8:
                continue
            try:
                data = os.read(hired.stdout.fileno(), READ_BYTES)
            except BlockingIOError:
                continue
            hired.ended = not data
            if hired.ended:
                hired.process.wait()
                hired.unread.clear()
            # What it wrote before it said so has to be stored first.
            hired.said.append((hired.follower.whole(), data or None))

    def _found(self, have: dict[int, int]) -> dict[str, Any]:
        journal: list[tuple[int, bytes]] = []
        said: list[Said] = []
        endings: dict[int, tuple[str, bytes]] = {}
        room = SHIPPED_BYTES
        for worker, start in have.items():
            hired = self._hired[worker]
            piece = hired.follower.read(start, room)
            if piece:
                journal.append((worker, piece))
                room -= len(piece)
            stored = start + len(piece)
            while hired.said and hired.said[0][0] <= stored and room > 0:
                data = hired.said.popleft()[1]
                said.append((worker, data))
                room -= len(data or b"")
                if data is None:
                    how = how_it_ended(worker, hired.process.wait(), hired.log, killed=hired.killed)
                    endings[worker] = (how, hired.log.read_bytes()[-LOG_BYTES:])
        return {"journal": journal, "said": said, "endings": endings, "alone": self._alone}


def _write(fd: int, data: bytes) -> int:
    """How much of ``data`` the pipe took; all of it where nobody reads any more."""
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        return len(data)


def source_ports() -> tuple[int, int] | None:
    """First and last source port of connections from here; None where the system does not say."""
    try:
        first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()
    except OSError:  # not Linux
        return None
    return int(first), int(last)


def host_identity() -> str:
    """The same text for all processes that reach the same servers under 127.0.0.1, and for no others."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {Path('/proc/self/ns/net').readlink()}"
    except OSError:  # not Linux
        return socket.gethostname()

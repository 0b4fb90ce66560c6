"""One node's workers, from the gateway's side: two threads pump between the parent's sockets and the node's agent."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from inferometer.loadgen.messages import Setup
from inferometer.loadgen.nodes.cluster import Node, NodeLostError
from inferometer.loadgen.nodes.talk import Ended
from inferometer.record.folder import JOURNAL
from inferometer.record.types import NodeRecord

POLL_S = 0.1
READ_BYTES = 32 << 10
END_WAIT_S = 12.0

_encoder = msgspec.msgpack.Encoder()


@dataclass
class _Line:
    """One worker: the socket to the parent, and the journal that is stored here."""

    socket: socket.socket
    journal: int
    stored: int = 0  # bytes
    ended: bool = False

    def store(self, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest:
            written = os.write(self.journal, rest)
            self.stored += written
            rest = rest[written:]

    def end(self) -> None:
        """The parent finds the end of the worker's output. Closed later: a selector must not meet its number anew."""
        with contextlib.suppress(OSError):  # the parent may have gone
            self.socket.shutdown(socket.SHUT_RDWR)


class Bridge:
    """Carries what the parent and the workers of one node say to each other, and the workers' journals.

    Life cycle: made -> ``hire`` each worker -> ``close``.

    Args:
        node: where the workers run.
        record: what the run will have of it.
        places: of each worker: its place among those on the same computer, and how many those are.
        tell: passes a message to the parent; callable from any thread.
    """

    def __init__(
        self,
        node: Node,
        record: NodeRecord,
        places: Mapping[int, tuple[int, int]],
        tell: Callable[[Ended], None],
    ) -> None:
        self.node = node
        self.record = record
        self._places = places
        self._tell = tell
        self._lines: dict[int, _Line] = {}
        self._waker, self._woken = socket.socketpair()
        self._closing = False
        self._threads: list[threading.Thread] = []
        self._left: str | None = None

    @property
    def named(self) -> str:
        """The node as a person knows it."""
        return named(self.record)

    def hire(self, setup: Setup, run: Path, line: socket.socket) -> None:
        """Start a worker on the node; what it says goes to ``line``, which reaches its end when it has ended."""
        worker = setup.worker
        path = run / JOURNAL / f"worker-{worker}.seg"
        try:
            journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            self._refuse(worker, line, f"its journal cannot be stored here: {error.strerror}")
            return
        trouble = self.record.lost
        try:
            if trouble is None:
                trouble = self.node.call("hire", _encoder.encode(setup), *self._places[worker])
        except NodeLostError as error:
            trouble = error.message
        if trouble is not None:
            os.close(journal)
            self._refuse(worker, line, trouble)
            return
        self._lines = {**self._lines, worker: _Line(line, journal)}  # threads may be going through it
        if not self._threads:
            self._threads = [
                threading.Thread(target=self._take, args=(run,), daemon=True),
                threading.Thread(target=self._give, daemon=True),
            ]
            for thread in self._threads:
                thread.start()
        self._waker.send(b".")

    def _refuse(self, worker: int, line: socket.socket, trouble: str) -> None:
        self._tell(Ended(worker, f"worker {worker} cannot be started on {self.named}: {trouble}"))
        line.close()

    def kill(self, worker: int) -> None:
        """End a worker at once; one whose node is lost is told as that."""
        with contextlib.suppress(NodeLostError):
            self.node.call("kill", worker)

    def sync(self) -> None:
        """Make the stored journals durable."""
        for line in self._lines.values():
            os.fsync(line.journal)

    def close(self) -> str | None:
        """End the workers and the agent.

        Returns:
            The folder on the node, if one is left there because it has more than was stored here.
        """
        for line in self._lines.values():
            line.end()
        self._closing = True
        self._waker.send(b".")
        for thread in self._threads:
            thread.join(END_WAIT_S)
        if self.record.lost is None:
            self._left = self._close_agent()
        for line in self._lines.values():
            line.socket.close()
            os.close(line.journal)
        self._waker.close()
        self._woken.close()
        return self._left

    def _close_agent(self) -> str | None:
        try:
            left = self.node.call("close", self._stored())
        except NodeLostError:
            return self.record.folder
        return None if left is None else str(left)

    def _stored(self) -> dict[int, int]:
        return {worker: line.stored for worker, line in self._lines.items()}

    def _take(self, run: Path) -> None:
        """Fetch what workers have written; journals are stored before anything is told.

        It ends when all of them have, and there will be no others.
        """
        alone = False
        reason: str | None
        try:
            while not (alone or self._closing) or not all(line.ended for line in self._lines.values()):
                found = self.node.call("take", self._stored(), POLL_S)
                alone = alone or bool(found["alone"])
                for worker, piece in found["journal"]:
                    self._lines[worker].store(piece)
                for worker, data in found["said"]:
                    if data is not None:
                        self._pass_on(worker, data, alone)
                        continue
                    how, log = found["endings"][worker]
                    if log:
                        (run / f"worker-{worker}.log").write_bytes(log)
                    self._lines[worker].ended = True
                    if not alone:  # else all of the node is told as lost, once nothing more can come
                        self._tell(Ended(worker, f"{self.named}: {how}"))
                        self._lines[worker].end()
            reason = "its process of the cluster (raylet) ended" if alone else None
            whole = True
        except NodeLostError as error:
            reason, whole = error.message, False
        except OSError as error:
            reason, whole = f"its journals cannot be stored here: {error.strerror}", False
        if reason is not None:
            self._lose(reason, whole)

    def _pass_on(self, worker: int, data: bytes, alone: bool) -> None:
        """What a worker said to the parent; nothing of a node that has lost its hold on the cluster."""
        if not alone:
            with contextlib.suppress(OSError):  # the parent has hung up, or is gone
                self._lines[worker].socket.sendall(data)

    def _lose(self, reason: str, whole: bool) -> None:
        """Tell the parent of the loss of the node.

        Args:
            reason: in words.
            whole: whether all that its workers had finished is stored here.
        """
        self._left = self._close_agent() if whole else self.record.folder
        text = f"{reason}; all that its workers had finished is in the run"
        if self._left is not None:
            files = " ".join(f"{self._left}/worker-{worker}.seg" for worker in self._lines)
            text = f"{reason}; what its workers finished in the last moment may be missing here, and is there: {files}"
        self.record.lost = text
        for worker, line in self._lines.items():
            self._tell(Ended(worker, f"{self.named} was lost: {text}", text))
            line.end()

    def _give(self) -> None:
        """Pass on what the parent sends until the gateway closes or the node is lost."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            known: set[int] = set()
            while not self._closing or known:
                what: list[tuple[int, bytes | None]] = []
                for key, _ in selector.select():
                    if key.data is None:
                        self._woken.recv(READ_BYTES)
                        for worker in self._lines.keys() - known:
                            selector.register(self._lines[worker].socket, selectors.EVENT_READ, (worker,))
                            known.add(worker)
                        continue
                    (worker,) = key.data
                    data = _read(self._lines[worker].socket)
                    what.append((worker, data or None))
                    if not data:
                        selector.unregister(key.fileobj)
                if not self._handed_over(what):
                    return
                if self._closing and len(selector.get_map()) == 1:
                    return

    def _handed_over(self, what: list[tuple[int, bytes | None]]) -> bool:
        """Whether the node took it; False when it is lost, which the other thread tells."""
        try:
            keeps_up = not what or self.node.call("give", what)
            while not keeps_up:
                keeps_up = self.node.call("give", [])
        except NodeLostError:
            return False
        return True


def named(record: NodeRecord) -> str:
    """A node as a person knows it."""
    return f"node {record.name} ({record.address})"


def _read(line: socket.socket) -> bytes:
    try:
        return line.recv(READ_BYTES)
    except ConnectionResetError:
        return b""

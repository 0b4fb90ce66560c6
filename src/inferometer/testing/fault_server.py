"""A server that plays a script: it sends given bytes at given times and logs, on CLOCK_MONOTONIC, when it did.

It is the ground truth for a client's clock: what was sent when is known, so what was measured can be checked. Each
connection has a thread; a script is played once per request. Binds to 127.0.0.1 and ends with its context.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from inferometer.clock import Clock, MonotonicClock

_NO_LINGER = struct.pack("ii", 1, 0)  # on, for 0 s: what is closed is reset


class Send(NamedTuple):
    """Bytes to send ``at_s`` seconds after the whole request was received."""

    at_s: float
    data: bytes


class Script(NamedTuple):
    """What to answer to one request.

    Attributes:
        sends: in order of time; each is one write.
        close: close the connection after the last send; a script without sends and without close hangs.
        hang_s: keep the connection open and silent so long after the last send.
        reset: end the connection with a TCP reset instead of in order, as a host does that has lost its state.
    """

    sends: Sequence[Send]
    close: bool = False
    hang_s: float = 0.0
    reset: bool = False


class Incoming(NamedTuple):
    """A request as received."""

    number: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Served(NamedTuple):
    """What was done with one request; times are CLOCK_MONOTONIC ns, one per send, taken just before the write."""

    request: Incoming
    received_ns: int
    sent_ns: list[int]


class FaultServer:
    """Plays ``script(request)`` for each request.

    Args:
        script: what to answer; called in a connection's thread.
        tls: a server-side context, to speak TLS.
        clock: the clock of the log.
        read_bodies: whether a script begins after the whole request. False: after its head, the body is never
            read, so the script must end the connection.

    Attributes:
        served: one entry per request whose script has ended, in order of ending.
    """

    def __init__(
        self,
        script: Callable[[Incoming], Script],
        tls: ssl.SSLContext | None = None,
        clock: Clock | None = None,
        read_bodies: bool = True,
    ) -> None:
        self._script = script
        self._tls = tls
        self._clock = clock or MonotonicClock()
        self._read_bodies = read_bodies
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closing = threading.Event()
        self._serving: list[threading.Thread] = []
        self._count = 0
        self.served: list[Served] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        """Address without a path."""
        host, port = self._listener.getsockname()
        return f"{'https' if self._tls else 'http'}://{host}:{port}"

    def __enter__(self) -> FaultServer:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the listener and all connections, and wait until every thread has written its log."""
        self._closing.set()
        with contextlib.suppress(OSError):  # not connected is how a listener answers on some platforms
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):  # the peer may have gone first
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in (self._thread, *self._serving):
            thread.join(5)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # the listener was closed
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._serving.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open.add(connection)
            while (request := self._receive(connection)) is not None:
                if not self._play(connection, request):
                    return
        except OSError:
            return  # the client has gone; its side of the story is what the test looks at
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _receive(self, connection: socket.socket) -> Incoming | None:
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                return None
            data += part
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {n.strip().lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0")) if self._read_bodies else 0
        body = bytearray(rest)  # grows in place: a prompt may have 64 MB
        while len(body) < length:
            part = connection.recv(1 << 20)
            if not part:
                return None
            body += part
        with self._lock:
            number = self._count
            self._count += 1
        return Incoming(number, method, path, headers, bytes(body))

    def _play(self, connection: socket.socket, request: Incoming) -> bool:
        """Play the script; True when the connection stays open for another request."""
        received_ns = self._clock.now_ns()
        script = self._script(request)
        sent: list[int] = []
        for send in script.sends:
            self._wait_until(received_ns + round(send.at_s * 1e9))
            sent.append(self._clock.now_ns())
            connection.sendall(send.data)
        with self._lock:
            self.served.append(Served(request, received_ns, sent))
        if script.hang_s:
            self._closing.wait(script.hang_s)
        if script.reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        return not (script.close or script.reset)

    def _wait_until(self, at_ns: int) -> None:
        """Sleep to within a fraction of a millisecond, then yield: a sleep alone is late by up to 0.1 ms."""
        while (left_ns := at_ns - self._clock.now_ns()) > 0:
            time.sleep(max(0.0, left_ns / 1e9 - 0.0002))

"""One connection: connect, TLS, write, read, with the times of each. All I/O errors end here as a failure text."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from inferometer.client.exchange import LOG_BYTES, Exchange, Read
from inferometer.client.poller import READ, WRITE
from inferometer.client.proxy import Tunnel
from inferometer.client.stamps import ANCILLARY_BYTES, enable_kernel_stamps, kernel_stamp_ns
from inferometer.client.target import Target
from inferometer.client.tls import TlsStream
from inferometer.record.types import Status


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a connection is over: a failure for its exchange (None = none), and the text."""

    failure: Status | None
    text: str


TLS_ENDED = Ended(None, "the server closed the TLS connection")
# Written before the sockets are looked at again; a long prompt goes out over several turns.
_MOST_SENT_BYTES = 1 << 20
_NOTHING = memoryview(b"")
_MORE = getattr(socket, "MSG_MORE", 0)  # no segment of its own for what comes right before the rest; Linux


class Connection:
    """A non-blocking connection that carries one exchange at a time.

    Life cycle: connecting -> (tunnel through a proxy) -> (TLS handshake) -> ready <-> busy -> closed.

    Args:
        target: the server at its end.
        server: the number of that server.
        tls: its TLS state, None for plain text.
        now_ns: when it begins.
    """

    __slots__ = (
        "_address",
        "_connected",
        "_log",
        "_out",
        "_receive",
        "_rest",
        "_tunnel",
        "_whom",
        "exchange",
        "fd",
        "idle_since_ns",
        "moved_ns",
        "ready",
        "server",
        "sock",
        "stamped",
        "started_ns",
        "tls",
        "used",
    )

    def __init__(self, target: Target, server: int, tls: TlsStream | None, now_ns: int) -> None:
        address = self._address = target.addresses[0]
        self._whom = "the proxy " if target.proxy else ""
        self._tunnel = Tunnel(target.proxy, target.authority) if target.proxy and tls is not None else None
        self.server = server
        self.tls = tls
        self._connected = False
        self.ready = False
        self.exchange: Exchange | None = None
        self.used = False  # has carried an exchange
        self.started_ns = now_ns
        self.idle_since_ns = now_ns
        self.moved_ns = 0  # when the peer last made room for more of a long request
        self._out = self._rest = _NOTHING  # the second is sent after the first
        self._log = bytearray(LOG_BYTES)
        self.sock = socket.socket(address[0], socket.SOCK_STREAM)
        self._receive = self.sock.recvmsg_into
        self.fd = self.sock.fileno()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stamped = enable_kernel_stamps(self.sock)

    def connect(self) -> Ended | None:
        """Begin to connect."""
        code = self.sock.connect_ex(self._address[1:])
        if code in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
            return None
        return self._refused(code)

    def _refused(self, code: int) -> Ended:
        _, host, port = self._address
        return Ended("connect_error", f"connect to {self._whom}{host} port {port}: {os.strerror(code)}")

    @property
    def mask(self) -> int:
        """What the poller must watch: writing while connecting or while bytes wait to go out."""
        return READ | WRITE if self.unsent or not self._connected else READ

    @property
    def unsent(self) -> bool:
        """Whether bytes of a request wait to go out."""
        return bool(self._out)

    @property
    def ended(self) -> bool:
        """Whether the peer has ended TLS, with or without closing the socket."""
        return self.tls is not None and self.tls.closed

    def advance(self) -> Ended | None:
        """The socket is writable or readable before the connection is ready: finish connecting, go on with TLS."""
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code and self._connected:
            doing = "TLS handshake" if self._tunnel is None else "proxy"
            return Ended("connect_error", f"{doing}: {os.strerror(code)}")
        if code:
            return self._refused(code)
        self._connected = True
        if self._tunnel is not None:
            ended = self._dig(self._tunnel)
            if ended is not None or not self._tunnel.opened:
                return ended
            self._tunnel = None
        if self.tls is None:
            self.ready = True
            return None
        try:
            received = self._receive_raw()
            if received == b"":
                return Ended("connect_error", "the server closed the connection during the TLS handshake")
            if received:
                self.tls.receive(received)
            self.ready = self.tls.handshake()
        except ssl.SSLError as error:
            return Ended("connect_error", f"TLS handshake: {error.reason or error}: {error}")
        except OSError as error:
            return Ended("connect_error", f"TLS handshake: {error.strerror or error}")
        return self.flush()

    def _dig(self, tunnel: Tunnel) -> Ended | None:
        """Go on with asking the proxy for the server."""
        if not tunnel.sent:
            tunnel.sent = True
            self._out = memoryview(tunnel.request)
        try:
            received = self._receive_raw()
        except OSError as error:
            return Ended("connect_error", f"proxy: {error.strerror or error}")
        if received is not None:
            tunnel.receive(received)
            if tunnel.refusal is not None:
                return Ended("connect_error", tunnel.refusal)
        return self.flush()

    def _receive_raw(self) -> bytes | None:
        """Bytes before the connection is ready; None when there are none yet."""
        try:
            return self.sock.recv(65536)
        except BlockingIOError:
            return None

    def start(self, exchange: Exchange, now_ns: int) -> Ended | None:
        """Write the request; ``sent_ns`` is stamped before the first byte goes out."""
        self.exchange = exchange
        exchange.log = self._log
        exchange.fd = self.fd
        exchange.sent_ns = now_ns
        if self.tls is None:
            self._out, self._rest = memoryview(exchange.wire), memoryview(exchange.rest)
        else:
            self.tls.encrypt(exchange.wire)
            if exchange.rest:
                self.tls.encrypt(exchange.rest)
        return self.flush()

    def flush(self) -> Ended | None:
        """Write what waits to go out, as far as the socket takes it and other sockets need not wait long."""
        if self.tls is not None:
            pending = self.tls.pending()
            if pending:
                self._out = memoryview(bytes(self._out) + pending)
        out, written = self._out, 0
        try:
            while out and written < _MOST_SENT_BYTES:
                sent = self.sock.send(out, _MORE if self._rest else 0)
                out = out[sent:]
                written += sent
                if not out:
                    out, self._rest = self._rest, _NOTHING
        except BlockingIOError:
            self._out = out
            return None
        except OSError as error:
            # The server may have answered (say with 413) before it closed; what it said is read first.
            self._out = self._rest = _NOTHING
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                return Ended("connect_error", f"send: {error.strerror or error}")
            return None
        self._out = out
        return None

    def read(
        self, buffers: tuple[bytearray], offset_ns: int, now_ns: Callable[[], int]
    ) -> int | Read | Ended | None:
        """One read. Put on the log of its exchange, and how long it had waited (ns, 0 = not known), where that will do.

        Else the read itself; None when it held no plaintext. ``Ended`` without a failure is the peer's orderly close.

        Args:
            buffers: the shared receive buffer.
            offset_ns: CLOCK_REALTIME - CLOCK_MONOTONIC, to convert the kernel's stamp.
            now_ns: the monotonic clock, read immediately after the socket.
        """
        try:
            size, ancillary, _, _ = self._receive(buffers, ANCILLARY_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            return Ended("stream_error", f"receive: {error.strerror or error}")
        read_ns = now_ns()
        if size == 0:
            return Ended(None, "the server closed the connection")
        at_ns = kernel_stamp_ns(ancillary, offset_ns)
        lag_ns = -1
        if at_ns is None:
            at_ns = read_ns
        else:
            lag_ns = read_ns - at_ns
            if lag_ns < 0:  # after a step of the clock; a closed loop would wait for it
                at_ns, lag_ns = read_ns, 0
        data: bytes | bytearray = buffers[0]
        if self.tls is not None:
            plain = self._decrypted(self.tls, memoryview(data)[:size])
            if not isinstance(plain, bytes):
                return plain
            data, size = plain, len(plain)
            if self.tls.closed:
                return at_ns, lag_ns, plain
        exchange = self.exchange
        if exchange is None or not exchange.keep(at_ns, lag_ns, data, size):
            return at_ns, lag_ns, bytes(memoryview(data)[:size])
        return lag_ns if lag_ns > 0 else 0

    def _decrypted(self, tls: TlsStream, data: memoryview) -> bytes | Ended | None:
        try:
            tls.receive(data)
            plain = tls.plaintext()
        except ssl.SSLError as error:
            return Ended("stream_error", f"TLS: {error.reason or error}")
        return plain or (TLS_ENDED if tls.closed else None)

    def close(self) -> None:
        """Close the socket; the poller must have forgotten it."""
        self.sock.close()

"""HTTP/1.1 for a server that writes its streams straight to the transport."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from email.utils import format_datetime
from http import HTTPStatus
from typing import NamedTuple, Protocol, cast

import httptools

from inferometer.clock import utc_now
from inferometer.version import __version__

SERVER = f"inferometer-simulator/{__version__}"
MAX_HEADER_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024
LAST_CHUNK = b"0\r\n\r\n"


class HttpRequest(NamedTuple):
    """One request as it came in; header names are lower case."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    body: bytes
    version: str
    keep_alive: bool


class Application(Protocol):
    """Answers requests. Each request gets exactly one reply or stream on its connection, at any later time."""

    def handle(self, request: HttpRequest, connection: HttpConnection) -> None:
        """Begin to answer ``request``."""
        ...

    def refuse(self, status: int, message: str, connection: HttpConnection) -> None:
        """Answer a request that is no valid HTTP; the connection closes afterwards."""
        ...


def response_head(status: int, headers: dict[str, str]) -> bytes:
    """Status line and headers, with ``server`` and ``date``."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase if status in _KNOWN else 'Unknown'}"]
    lines.append(f"server: {SERVER}")
    lines.append(f"date: {format_datetime(utc_now(), usegmt=True)}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


_KNOWN = frozenset(status.value for status in HTTPStatus)


class HttpConnection(asyncio.Protocol):
    """One client connection: requests in, replies out, one at a time and in order.

    A reader that is slower than the engine does not slow the engine down: what it has not read waits in the
    transport, at most the text of one answer.

    Args:
        application: answers the requests.
        peers: set that holds the open connections.
    """

    def __init__(self, application: Application, peers: set[HttpConnection]) -> None:
        self._application = application
        self._peers = peers
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[HttpRequest] = deque()
        self._current: HttpRequest | None = None
        self._refusal: tuple[int, str] | None = None
        self._answering = False  # inside the loop that takes requests from the queue
        self._paused = False
        self._in_headers = False
        self._reset_message()
        self.on_lost: Callable[[], None] | None = None  # set while an answer is under way

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See :class:`asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's class is no subclass of it
        self.write = self._transport.write
        self._peers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """See :class:`asyncio.Protocol`. Tells the answer under way."""
        self._peers.discard(self)
        self._queue.clear()
        on_lost, self.on_lost = self.on_lost, None
        if on_lost is not None:
            on_lost()

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        if self._refusal is not None:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refusal = (400, "this server speaks HTTP/1.1 only: leave out the Upgrade header")
        except httptools.HttpParserError as error:
            self._refusal = self._refusal or (400, f"not a valid HTTP/1.1 request: {error}")
        if self._in_headers:
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES:
                self._refusal = self._refusal or (
                    431,
                    f"the headers are larger than {MAX_HEADER_BYTES} bytes",
                )
        self._next()

    # Called by the parser.

    def on_message_begin(self) -> None:
        """A request line follows."""
        self._reset_message()
        self._in_headers = True

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The body follows; lets a client go on that asked whether it may."""
        self._in_headers = False
        if self._headers.get(b"expect", b"").lower() == b"100-continue" and self._current is None:
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._body_bytes += len(data)
        if self._body_bytes > MAX_BODY_BYTES:
            self._refusal = (413, f"the body is larger than {MAX_BODY_BYTES} bytes")
        else:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._refusal is not None or self._parser.should_upgrade():
            return
        self._queue.append(
            HttpRequest(
                method=self._parser.get_method().decode("latin-1"),
                path=self._url.partition(b"?")[0].decode("latin-1"),
                headers=self._headers,
                body=b"".join(self._body),
                version=self._parser.get_http_version(),
                keep_alive=self._parser.should_keep_alive(),
            )
        )

    # Called by the application.

    def reply(
        self, status: int, body: bytes, content_type: str, headers: dict[str, str] | None = None
    ) -> None:
        """Send a whole answer."""
        fields = {"content-type": content_type, "content-length": str(len(body)), **(headers or {})}
        if not self._keeps_alive():
            fields["connection"] = "close"
        head_only = self._current is not None and self._current.method == "HEAD"
        self.write(response_head(status, fields) + (b"" if head_only else body))
        self._finish()

    def begin_stream(self, content_type: str) -> None:
        """Send the head of an answer in chunks; the chunks are written by the caller."""
        fields = {"content-type": content_type, "cache-control": "no-cache", "transfer-encoding": "chunked"}
        if not self._keeps_alive():
            fields["connection"] = "close"
        self.write(response_head(200, fields))

    def end_stream(self) -> None:
        """The last chunk has been written."""
        self._finish()

    def close(self) -> None:
        """Close after what was written has been sent, in the middle of an answer if need be."""
        self.on_lost = None
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _finish(self) -> None:
        keep_alive = self._keeps_alive()
        self._current = None
        self.on_lost = None
        if keep_alive:
            self._next()
        else:
            self._queue.clear()
            self._transport.close()

    def _keeps_alive(self) -> bool:
        return self._current is not None and self._current.keep_alive

    def _next(self) -> None:
        """Answer what is queued, one at a time; a client that runs ahead is not read meanwhile."""
        if self._answering:
            return
        self._answering = True
        while self._current is None and self._queue:
            self._current = self._queue.popleft()
            self._application.handle(self._current, self)
        self._answering = False
        if self._transport.is_closing():
            return
        if self._current is None and self._refusal is not None:
            self._application.refuse(*self._refusal, self)
            return
        ahead = bool(self._queue) or self._refusal is not None
        if ahead != self._paused:
            self._paused = ahead
            (self._transport.pause_reading if ahead else self._transport.resume_reading)()

    def _reset_message(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._header_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0

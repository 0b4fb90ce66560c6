"""HTTP/1.1 responses: where a message ends while it arrives, and what its body is afterwards (RFC 9112).

While bytes arrive only the end of the message is looked for: a chunked body costs one look at each size line, so
that no long walk is left for the moment at which the stream ends and the next request should go out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

MAX_HEAD_BYTES = 65536
# int() alone would take a sign, a prefix and underscores; a negative size is a walk without end.
_SIZE_LINE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)


class ProtocolError(Exception):
    """The server's bytes are not HTTP/1.x; the message says what was seen."""


class Head(NamedTuple):
    """Status line and the headers that matter to framing and dialects. Header names are lower case."""

    status: int
    reason: str
    headers: dict[str, str]
    length: int  # bytes up to and including the blank line

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may be used again."""
        options = self.headers.get("connection", "").lower().split(",")
        return "close" not in (option.strip() for option in options)


def parse_head(data: bytes, end: int) -> Head:
    """The head in ``data[:end]``, where ``end`` is the offset just past the blank line.

    Raises:
        ProtocolError: not an HTTP/1.x head.
    """
    lines = data[: end - 4].decode("latin-1").split("\r\n")
    version, _, rest = lines[0].partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or not re.fullmatch("[0-9]{3}", code):
        raise ProtocolError(f"not an HTTP/1.x response: it starts with {data[:60]!r}")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            key = name.strip().lower()
            headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
    if version == "HTTP/1.0" and headers.get("connection", "").lower() != "keep-alive":
        headers["connection"] = "close"
    return Head(int(code), reason, headers, end)


class Mode(IntEnum):
    """How the end of a message is known."""

    HEAD = 0
    LENGTH = 1
    CHUNKED = 2
    CLOSE = 3
    DONE = 4


class Framer:
    """Finds the end of one response. Feed it each read; it keeps no more than an incomplete line.

    Attributes:
        head: the final (not 1xx) head once it has arrived.
        extra: bytes after the end of the message; a connection with such bytes must not be used again.
    """

    __slots__ = ("_mode", "_need", "_rest", "extra", "head", "skipped")

    def __init__(self) -> None:
        self.head: Head | None = None
        self.extra = 0
        self.skipped = 0  # bytes of 1xx heads before the final one
        self._mode = Mode.HEAD
        self._rest = b""  # HEAD: what has arrived. CHUNKED: an incomplete size line or trailer
        self._need = 0  # LENGTH: body bytes to come. CHUNKED: bytes to skip before the next size line

    def feed(self, data: bytes) -> bool:
        """Take one read; True when the message is complete."""
        if self._mode is Mode.CHUNKED:
            return self._walk(data)
        if self._mode is Mode.LENGTH:
            self._need -= len(data)
            return self._finish(-self._need) if self._need <= 0 else False
        if self._mode is Mode.HEAD:
            return self._feed_head(data)
        return False

    def end_of_input(self) -> bool:
        """The peer closed; True when that is how this message ends, False when it is cut short."""
        return self._mode in (Mode.CLOSE, Mode.DONE)

    def _finish(self, extra: int) -> bool:
        self.extra = extra
        self._mode = Mode.DONE
        self._rest = b""
        return True

    def _feed_head(self, data: bytes) -> bool:
        joined = self._rest + data
        while True:
            end = joined.find(b"\r\n\r\n") + 4
            if end < 4:
                if len(joined) > MAX_HEAD_BYTES or (len(joined) >= 5 and not joined.startswith(b"HTTP/")):
                    raise ProtocolError(f"not an HTTP/1.x response: it starts with {joined[:60]!r}")
                self._rest = joined
                return False
            head = parse_head(joined, end)
            joined = joined[end:]
            if head.status >= 200:
                break
            self.skipped += end
        self.head = head
        self._rest = b""
        return self._start_body(head, joined)

    def _start_body(self, head: Head, rest: bytes) -> bool:
        if head.status in (204, 304):
            return self._finish(len(rest))
        if "chunked" in head.headers.get("transfer-encoding", "").lower():
            self._mode = Mode.CHUNKED
            return self._walk(rest)
        length = head.headers.get("content-length")
        if length is None:
            self._mode = Mode.CLOSE
            return False
        if not re.fullmatch("[0-9]{1,18}", length):
            raise ProtocolError(f"Content-Length {length!r} is not a number")
        self._mode = Mode.LENGTH
        self._need = int(length)
        return self.feed(rest)

    def _walk(self, data: bytes) -> bool:
        """Step over the chunks in ``data``; True at the end of the message."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        at = self._need
        while at < len(data):
            line_end = data.find(b"\r\n", at)
            size = chunk_size(data, at, line_end) if line_end >= 0 else -1
            if size == 0:
                end = trailer_end(data, line_end)
                if end >= 0:
                    return self._finish(len(data) - end)
            if size <= 0:
                self._rest, self._need = data[at:], 0
                return False
            at = line_end + 2 + size + 2
        self._need = at - len(data)
        return False


def chunk_size(data: bytes, at: int, line_end: int) -> int:
    """The size in the chunk-size line ``data[at:line_end]``; extensions are ignored."""
    found = _SIZE_LINE.fullmatch(data, at, line_end)
    if found is None:
        text = data[at:line_end].split(b";", 1)[0].strip()
        raise ProtocolError(f"chunk size {text[:20]!r} is not hexadecimal")
    return int(found[1], 16)


def trailer_end(data: bytes, last_line_end: int) -> int:
    """Offset past the end of a chunked message whose last-chunk line ends at ``last_line_end``; -1 if not there."""
    if data.startswith(b"\r\n", last_line_end + 2):
        return last_line_end + 4
    end = data.find(b"\r\n\r\n", last_line_end)
    return end + 4 if end >= 0 else -1


class Body(NamedTuple):
    """A body with the way back from its offsets to the bytes on the wire.

    Segment ``i`` holds the body bytes from ``starts[i]`` on, which lie at ``wire[i]`` of the response.
    """

    data: bytes
    starts: Sequence[int]
    wire: Sequence[int]
    complete: bool


def body_of(raw: bytes, head_end: int, chunked: bool) -> Body:
    """The body of a (possibly cut) response.

    Args:
        raw: all bytes received.
        head_end: offset just past the final head.
        chunked: whether the body has chunked framing.
    """
    if not chunked:
        return Body(raw[head_end:], (0,), (head_end,), True)
    parts: list[bytes] = []
    starts: list[int] = []
    wire: list[int] = []
    at, size_of_body = head_end, 0
    while True:
        line_end = raw.find(b"\r\n", at)
        if line_end < 0:
            return Body(b"".join(parts), starts, wire, False)
        size = chunk_size(raw, at, line_end)
        if size == 0:
            return Body(b"".join(parts), starts, wire, True)
        part = raw[line_end + 2 : line_end + 2 + size]
        if part:
            parts.append(part)
            starts.append(size_of_body)
            wire.append(line_end + 2)
            size_of_body += len(part)
        if len(part) < size:
            return Body(b"".join(parts), starts, wire, False)
        at = line_end + 2 + size + 2

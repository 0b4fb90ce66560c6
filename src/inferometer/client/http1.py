"""HTTP/1.1 responses: where a message ends, and its body without framing, found while it arrives (RFC 9112).

A chunked body has to be walked to know its end; the walk copies the chunks' content into the body on its way, so
that nothing is walked twice and no long work is left for the moment at which the next request should go out.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_HEAD_BYTES = 65536
MAX_LINE_BYTES = 65536
_KNOWN_MOST = 4096
# int() alone would take a sign, a prefix and underscores; a negative size is a walk without end.
_SIZE_LINE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)

# How the end of a message is known. Plain numbers: an enum's members cost a look-up per read.
_HEAD, _LENGTH, _CHUNKED, _CLOSE, _DONE = range(5)


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


class Framer:
    """Takes one response apart. Feed it each read; it keeps no more than an incomplete line.

    Args:
        body: what is found of the body is appended here.

    Attributes:
        head: the final (not 1xx) head once it has arrived.
        chunked: whether a body with chunk framing is under way.
        extra: bytes after the end of the message; a connection with such bytes must not be used again.
    """

    __slots__ = ("_body", "_mode", "_need", "_rest", "chunked", "extra", "head")

    def __init__(self, body: bytearray) -> None:
        self.head: Head | None = None
        self.chunked = False
        self.extra = 0
        self._body = body
        self._mode = _HEAD
        self._rest = b""  # HEAD: what has arrived. CHUNKED: an incomplete size line or trailer
        self._need = 0  # LENGTH: body bytes to come. CHUNKED: the same of this chunk, with its line end

    def feed(self, data: bytes) -> bool:
        """Take one read; True when the message is complete.

        Raises:
            ProtocolError: the bytes are not HTTP/1.x.
        """
        mode = self._mode
        if mode == _CHUNKED:
            return self._walk(data)
        if mode == _LENGTH:
            return self._take(data)
        if mode == _HEAD:
            return self._feed_head(data)
        if mode == _CLOSE:
            self._body += data
        else:
            self.extra += len(data)  # after the end, which was told once
        return False

    def end_of_input(self) -> bool:
        """The peer closed; True when that is how this message ends, False when it is cut short."""
        return self._mode in (_CLOSE, _DONE)

    def _finish(self, extra: int) -> bool:
        self.extra = extra
        self._mode = _DONE
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
            head = _known_head(joined[:end])
            joined = joined[end:]
            if head.status >= 200:
                break
        self.head = head
        self._rest = b""
        return self._start_body(head, joined)

    def _start_body(self, head: Head, rest: bytes) -> bool:
        if head.status in (204, 304):
            return self._finish(len(rest))
        if "chunked" in head.headers.get("transfer-encoding", "").lower():
            self._mode = _CHUNKED
            self.chunked = True
            return self._walk(rest)
        length = head.headers.get("content-length")
        if length is None:
            self._mode = _CLOSE
            self._body += rest
            return False
        if not re.fullmatch("[0-9]{1,18}", length):
            raise ProtocolError(f"Content-Length {length!r} is not a number")
        self._mode = _LENGTH
        self._need = int(length)
        return self._take(rest)

    def _take(self, data: bytes) -> bool:
        """Body bytes of a known length."""
        need = self._need
        if len(data) < need:
            self._body += data
            self._need = need - len(data)
            return False
        self._body += data[:need]
        return self._finish(len(data) - need)

    def _walk(self, data: bytes) -> bool:
        """Copy the chunks in ``data`` to the body; True at the end of the message."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        body, end, at = self._body, len(data), self._need
        if at:  # inside a chunk
            if at > 2:
                body += data[: at - 2]
            if at > end:
                self._need = at - end
                return False
            self._need = 0
        while at < end:
            line_end = data.find(b"\r\n", at)
            if line_end < 0:
                return self._wait_for_line(data[at:])
            line = data[at:line_end]
            size = _SIZES.get(line) or _known_size(line)
            start = line_end + 2
            if not size:
                return self._last_chunk(data, at, line_end)
            at = start + size + 2
            body += data[start : at - 2]
        self._need = at - end
        return False

    def _last_chunk(self, data: bytes, at: int, line_end: int) -> bool:
        end = trailer_end(data, line_end)
        return self._finish(len(data) - end) if end >= 0 else self._wait_for_line(data[at:])

    def _wait_for_line(self, rest: bytes) -> bool:
        if len(rest) > MAX_LINE_BYTES:
            raise ProtocolError(f"no end of a chunk-size line or trailer within {MAX_LINE_BYTES} bytes")
        self._rest, self._need = rest, 0
        return False


_SIZES: dict[bytes, int] = {}  # chunk-size lines that were seen; most streams have very few
_HEADS: dict[bytes, Head] = {}  # heads that were seen; servers repeat theirs, at most with another date


def _known_size(line: bytes) -> int:
    if len(_SIZES) >= _KNOWN_MOST:
        _SIZES.clear()
    size = _SIZES[line] = chunk_size(line)
    return size


def _known_head(data: bytes) -> Head:
    head = _HEADS.get(data)
    if head is None:
        if len(_HEADS) >= _KNOWN_MOST:
            _HEADS.clear()
        head = _HEADS[data] = parse_head(data, len(data))
    return head


def chunk_size(line: bytes) -> int:
    """The size in a chunk-size line; extensions are ignored.

    Raises:
        ProtocolError: it is not a hexadecimal number.
    """
    found = _SIZE_LINE.fullmatch(line)
    if found is None:
        text = line.split(b";", 1)[0].strip()
        raise ProtocolError(f"chunk size {text[:20]!r} is not hexadecimal")
    return int(found[1], 16)


def trailer_end(data: bytes, last_line_end: int) -> int:
    """Offset past the end of a chunked message whose last-chunk line ends at ``last_line_end``; -1 if not there."""
    if data.startswith(b"\r\n", last_line_end + 2):
        return last_line_end + 4
    end = data.find(b"\r\n\r\n", last_line_end)
    return end + 4 if end >= 0 else -1

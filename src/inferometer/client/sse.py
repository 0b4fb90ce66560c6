"""Server-sent events as the WHATWG HTML standard frames them (section 9.2.6)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# A line ends with CRLF, LF or CR; an event is dispatched by an empty line. The look-ahead keeps a CR from being
# taken alone where an LF follows.
_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")


class Event(NamedTuple):
    """One event.

    Attributes:
        data: the data lines, joined with LF; empty for a comment or an event without data.
        name: the event type, empty when none was given.
        at: offset in the body of the byte that completed the event.
    """

    data: bytes
    name: bytes
    at: int


def events(body: bytes) -> Iterator[Event]:
    """The events of a body, in order, comments and data-less blocks included (their ``data`` is empty).

    A last event without its empty line is delivered all the same: servers do omit it, and what arrived, arrived.
    """
    start = 3 if body.startswith(b"\xef\xbb\xbf") else 0
    if b"\r" not in body:
        return _lf_events(body, start)
    return _any_events(body, start)


def _lf_events(body: bytes, start: int) -> Iterator[Event]:
    """Nearly all servers: only LF, so that plain searching will do."""
    find = body.find
    while (blank := find(b"\n\n", start)) >= 0:
        if body.startswith(b"data: ", start) and find(b"\n", start, blank) < 0:
            yield Event(body[start + 6 : blank], b"", blank + 1)
        elif blank > start:
            yield _event(body[start:blank], blank + 1)
        start = blank + 2
    yield from _last(body, start)


def _any_events(body: bytes, start: int) -> Iterator[Event]:
    for blank in _BLANK_LINE.finditer(body, start):
        if blank.start() < start:
            continue
        if blank.start() > start:
            yield _event(body[start : blank.start()], blank.start(1))
        start = blank.end()
    yield from _last(body, start)


def _last(body: bytes, start: int) -> Iterator[Event]:
    rest = body[start:].strip(b"\r\n")
    if rest:
        yield _event(rest, len(body) - 1)


def _event(block: bytes, at: int) -> Event:
    if block.startswith(b"data:") and b"\n" not in block and b"\r" not in block:
        return Event(block[6:] if block.startswith(b"data: ") else block[5:], b"", at)
    data: list[bytes] = []
    name = b""
    for line in _LINE_END.split(block):
        field, colon, value = line.partition(b":")
        if not field and colon:
            continue  # a comment
        value = value[1:] if value.startswith(b" ") else value
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return Event(b"\n".join(data), name, at)

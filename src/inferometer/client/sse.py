"""Server-sent events as the WHATWG HTML standard frames them (section 9.2.6)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# Limits of one block, so that a caller can look after other things between two of them.
BLOCK_EVENTS = 48
_BLOCK_BYTES = 16384

# A line ends with CRLF, LF or CR; an event is dispatched by an empty line. The look-ahead keeps a CR from being
# taken alone where an LF follows.
_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_PREFIX, _BETWEEN = b"data: ", b"\n\ndata: "


class Block(NamedTuple):
    """Some events in a row, in columns.

    Attributes:
        data: the data lines of each event, joined with LF; empty for a comment or an event without data.
        ends: offset in the body just past the byte that completed each event.
        names: the event types that were given, by place in the block.
    """

    data: list[bytes]
    ends: list[int]
    names: dict[int, bytes]

    def add(self, lines: bytes, end: int) -> None:
        """Add the event that these lines make."""
        data, name = _fields(lines)
        if name:
            self.names[len(self.data)] = name
        self.data.append(data)
        self.ends.append(end)


def blocks(body: bytes | bytearray) -> Iterator[Block]:
    """The events of a body, in order, comments and data-less blocks included (their ``data`` is empty).

    A last event without its empty line is delivered all the same: servers do omit it, and what arrived, arrived.
    """
    view = memoryview(body)
    at = 3 if body.startswith(b"\xef\xbb\xbf") else 0
    while at < len(body):
        # As many whole events as fit into a block; one that is longer is a block alone.
        blank = body.rfind(b"\n\n", at, at + _BLOCK_BYTES)
        if blank < 0:
            blank = body.find(b"\n\n", at)
        if blank >= 0 and body.startswith(_PREFIX, at):
            block = _data_lines(bytes(view[at + len(_PREFIX) : blank]), at)
            if block is not None:
                yield block
                at = block.ends[-1]
                continue
        window = bytes(view[at : blank + 2 if blank >= 0 else len(body)])
        if b"\r" in window:
            yield from _any_blocks(body, at)
            return
        block, at = _lf_block(window, at)
        if block.data:
            yield block


def _data_lines(joined: bytes, at: int) -> Block | None:
    """The form of nearly all servers: each event is one line ``data: ...`` and LF is the only line end.

    Args:
        joined: the events from ``at`` on, without the first ``data: `` and the last empty line.
        at: where the first event begins in the body.

    Returns:
        None if the events have another form.
    """
    data = joined.split(_BETWEEN, BLOCK_EVENTS)
    del data[BLOCK_EVENTS:]
    lines = b"".join(data)
    if b"\n" in lines or b"\r" in lines:
        return None
    end = at
    return Block(data, [end := end + len(line) + len(_BETWEEN) for line in data], {})


def _lf_block(window: bytes, at: int) -> tuple[Block, int]:
    """The first events of a text without CR that begins at ``at`` in the body, and where the next one begins."""
    block = Block([], [], {})
    *whole, rest = window.split(b"\n\n", BLOCK_EVENTS)
    for lines in whole:
        if lines:
            block.add(lines, at + len(lines) + 2)
        at += len(lines) + 2
    if whole:
        return block, at
    at += len(rest)
    if rest.strip(b"\n"):
        block.add(rest, at)
    return block, at


def _any_blocks(body: bytes | bytearray, at: int) -> Iterator[Block]:
    block = Block([], [], {})
    for blank in _BLANK_LINE.finditer(body, at):
        if blank.start() > at:
            block.add(bytes(body[at : blank.start()]), blank.start(1) + 1)
            if len(block.data) == BLOCK_EVENTS:
                yield block
                block = Block([], [], {})
        at = blank.end()
    rest = bytes(body[at:])
    if rest.strip(b"\r\n"):
        block.add(rest, len(body))
    if block.data:
        yield block


def _fields(lines: bytes) -> tuple[bytes, bytes]:
    """Data and name of the event that these lines make."""
    if lines.startswith(b"data:") and b"\n" not in lines and b"\r" not in lines:
        return lines[6:] if lines.startswith(_PREFIX) else lines[5:], b""
    data: list[bytes] = []
    name = b""
    for line in _LINE_END.split(lines):
        field, colon, value = line.partition(b":")
        if not field and colon:
            continue  # a comment
        value = value[1:] if value.startswith(b" ") else value
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return b"\n".join(data), name

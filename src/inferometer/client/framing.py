"""Streams that are no server-sent events: JSON values one after the other, and what stands between them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from inferometer.client.sse import BLOCK_EVENTS, Block, blocks

# "json": the answer is one whole JSON value, not a stream.
Framing = Literal["sse", "ndjson", "nul", "json-array", "json"]

_LINE = re.compile(rb"\n")
_NUL_OR_LINE = re.compile(rb"[\0\n]")
_BLANK = b" \t\r\n\0"
# What changes the depth of nested JSON, and strings as a whole; a string that was cut off begins and never ends.
_NESTING = re.compile(rb'[{}]|"(?:[^"\\]|\\.)*(?:"|\Z)', re.DOTALL)


def events_of(framing: Framing) -> Callable[[bytes | bytearray], Iterator[Block]]:
    """What takes a body apart into events, in blocks of limited size; events have no type but in ``sse``."""
    return _FRAMINGS[framing]


def _lines(body: bytes | bytearray) -> Iterator[Block]:
    return _in_blocks(_pieces(body, _LINE))


def _nul_or_lines(body: bytes | bytearray) -> Iterator[Block]:
    """JSON without line ends of its own: vLLM ended each object with NUL until 0.5, with LF since."""
    return _in_blocks(_pieces(body, _NUL_OR_LINE))


def _array(body: bytes | bytearray) -> Iterator[Block]:
    return _in_blocks(_objects(body))


def _whole(body: bytes | bytearray) -> Iterator[Block]:
    yield Block([bytes(body)], [len(body)], {})


def _pieces(body: bytes | bytearray, separator: re.Pattern[bytes]) -> Iterator[tuple[bytes, int]]:
    """What stands between separators, with the offset just past the one that ended it.

    What comes after the last one is delivered all the same: what arrived, arrived.
    """
    at = 0
    for found in separator.finditer(body):
        yield bytes(body[at : found.start()]), found.end()
        at = found.end()
    yield bytes(body[at:]), len(body)


def _objects(body: bytes | bytearray) -> Iterator[tuple[bytes, int]]:
    """The outermost objects of a body, whatever stands between them; the last may be incomplete."""
    depth = start = 0
    for found in _NESTING.finditer(body):
        sign = body[found.start()]
        if sign == ord("{"):
            start = start if depth else found.start()
            depth += 1
        elif sign == ord("}") and depth:
            depth -= 1
            if not depth:
                yield bytes(body[start : found.end()]), found.end()
    if depth:
        yield bytes(body[start:]), len(body)


def _in_blocks(pieces: Iterable[tuple[bytes, int]]) -> Iterator[Block]:
    block = Block([], [], {})
    for data, end in pieces:
        if not data.strip(_BLANK):
            continue
        block.data.append(data)
        block.ends.append(end)
        if len(block.data) == BLOCK_EVENTS:
            yield block
            block = Block([], [], {})
    if block.data:
        yield block


_FRAMINGS: dict[Framing, Callable[[bytes | bytearray], Iterator[Block]]] = {
    "sse": blocks,
    "ndjson": _lines,
    "nul": _nul_or_lines,
    "json-array": _array,
    "json": _whole,
}

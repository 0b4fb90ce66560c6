"""Event streams in every line ending, cut anywhere: the same events."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferometer.client.sse import BLOCK_EVENTS, blocks


class Event(NamedTuple):
    data: bytes
    name: bytes
    end: int


def events(body: bytes) -> list[Event]:
    return [
        Event(data, block.names.get(place, b""), end)
        for block in blocks(body)
        for place, (data, end) in enumerate(zip(block.data, block.ends, strict=True))
    ]


def line_by_line(body: bytes) -> Iterator[Event]:
    """The standard, read literally."""
    data: list[bytes] = []
    name, lines = b"", 0
    for line in re.finditer(rb"([^\r\n]*)(\r\n|\n|\r|\Z)", body.removeprefix(b"\xef\xbb\xbf")):
        bom = 3 if body.startswith(b"\xef\xbb\xbf") else 0
        at_end = line.end() + bom == len(body) and not line[2]
        if line[1]:
            lines += 1
            field, _, value = line[1].partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value
        if lines and (at_end or not line[1]):
            yield Event(b"\n".join(data), name, len(body) if at_end else line.start(2) + bom + 1)
            data, name, lines = [], b"", 0


LINES = st.text(st.characters(blacklist_characters="\r\n\x00", blacklist_categories=("Cs",)), max_size=20)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@given(payloads=st.lists(LINES.filter(bool), min_size=1, max_size=5))
def test_each_line_ending_gives_the_same_events(newline: str, payloads: list[str]) -> None:
    body = "".join(f"data: {p}{newline}{newline}" for p in payloads).encode()
    assert [e.data.decode() for e in events(body)] == payloads


def test_an_event_is_complete_at_the_first_byte_of_its_empty_line() -> None:
    assert [e.end for e in events(b"data: a\n\ndata: b\r\n\r\n")] == [9, 19]


def test_data_lines_join_names_count_and_comments_do_not() -> None:
    body = b": hello\nevent: error\ndata: a\ndata:b\nid: 7\n\n: ping\n\n"
    assert [(e.name, e.data) for e in events(body)] == [(b"error", b"a\nb"), (b"", b"")]


def test_the_last_event_needs_no_empty_line() -> None:
    assert [e.data for e in events(b"data: a\n\ndata: [DONE]")] == [b"a", b"[DONE]"]
    assert [e.data for e in events(b"data: a\n\ndata: [DONE]\n")] == [b"a", b"[DONE]"]


def test_a_byte_order_mark_and_extra_empty_lines_are_skipped() -> None:
    assert [e.data for e in events(b"\xef\xbb\xbfdata: a\n\n\n\ndata: b\n\n")] == [b"a", b"b"]


def test_only_one_space_after_the_colon_belongs_to_the_framing() -> None:
    assert [e.data for e in events(b"data:  x\n\ndata:y\n\n")] == [b" x", b"y"]


PIECES = [
    b"data: ",
    b"data:",
    b"data",
    b"event: ",
    b": ",
    b"id",
    b"a",
    b"{}",
    b" ",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
]
PIECES += [
    b"data: {}\n\n",
    b"data: {}\n\n" * BLOCK_EVENTS,
    b"data: {}\r\n\r\n",
    b"data: " + b"x" * 9000 + b"\n\n",
]
BODIES = st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)


@given(body=BODIES)
@example(b"\xef\xbb\xbfdata: a\n\n\r\ndata: b\n\n")
@example(b"data: a\n\n\ndata: b\n\n\n\n" * BLOCK_EVENTS)
@example(b"data: " + b"x" * 50_000 + b"\n\ndata: y\n\n")
@example(b"data: " + b"x" * 50_000)
@example(b"data: a\rdata: b\n\n")
def test_any_bytes_give_the_events_of_the_standard(body: bytes) -> None:
    assert events(body) == list(line_by_line(body))
    assert all(0 < len(block.data) == len(block.ends) <= BLOCK_EVENTS for block in blocks(body))

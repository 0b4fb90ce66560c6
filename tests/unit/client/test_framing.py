"""Streams that are no server-sent events, taken apart."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.client.framing import Framing, events_of
from inferometer.client.sse import BLOCK_EVENTS

OBJECTS = st.lists(st.dictionaries(st.text(max_size=4), st.text(max_size=6), max_size=2), max_size=120)


def pieces(framing: Framing, body: bytes) -> list[tuple[bytes, int]]:
    blocks = list(events_of(framing)(body))
    assert all(len(block.data) <= BLOCK_EVENTS and not block.names for block in blocks)
    return [pair for block in blocks for pair in zip(block.data, block.ends, strict=True)]


@pytest.mark.parametrize(
    ("framing", "end"), [("nul", b"\0"), ("nul", b"\n"), ("ndjson", b"\n"), ("ndjson", b"\r\n")]
)
@given(objects=OBJECTS)
def test_objects_that_each_end_with_a_separator(
    framing: Framing, end: bytes, objects: list[dict[str, str]]
) -> None:
    body = b"".join(json.dumps(one).encode() + end for one in objects)
    found = pieces(framing, body)
    assert [json.loads(data) for data, _ in found] == objects
    assert all(body[at - 1 : at] == end[-1:] for _, at in found)


@given(objects=OBJECTS, between=st.sampled_from([b",", b",\r\n", b"\n", b""]))
def test_an_array_of_objects(objects: list[Any], between: bytes) -> None:
    body = b"[" + between.join(json.dumps({"inner": one}).encode() for one in objects) + b"]"
    found = pieces("json-array", body)
    assert [json.loads(data) for data, _ in found] == [{"inner": one} for one in objects]
    assert all(body[at - 1 : at] == b"}" for _, at in found)


@pytest.mark.parametrize("framing", ["nul", "ndjson", "json-array"])
def test_what_was_cut_off_is_delivered_with_the_end_of_the_body(framing: Framing) -> None:
    assert pieces(framing, b'{"a": 1}\n{"b": "}') == [
        (b'{"a": 1}', 9 - (framing == "json-array")),
        (b'{"b": "}', 17),
    ]


def test_blank_pieces_are_no_events() -> None:
    assert pieces("ndjson", b"\n\r\n  \n") == []
    assert pieces("nul", b"\0\0") == []

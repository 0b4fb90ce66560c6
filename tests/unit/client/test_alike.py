"""Runs of events that are alike but for their text."""

from __future__ import annotations

import json

import pytest

from inferometer.client.dialects.alike import MIN_EVENTS, Run, find_run
from inferometer.record.types import ChunkKind


def piece(data: bytes) -> tuple[ChunkKind, str] | None:
    """Content, as long as there is nothing but a text and a name."""
    try:
        found = json.loads(data)
    except ValueError:
        return None
    if not isinstance(found, dict) or found.keys() != {"name", "text"}:
        return None
    return (ChunkKind.CONTENT, found["text"]) if found["text"] else (ChunkKind.ROLE, "")


def data(text: str, name: str = "n") -> bytes:
    return json.dumps({"name": name, "text": text}).encode()


WORDS = [f"word {i}" for i in range(MIN_EVENTS)]


def test_a_run_has_the_texts_and_where_it_begins_and_ends() -> None:
    events = [data("", "other"), *map(data, WORDS), b'{"name":"n","finish":1}', b"[DONE]"]
    assert find_run(events, piece) == Run(1, 1 + len(WORDS), WORDS, bytes(len(WORDS)))


def test_texts_keep_what_was_escaped_and_an_empty_one_has_a_kind_of_its_own() -> None:
    texts = [*WORDS, "", 'a "b"\n', "\\", "é你😀", '","']
    run = find_run([data(text) for text in texts], piece)
    assert run is not None
    assert run.texts == texts
    assert list(run.kinds) == [ChunkKind.CONTENT if text else ChunkKind.ROLE for text in texts]


@pytest.mark.parametrize(
    "odd",
    [
        data("x", "other"),
        b"",
        b"[DONE]",
        b'{"name": "n", "text": "}',  # both ends fit, but overlap
        b'{"name": "n", "text": "x", "finish": "y"}',
        b'{"name": "n", "text": "x","y"}',
        b'{"name": "n", "text": "x\\","y"}',
        b'{"name": "n", "text": "\\"}',
        b'{"name": "n", "text": "\n"}',
        b'{"name": "n", "text": "\xc3"}',
    ],
)
def test_one_odd_event_within_spoils_the_run(odd: bytes) -> None:
    events = list(map(data, WORDS * 3))
    events[7] = odd
    assert find_run(events, piece) is None


def test_few_events_are_not_worth_a_look() -> None:
    asked: list[bytes] = []
    assert find_run(list(map(data, WORDS[1:])), asked.append) is None
    assert asked == []


def test_another_string_that_equals_the_text_is_not_taken_for_it() -> None:
    escaped = [b'{"name": "n", "text": "\\u006e"}'] * MIN_EVENTS  # the text is n, and so is the name
    assert find_run(escaped, piece) is None
    assert find_run([data("n")] * MIN_EVENTS, piece) is None

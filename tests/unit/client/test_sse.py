"""Event streams in every line ending, cut anywhere: the same events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.client.sse import events

LINES = st.text(st.characters(blacklist_characters="\r\n\x00", blacklist_categories=("Cs",)), max_size=20)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@given(payloads=st.lists(LINES.filter(bool), min_size=1, max_size=5))
def test_each_line_ending_gives_the_same_events(newline: str, payloads: list[str]) -> None:
    body = "".join(f"data: {p}{newline}{newline}" for p in payloads).encode()
    assert [e.data.decode() for e in events(body)] == payloads


def test_an_event_is_complete_at_the_first_byte_of_its_empty_line() -> None:
    assert [e.at for e in events(b"data: a\n\ndata: b\r\n\r\n")] == [8, 18]


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

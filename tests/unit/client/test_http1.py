"""Where a message ends, however its bytes are cut into reads."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.client.http1 import Framer, ProtocolError

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"


def chunked(*parts: bytes, trailer: bytes = b"") -> bytes:
    return b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in parts) + b"0\r\n" + trailer + b"\r\n"


def new_framer() -> Framer:
    return Framer(bytearray())


def feed_all(message: bytes, cuts: list[int], body: bytearray | None = None) -> tuple[Framer, list[bool]]:
    framer = Framer(bytearray() if body is None else body)
    edges = [0, *sorted({c % len(message) for c in cuts} - {0}), len(message)]
    return framer, [framer.feed(message[a:b]) for a, b in pairwise(edges)]


bodies = st.lists(
    st.sampled_from([b"data: x\n\n", b"data: x\r\n\r\n", b"0\r\n\r\n", b"\r\n", b"a" * 300]), min_size=1
)


@given(
    parts=bodies,
    cuts=st.lists(st.integers(0, 5000), max_size=12),
    trailer=st.sampled_from([b"", b"X-A: 1\r\n"]),
)
def test_a_chunked_message_ends_exactly_once_at_its_last_byte(
    parts: list[bytes], cuts: list[int], trailer: bytes
) -> None:
    message = HEAD + chunked(*parts, trailer=trailer)
    body = bytearray()
    framer, ends = feed_all(message, cuts, body)
    assert ends == [False] * (len(ends) - 1) + [True]
    assert framer.extra == 0
    assert framer.head is not None
    assert body == b"".join(parts)


@given(parts=bodies, cuts=st.lists(st.integers(0, 5000), max_size=12))
def test_the_body_grows_with_what_has_arrived_of_it(parts: list[bytes], cuts: list[int]) -> None:
    """After each read the body holds every content byte up to there, so that each has the time of its read."""
    message, whole = HEAD + chunked(*parts), b"".join(parts)
    content = content_places(message, parts)
    body = bytearray()
    framer = Framer(body)
    edges = [0, *sorted({c % len(message) for c in cuts} - {0}), len(message)]
    for start, end in pairwise(edges):
        framer.feed(message[start:end])
        assert body == whole[: len(body)]
        # A size line that is cut in two holds nothing back but itself.
        assert len(body) == sum(1 for place in content if place < end)


def content_places(message: bytes, parts: list[bytes]) -> list[int]:
    """Where in the message each byte of the body lies."""
    places, at = [], len(HEAD)
    for part in parts:
        at += len(f"{len(part):x}\r\n")
        places += range(at, at + len(part))
        at += len(part) + 2
    assert message[at:].startswith(b"0\r\n")
    return places


@given(parts=bodies, cut=st.integers(0, 5000))
def test_a_cut_chunked_message_gives_the_body_that_arrived(parts: list[bytes], cut: int) -> None:
    whole = chunked(*parts)
    body = bytearray()
    Framer(body).feed(HEAD + whole[: cut % len(whole)])
    assert b"".join(parts).startswith(body)


@given(st.lists(st.integers(0, 200), max_size=5))
def test_content_length_counts_body_bytes_only(cuts: list[int]) -> None:
    framer, ends = feed_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", cuts)
    assert ends == [False] * (len(ends) - 1) + [True]
    assert framer.head is not None
    assert framer.head.keep_alive


def test_an_interim_response_is_skipped() -> None:
    framer = new_framer()
    assert framer.feed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
    assert framer.head is not None
    assert framer.head.status == 204


def test_without_a_length_the_message_ends_with_the_connection() -> None:
    framer = new_framer()
    assert not framer.feed(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ndata: x\n\n")
    assert framer.end_of_input()
    assert framer.head is not None
    assert not framer.head.keep_alive


def test_the_end_of_input_inside_a_message_is_a_cut() -> None:
    framer = new_framer()
    framer.feed(HEAD + b"5\r\nhel")
    assert not framer.end_of_input()


def test_bytes_after_the_end_are_counted() -> None:
    framer = new_framer()
    assert framer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokMORE")
    assert framer.extra == 4


@pytest.mark.parametrize(
    "data", [b"\x15\x03\x01\x00\x02\x02\x16", b"SSH-2.0-x\r\n\r\n", b"HTTP/2 200\r\n\r\n"]
)
def test_what_is_not_http_is_named(data: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"not an HTTP/1\.x response"):
        new_framer().feed(data)


def test_a_chunk_size_that_is_no_number_is_named() -> None:
    with pytest.raises(ProtocolError, match="chunk size"):
        new_framer().feed(HEAD + b"zz\r\nab\r\n\r\n")


@pytest.mark.parametrize("size", [b"-6", b"+5", b"0x5", b"1_0", b"", b"f" * 40])
def test_a_chunk_size_is_hexadecimal_digits_and_nothing_else(size: bytes) -> None:
    """A negative size would lead back to its own line, for ever."""
    raw = HEAD + size + b"\r\nhello\r\n"
    with pytest.raises(ProtocolError, match="chunk size"):
        new_framer().feed(raw)


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1 \u00b200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: \u00b2\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nContent-Length: {'9' * 5000}\r\n\r\n",
    ],
)
def test_numbers_that_are_none_are_a_protocol_error(head: str) -> None:
    with pytest.raises(ProtocolError):
        new_framer().feed(head.encode("latin-1"))


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("close", False),
        ("Close", False),
        ("keep-alive, close", False),
        ("keep-alive", True),
        ("closed", True),
    ],
)
def test_close_may_stand_in_a_list(value: str, kept: bool) -> None:
    framer = new_framer()
    assert framer.feed(f"HTTP/1.1 200 OK\r\nConnection: {value}\r\nContent-Length: 0\r\n\r\n".encode())
    assert framer.head is not None
    assert framer.head.keep_alive is kept

"""What the truth server says, byte by byte, and which bytes count as which chunk."""

from __future__ import annotations

import json
from array import array

import pytest

from inferometer.testing.truth_answer import (
    BLOCK_BYTES,
    Answer,
    Asked,
    BadRequestError,
    StreamOptions,
    Voice,
    parse_body,
    parse_head,
    refusal,
    reply,
)

VOICE = Voice('a "quoted" name')


def asked(tokens: int, usage: bool = False) -> Asked:
    return Asked(max_tokens=tokens, stream=True, stream_options=StreamOptions(include_usage=usage))


def whole(answer: Answer, block: int = 1 << 30) -> bytes:
    """All its bytes, taken piece by piece by a socket that accepts at most ``block`` at a time."""
    out = b""
    while len(out) < answer.total:
        piece = answer.piece(len(out), answer.total)[:block]
        assert piece
        out += piece
    return out


def events(body: bytes) -> list[bytes]:
    """The data of each SSE event of a chunked body; each event must be one HTTP chunk."""
    found = []
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        chunk, end, body = body[:length], body[length : length + 2], body[length + 2 :]
        assert end == b"\r\n"
        if length == 0:
            assert not body
            return found
        assert chunk.startswith(b"data: ")
        assert chunk.endswith(b"\n\n")
        found.append(chunk[6:-2])
    raise AssertionError("the message has no end")


@pytest.mark.parametrize("tokens", [1, 2, 3, 400])
def test_a_chat_stream_has_vllms_shape(tokens: int) -> None:
    answer = VOICE.stream("truth-0-7", asked(tokens, usage=True), True, 11)
    head, _, body = whole(answer).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"transfer-encoding: chunked" in head
    *data, done = events(body)
    assert done == b"[DONE]"
    role, *content, finish, usage = map(json.loads, data)
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [c["choices"][0]["delta"] for c in content] == [{"content": " the"}] * tokens
    assert [c["choices"][0]["finish_reason"] for c in content] == [None] * tokens
    assert finish["choices"][0]["finish_reason"] == "length"
    assert usage["choices"] == []
    assert usage["usage"] == {
        "prompt_tokens": 11,
        "completion_tokens": tokens,
        "total_tokens": 11 + tokens,
    }
    assert {c["id"] for c in (role, *content, finish, usage)} == {"truth-0-7"}
    assert {c["model"] for c in (role, *content)} == {'a "quoted" name'}
    if tokens > 1:
        assert 200 < len(answer.middle) < 260


def test_a_completions_stream_says_text() -> None:
    body = whole(VOICE.stream("x", asked(3), False, 1)).partition(b"\r\n\r\n")[2]
    *content, finish = map(json.loads, events(body)[:-1])
    assert [c["choices"][0]["text"] for c in content] == [" the"] * 3
    assert finish["choices"][0]["finish_reason"] == "length"
    assert {c["object"] for c in content} == {"text_completion"}


@pytest.mark.parametrize("chat", [True, False])
def test_a_whole_answer(chat: bool) -> None:
    head, _, body = whole(VOICE.whole("x", asked(4), chat, 5)).partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    answer = json.loads(body)
    choice = answer["choices"][0]
    assert (choice["message"]["content"] if chat else choice["text"]) == " the" * 4
    assert answer["usage"] == {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}


@pytest.mark.parametrize("block", [1, 7, 1000, 1 << 30])
def test_pieces_are_the_same_bytes_wherever_a_socket_stopped(block: int) -> None:
    one, other = (VOICE.stream("x", asked(9), True, 1) for _ in range(2))
    assert whole(one, block) == whole(other)


def test_a_flood_leaves_in_large_blocks() -> None:
    answer = VOICE.stream("x", asked(5000), True, 1)
    pieces = []
    at = 0
    while at < answer.total:
        pieces.append(len(answer.piece(at, answer.total)))
        at += pieces[-1]
    assert max(pieces) <= BLOCK_BYTES
    assert len(pieces) <= 3 + answer.total // (BLOCK_BYTES - 300)


@pytest.mark.parametrize("tokens", [1, 2, 3, 9])
def test_a_chunk_counts_when_its_last_byte_has_left(tokens: int) -> None:
    answer = VOICE.stream("x", asked(tokens), True, 1)
    for chunk in range(1, tokens + 1):
        end = answer.end_of(chunk)
        assert answer.whole_chunks(end) == chunk
        assert answer.whole_chunks(end - 1) == chunk - 1
    assert answer.end_of(0) == 0
    assert answer.end_of(tokens) == answer.total


def test_each_chunk_has_the_time_of_the_send_that_completed_it() -> None:
    answer = VOICE.stream("x", asked(4), True, 1)
    answer.sent = array("q")
    answer.stamp(answer.end_of(1) - 1, 10)  # the socket stopped inside the first chunk
    answer.stamp(answer.end_of(1), 20)
    answer.stamp(answer.end_of(3) + 5, 30)
    assert answer.sent.tolist() == [20, 30, 30]
    answer.stamp(answer.total, 40)
    assert answer.sent.tolist() == [20, 30, 30, 40]


def test_the_log_can_be_left_out() -> None:
    answer = VOICE.stream("x", asked(4), True, 1)
    answer.stamp(answer.total, 40)
    assert answer.sent is None


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({}, 16),
        ({"max_tokens": 3}, 3),
        ({"max_tokens": 3, "max_completion_tokens": 5}, 5),
        ({"max_tokens": 0}, 16),
    ],
)
def test_how_many_tokens_are_asked_for(fields: dict[str, int], tokens: int) -> None:
    request = {"messages": [{"role": "user", "content": "x" * 1000}], "temperature": 0.5, **fields}
    assert parse_body(json.dumps(request).encode()).tokens == tokens


@pytest.mark.parametrize("body", [b"", b"[]", b'{"max_tokens": "many"}', b'{"max_tokens": 1'])
def test_a_body_that_is_no_request(body: bytes) -> None:
    with pytest.raises(BadRequestError, match="no generation request"):
        parse_body(body)


def test_a_head() -> None:
    head = parse_head(b"POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 12")
    assert (head.method, head.path, head.length, head.close) == ("POST", "/v1/chat/completions", 12, False)
    assert parse_head(b"GET / HTTP/1.1\r\nConnection: Close").close
    assert parse_head(b"GET / HTTP/1.0").close
    assert parse_head(b"POST / HTTP/1.1\r\nexpect: 100-continue").expects_continue


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"hello", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: -1", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 999999999999", 413),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked", 411),
    ],
)
def test_a_head_that_cannot_be_served(head: bytes, status: int) -> None:
    with pytest.raises(BadRequestError) as refused:
        parse_head(head)
    assert refused.value.status == status
    assert refusal(refused.value).first.startswith(f"HTTP/1.1 {status} ".encode())


def test_a_plain_reply_is_one_chunk() -> None:
    answer = reply(200, b"{}")
    assert answer.end_of(1) == answer.total == len(answer.first)

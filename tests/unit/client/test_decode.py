"""From reads to a record, without a socket."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from exchanges import MS, answered, run_to_end

from inferometer.client.decode import DecodeOptions, decode_steps
from inferometer.client.dialects import DIALECTS
from inferometer.client.sse import BLOCK_EVENTS
from inferometer.record.types import ChunkColumns, ChunkKind, RequestRecord
from inferometer.testing.streams import delta, plain, sse, stream, usage

KEY = "sk-very-secret-key"


def decode(
    *sends: tuple[int, bytes], stream: bool = True, **options: Any
) -> tuple[RequestRecord, ChunkColumns]:
    """Decode an answer that came in reads of ``(at_ms, bytes)``."""
    asked = DecodeOptions(DIALECTS.get("openai-chat"), stream, [f"Bearer {KEY}"], len, **options)
    return run_to_end(decode_steps(answered(sends, index=3), asked))


def reads(parts: list[tuple[int, bytes]], **how: Any) -> list[tuple[int, bytes]]:
    return [
        (round(send.at_s), send.data)
        for send in stream([(float(at), data) for at, data in parts], **how).sends
    ]


def kinds(chunks: ChunkColumns) -> list[ChunkKind]:
    return [ChunkKind(k) for k in chunks.kind]


def test_a_stream_becomes_times_tokens_and_reasons() -> None:
    record, chunks = decode(
        *reads(
            [
                (5, sse(delta("", role="assistant"))),
                (40, sse(delta(reasoning_content="hm"))),
                (60, sse(delta("one"))),
                (80, sse(delta(" two")) + sse(delta(" three"))),
                (110, sse(delta(finish="stop")) + sse(usage(7, 4)) + sse("[DONE]")),
            ]
        ),
        keep_text=True,
    )
    assert (record.status, record.finish_reason, record.http_status) == ("ok", "stop", 200)
    assert (record.first_byte_ns, record.first_token_ns, record.first_answer_ns) == (5 * MS, 40 * MS, 60 * MS)
    assert (record.last_token_ns, record.end_ns) == (80 * MS, 110 * MS)
    assert (record.input_tokens_server, record.output_tokens_server) == (7, 4)
    assert record.output == "hmone two three"
    assert kinds(chunks)[:5] == [ChunkKind.ROLE, ChunkKind.REASONING, *[ChunkKind.CONTENT] * 3]
    assert kinds(chunks)[5:] == [ChunkKind.OTHER, ChunkKind.USAGE, ChunkKind.DONE]
    assert list(np.frombuffer(chunks.read, "<i4")) == [0, 1, 2, 3, 3, 4, 4, 4]
    assert list(np.frombuffer(chunks.tokens, "<i4"))[1:5] == [1, 1, 1, 1]  # 4 output chunks, 4 tokens


def test_tokens_of_a_chunk_are_unknown_when_counts_differ() -> None:
    _, chunks = decode(
        *reads([(1, sse(delta("many tokens"))), (2, sse(delta(finish="stop")) + sse(usage(7, 4)))])
    )
    assert set(np.frombuffer(chunks.tokens, "<i4")) == {-1}


def test_usage_in_each_chunk_gives_the_tokens_of_each() -> None:
    parts = [(i, sse({**delta("x"), "usage": usage(7, n)["usage"]})) for i, n in enumerate([2, 3, 6])]
    record, chunks = decode(*reads([*parts, (9, sse(delta(finish="stop")))]))
    assert list(np.frombuffer(chunks.tokens, "<i4"))[:3] == [2, 1, 3]
    assert record.output_tokens_server == 6


def test_an_error_event_is_a_failure_that_keeps_its_text_and_no_secret() -> None:
    event = sse({"error": {"message": f"engine died, key {KEY}", "code": 500}})
    record, chunks = decode(*reads([(1, sse(delta("x"))), (2, event), (3, sse("[DONE]"))]))
    assert record.status == "stream_error"
    assert record.error == "engine died, key ***"
    assert kinds(chunks)[1] is ChunkKind.ERROR


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([(1, sse(delta("x")))], "truncated"),
        ([(1, sse(delta("x"))), (2, sse(delta(finish="stop")))], "ok"),
        ([(1, sse(delta("x"))), (2, sse("[DONE]"))], "ok"),
        ([(1, sse(delta("", role="assistant"))), (2, sse(delta(finish="stop")) + sse("[DONE]"))], "empty"),
    ],
)
def test_how_a_stream_ended(parts: list[tuple[int, bytes]], status: str) -> None:
    assert decode(*reads(parts))[0].status == status


def test_an_http_error_keeps_status_and_a_bounded_body() -> None:
    body = json.dumps({"error": {"message": "no model 'x' " + "y" * 9000}}).encode()
    record, _ = decode((1, plain(404, "Not Found", body).sends[0].data))
    assert (record.status, record.http_status) == ("http_error", 404)
    assert record.error is not None
    assert record.error.startswith("HTTP 404 Not Found: no model 'x'")
    assert len(record.error) <= 400


def test_a_proxy_that_refuses_is_a_failure_to_connect() -> None:
    record, _ = decode((1, plain(407, "Proxy Authentication Required", b"").sends[0].data))
    assert (record.status, record.http_status) == ("connect_error", 407)
    assert record.error == "HTTP 407 Proxy Authentication Required: (no body)"


def test_a_web_page_instead_of_a_stream_is_named() -> None:
    record, _ = decode((1, plain(200, "OK", b"<html><h1>Welcome</h1>", "text/html").sends[0].data))
    assert record.status == "stream_error"
    assert record.error is not None
    assert "an event stream was asked for, the answer is text/html" in record.error


def test_a_reply_without_a_stream_has_an_end_but_no_first_token() -> None:
    reply = {
        "choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}],
        **usage(3, 5),
        "object": "x",
    }
    reply["choices"] = [{"message": {"content": "hello"}, "finish_reason": "stop"}]
    record, chunks = decode((70, plain(200, "OK", json.dumps(reply).encode()).sends[0].data), stream=False)
    assert (record.status, record.streamed, record.first_token_ns) == ("ok", False, None)
    assert (record.last_token_ns, record.output_tokens_server) == (70 * MS, 5)
    assert chunks.kind == b""


def test_null_content_and_unknown_fields_are_no_output() -> None:
    odd = {"choices": [{"index": 0, "delta": {"content": None, "new_field": [1]}, "logprobs": None}], "x": 1}
    record, chunks = decode(*reads([(1, sse(odd)), (9, sse(delta("a"))), (10, sse("[DONE]"))]))
    assert kinds(chunks)[0] is ChunkKind.ROLE
    assert record.first_token_ns == 9 * MS


def test_a_cut_answer_is_truncated_but_its_chunks_are_kept() -> None:
    exchange = answered(reads([(1, sse(delta("a"))), (2, sse(delta("b")))], cut=True), lag_ns=-1)
    exchange.failure, exchange.failure_text = "truncated", "closed"
    steps = decode_steps(exchange, DecodeOptions(DIALECTS.get("openai-chat"), True, []))
    record, chunks = run_to_end(steps)
    assert (record.status, record.error, len(chunks.kind)) == ("truncated", "closed", 2)
    assert record.receive_lag_max_ns is None


def test_a_usage_with_the_last_chunk_only_says_nothing_of_that_chunk() -> None:
    last = {**delta("three", finish="stop"), "usage": {"prompt_tokens": 5, "completion_tokens": 3}}
    record, chunks = decode(
        *reads([(5, sse(delta("one"))), (10, sse(delta("two"))), (15, sse(last) + sse("[DONE]"))])
    )
    assert record.output_tokens_server == 3
    assert np.frombuffer(chunks.tokens, "<i4")[:3].tolist() == [1, 1, 1]


def test_an_event_stream_by_any_case_of_its_name() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream\r\nConnection: close\r\n\r\n"
    record, _ = decode((5, head + sse(delta("one", finish="stop")) + sse("[DONE]")))
    assert (record.status, record.streamed) == ("ok", True)


def test_the_answer_has_the_servers_name_for_it() -> None:
    nameless = {**delta("", role="assistant"), "id": ""}
    parts = [(1, b": hello\n\n" + sse(nameless) + sse(delta("x"))), (2, sse("[DONE]"))]
    assert decode(*reads(parts))[0].response_id == "chatcmpl-1"
    reply = json.dumps({"id": "chatcmpl-9", "choices": [{"message": {"content": "hello"}}]}).encode()
    sends = [(70, plain(200, "OK", reply).sends[0].data)]
    assert decode(*sends, stream=False)[0].response_id == "chatcmpl-9"
    assert decode(*reads([(1, sse({**delta("x"), "id": 7})), (2, sse("[DONE]"))]))[0].response_id is None


def test_output_that_met_a_late_read_with_more_output_behind_it_is_blurred() -> None:
    exchange = answered(
        reads(
            [
                (1, sse(delta("a")) + sse(delta("b"))),  # in time
                (2, sse(delta("c"))),  # late, but alone
                (3, sse(delta("", role="assistant")) + sse(delta("d")) + sse(delta("e")) + b": ping\n\n"),
                (4, sse(delta("x")) + sse(delta("y")) + sse(delta("z"))),
                (9, sse(delta("f")) + sse("[DONE]")),
            ]
        )
    )
    exchange.late = {1: 9 * MS, 2: 3 * MS, 3: 8 * MS, 4: 9 * MS}
    record, _ = run_to_end(decode_steps(exchange, DecodeOptions(DIALECTS.get("openai-chat"), True, [])))
    # d, x and y; there is no doubt about a chunk that only the end of the stream follows.
    assert (record.blurred_chunks, record.blur_max_ns) == (3, 8 * MS)


def test_without_late_reads_nothing_is_blurred() -> None:
    record, _ = decode(*reads([(1, sse(delta("a")) + sse(delta("b")) + sse("[DONE]"))]))
    assert (record.blurred_chunks, record.blur_max_ns) == (0, None)


def test_a_read_of_the_head_alone_is_the_first_byte() -> None:
    (_, whole), *others = reads([(5, sse(delta("a"))), (9, sse("[DONE]"))])
    head_end = whole.index(b"\r\n\r\n") + 4
    record, chunks = decode((2, whole[:head_end]), (5, whole[head_end:]), *others)
    assert (record.first_byte_ns, record.first_token_ns, record.reads) == (2 * MS, 5 * MS, 3)
    assert np.frombuffer(chunks.read, "<i4").tolist() == [1, 2]


def test_a_long_answer_is_decoded_in_steps() -> None:
    events = [(i, sse(delta("x"))) for i in range(200)]
    exchange = answered(reads([*events, (200, sse("[DONE]"))]))
    steps = decode_steps(exchange, DecodeOptions(DIALECTS.get("openai-chat"), True, []))
    assert sum(1 for _ in steps) >= 3


def test_an_event_arrives_with_its_last_byte() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    one, two = sse(delta("a")), sse(delta("b"))
    whole = head + one + two
    first, second = len(head + one), len(whole)
    for cut in range(len(head), len(whole)):
        _, chunks = decode((1, whole[:cut]), (2, whole[cut:]))
        found = np.frombuffer(chunks.read, "<i4").tolist()
        assert found == [int(cut < first), int(cut < second)], cut


def test_a_usage_after_many_chunks_without_one_says_nothing_of_its_chunk() -> None:
    plain_chunks = [(i, sse(delta("x"))) for i in range(BLOCK_EVENTS)]
    last = {**delta("y"), "usage": {"prompt_tokens": 5, "completion_tokens": 99}}
    _, chunks = decode(*reads([*plain_chunks, (61, sse(last) + sse("[DONE]"))]))
    assert set(np.frombuffer(chunks.tokens, "<i4").tolist()) == {-1}


def test_an_error_object_is_an_error_even_beside_choices() -> None:
    events = sse({**delta("x"), "object": "error", "message": "out of memory"})
    record, chunks = decode(*reads([(1, sse(delta("x")) + events), (2, sse("[DONE]"))]))
    assert (record.status, record.error) == ("stream_error", "out of memory")
    assert kinds(chunks) == [ChunkKind.CONTENT, ChunkKind.ERROR, ChunkKind.DONE]

"""Decoding many events at once says the same as one event at a time, whatever servers send, cut anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from exchanges import answered, run_to_end
from hypothesis import example, given
from hypothesis import strategies as st

from inferometer.client.decode import DecodeOptions, decode_steps
from inferometer.client.dialects import DIALECTS, Delta, Dialect
from inferometer.client.exchange import Exchange
from inferometer.client.sse import blocks
from inferometer.record.types import OUTPUT_KINDS, ChunkKind
from inferometer.testing.streams import delta, sse, usage

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
CHAT, COMPLETIONS = DIALECTS.get("openai-chat"), DIALECTS.get("openai-completions")

TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            " word",
            "\n\ndata: ",
            '"',
            "\\",
            '\\"',
            "a\\",
            '","',
            "},{",
            "é你😀",
            "\x7f",
            "\x00",
            "[DONE]",
            "data: x",
        ]
    ),
    st.text(max_size=6),
)
CHOICE: dict[str, Any] = {"index": 0, "finish_reason": None}


def one_choice(choice: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "cmpl-1", "object": "text_completion", "choices": [{**CHOICE, **choice}], **fields}


def tool(text: str) -> dict[str, Any]:
    return delta(tool_calls=[{"index": 0, "function": {"name": None, "arguments": text}}])


SHAPES: list[Callable[[str], dict[str, Any]]] = [
    delta,
    lambda text: one_choice({"text": text}),
    lambda text: delta(reasoning_content=text),
    lambda text: delta(text, reasoning="hm"),
    lambda text: delta(text, refusal="no"),
    lambda text: {"model": text or "m", **delta(text)},
    lambda text: {**delta(" word"), "model": text},
    lambda text: {**delta("x"), "object": text},
    lambda text: {text: 1, **delta("key")},
    tool,
]
ODD = st.one_of(
    TEXTS.map(lambda text: delta(reasoning_content=text)),
    TEXTS.map(lambda text: delta(text, reasoning_content="hm")),
    TEXTS.map(lambda text: delta(text, finish="stop")),
    TEXTS.map(lambda text: delta(text, finish="")),
    TEXTS.map(lambda text: one_choice({"message": {"content": text}})),
    TEXTS.map(lambda text: one_choice({"delta": {"refusal": text}})),
    TEXTS.map(tool),
    st.integers(0, 9).map(lambda tokens: one_choice({"text": "x", "token_ids": [1] * tokens})),
    st.integers(0, 9).map(lambda tokens: {**delta("x"), "usage": usage(7, tokens)["usage"]}),
    st.integers(0, 9).map(lambda tokens: usage(7, tokens)),
    st.just({**delta("x"), "choices": [*delta("x")["choices"], *delta("y")["choices"]]}),
    st.just({**delta("x"), "error": {}}),
    st.just({**delta("x"), "model": "other"}),
    st.just({**delta("x"), "object": "error"}),
    st.just({"object": "error", "message": "out of memory"}),
    st.just({"error": {"message": "engine died"}, **delta("x")}),
    st.just({**delta("x"), "choices": None}),
    st.just({"id": 7}),
)
JSON_STYLES = st.sampled_from(
    [{"separators": (",", ":")}, {}, {"ensure_ascii": False}, {"indent": None, "sort_keys": True}]
)
RAW = st.sampled_from(
    [
        b'{"choices":[{"text":"caf\xc3"}]}',
        b'{"choices":[{"text":"x"}]',
        b'{"choices":[{"text":"x"}]},{"choices":[]}',
        b'{"choices":[{"text":"\x01"}]}',
        b"[DONE]",
        b" [DONE] ",
        b"",
        b"7",
        b"hello",
    ]
)
FRAMES = st.sampled_from(
    [
        b"data: %b\n\n",
        b"data:%b\n\n",
        b"data: %b\r\n\r\n",
        b"data: %b\r\r",
        b": ping\n\ndata: %b\n\n",
        b"event: error\ndata: %b\n\n",
        b"event: delta\ndata: %b\n\n",
        b"data: %b\ndata: \n\n",
        b"data: %b\n\n\n",
        b"id: 1\ndata: %b\n\n",
        b"data: \ndata: %b\n\n",
    ]
)


def encoded(value: Any, style: dict[str, Any]) -> bytes:
    return json.dumps(value, **style).encode("utf-8", "surrogatepass")


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Mostly runs of plain events, as servers send them, with anything between them."""
    body = b""
    for _ in range(draw(st.integers(1, 4))):
        style, shape = draw(JSON_STYLES), draw(st.sampled_from(SHAPES))
        texts = draw(st.lists(TEXTS, max_size=8)) * draw(st.sampled_from([1, 3, 9]))
        body += b"".join(b"data: %b\n\n" % encoded(shape(text), style) for text in texts)
        odd = st.one_of(RAW, ODD.map(lambda value, style=style: encoded(value, style)))
        body += b"".join(draw(FRAMES) % data for data in draw(st.lists(odd, max_size=3)))
    return body[: draw(st.integers(0, len(body)))] if draw(st.booleans()) else body


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    """A body that came in any reads, some of them late."""
    wire = HEAD + draw(bodies())
    cuts = st.lists(st.integers(0, len(wire)), max_size=12).map(sorted)
    each_event = [at + 2 for at in range(len(wire)) if wire.startswith(b"\n\n", at)]
    places = [0, *draw(st.one_of(cuts, st.just(each_event))), len(wire)]
    sends = [(at, wire[a:b]) for at, (a, b) in enumerate(pairwise(places), 1) if a < b]
    exchange = answered(sends)
    exchange.late = dict.fromkeys(draw(st.sets(st.integers(0, len(sends) - 1))), 5)
    return exchange


class OneByOne:
    """A dialect without ``events``."""

    def __init__(self, dialect: Dialect) -> None:
        self.event, self.response_id = dialect.event, dialect.response_id
        self.capability = dialect.capability

    def reader(self, echoed: int = 0) -> Any:
        return self


def decoded(exchange: Exchange, dialect: Any) -> Any:
    return run_to_end(decode_steps(exchange, DecodeOptions(dialect, True, [], len, keep_text=True)))


@given(exchange=exchanges(), dialect=st.sampled_from([CHAT, COMPLETIONS]))
def test_many_at_once_are_the_same_as_one_by_one(exchange: Exchange, dialect: Dialect) -> None:
    assert decoded(exchange, dialect) == decoded(exchange, OneByOne(dialect))


@given(exchange=exchanges())
def test_columns_and_times_follow_from_each_event_and_its_read(exchange: Exchange) -> None:
    record, chunks = decoded(exchange, CHAT)
    found: list[tuple[Delta, int]] = []
    for block in blocks(exchange.body):
        for place, (data, end) in enumerate(zip(block.data, block.ends, strict=True)):
            read = next(number for number, upto in enumerate(exchange.upto) if upto >= end)
            found.append((CHAT.event(data, block.names.get(place, b"")), read))
    reads = [read for _, read in found]
    output = [at for at, (one, _) in enumerate(found) if one.kind in OUTPUT_KINDS]
    answer = [at for at in output if found[at][0].kind is not ChunkKind.REASONING]
    times = [exchange.at_ns[read] for read in reads]
    assert list(chunks.kind) == [one.kind for one, _ in found]
    assert np.frombuffer(chunks.chars, "<i4").tolist() == [len(one.text) for one, _ in found]
    assert np.frombuffer(chunks.read, "<i4").tolist() == reads
    assert np.frombuffer(chunks.recv_ns, "<i8").tolist() == times
    assert np.frombuffer(chunks.lag_ns, "<i8").tolist() == [1000] * len(found)
    assert record.output == "".join(one.text for one, _ in found)
    assert record.first_token_ns == (times[output[0]] if output else None)
    assert record.last_token_ns == (times[output[-1]] if output else None)
    assert record.first_answer_ns == (times[answer[0]] if answer else None)
    blurred = [
        at for at, later in pairwise(output) if reads[at] == reads[later] and reads[at] in exchange.late
    ]
    assert (record.blurred_chunks, record.blur_max_ns) == (len(blurred), 5 if blurred else None)
    assert np.frombuffer(chunks.tokens, "<i4").tolist() == tokens(
        [one for one, _ in found], record.output_tokens_server
    )


def tokens(deltas: list[Delta], total: int | None) -> list[int]:
    """Tokens per chunk: by ids, by a usage that grows from the first output on, or one each."""
    counts: list[int] = []
    running: int | None = 0
    for one in deltas:
        counts.append(-1 if one.token_ids is None else one.token_ids)
        if one.token_ids is None and one.kind in OUTPUT_KINDS:
            now = one.usage.output_tokens if one.usage else None
            if now is None or running is None or now < running:
                running = None
            else:
                counts[-1], running = now - running, now
    output = [at for at, one in enumerate(deltas) if one.kind in OUTPUT_KINDS]
    if len(output) == total and all(counts[at] < 0 for at in output):
        for at in output:
            counts[at] = 1
    return counts


@example(b'{"a":[{"b":1}', b'{"c":1}]},{"d":1}')
@example(b'{"choices":[{"text":"a\\', b'b"}]}')
@given(first=RAW, second=RAW)
def test_two_halves_of_an_event_are_two_errors(first: bytes, second: bytes) -> None:
    together, apart = CHAT.events([first, second]), [CHAT.event(first, b""), CHAT.event(second, b"")]
    assert together.texts == [one.text for one in apart]
    assert list(together.kinds) == [one.kind for one in apart]


def test_an_event_of_text_alone_needs_no_delta() -> None:
    data = [sse(delta(text))[6:-2] for text in ("", "a", "b")]
    assert CHAT.events(data).more == {}
    assert CHAT.events(data).kinds == bytes([ChunkKind.ROLE, ChunkKind.CONTENT, ChunkKind.CONTENT])

"""From raw reads to a record: framing, event times, token counts and status, done when nothing else waits."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

from inferometer.client.dialects import Delta, Dialect, Usage
from inferometer.client.exchange import Exchange, Read
from inferometer.client.http1 import Body, Head, ProtocolError, body_of
from inferometer.client.redact import error_text
from inferometer.client.sse import events
from inferometer.record.types import OUTPUT_KINDS, ChunkColumns, ChunkKind, RequestRecord, Status

# Events decoded between two looks at the sockets.
STEP_EVENTS = 16


class DecodeOptions(NamedTuple):
    """What decoding needs to know of a load point.

    Attributes:
        dialect: names the events.
        stream: whether a stream was asked for.
        secrets: texts that must not reach a record.
        count_tokens: counts the tokens of an answer on the client; None = do not.
        keep_text: keep the answer.
    """

    dialect: Dialect
    stream: bool
    secrets: list[str]
    count_tokens: Callable[[str], int] | None = None
    keep_text: bool = False


@dataclass(slots=True)
class _Chunks:
    """The columns of ``ChunkColumns`` while they grow."""

    recv_ns: array[int] = field(default_factory=lambda: array("q"))
    tokens: array[int] = field(default_factory=lambda: array("i"))
    chars: array[int] = field(default_factory=lambda: array("i"))
    kind: array[int] = field(default_factory=lambda: array("B"))
    read: array[int] = field(default_factory=lambda: array("i"))
    lag_ns: array[int] = field(default_factory=lambda: array("q"))

    def add(self, delta: Delta, read_number: int, read: Read) -> None:
        self.recv_ns.append(read.at_ns)
        self.tokens.append(-1 if delta.token_ids is None else delta.token_ids)
        self.chars.append(len(delta.text))
        self.kind.append(delta.kind)
        self.read.append(read_number)
        self.lag_ns.append(read.lag_ns)

    def columns(self) -> ChunkColumns:
        return ChunkColumns(
            recv_ns=self.recv_ns.tobytes(),
            tokens=self.tokens.tobytes(),
            chars=self.chars.tobytes(),
            kind=self.kind.tobytes(),
            read=self.read.tobytes(),
            lag_ns=self.lag_ns.tobytes(),
        )


@dataclass(slots=True)
class _Outcome:
    """What is known of the answer so far."""

    status: Status = "ok"
    error: str | None = None
    finish_reason: str | None = None
    usage: Usage = field(default_factory=Usage)
    done_seen: bool = False
    streamed: bool = False
    texts: list[str] = field(default_factory=list)
    first_token_ns: int | None = None
    first_answer_ns: int | None = None
    last_token_ns: int | None = None
    chunks: _Chunks = field(default_factory=_Chunks)

    def fail(self, status: Status, error: str) -> None:
        if self.status == "ok":
            self.status, self.error = status, error

    def take(self, delta: Delta, at_ns: int) -> None:
        kind = delta.kind
        if delta.usage is not None:
            self.usage = Usage(
                *(new if new is not None else old for new, old in zip(delta.usage, self.usage, strict=True))
            )
        if delta.finish_reason is not None:
            self.finish_reason = delta.finish_reason
        if kind in OUTPUT_KINDS:
            self.texts.append(delta.text)
            self.last_token_ns = at_ns
            if self.first_token_ns is None:
                self.first_token_ns = at_ns
            if self.first_answer_ns is None and kind is not ChunkKind.REASONING:
                self.first_answer_ns = at_ns
        elif kind is ChunkKind.DONE:
            self.done_seen = True
        elif kind is ChunkKind.ERROR:
            self.fail("stream_error", delta.error or "error event")


def decode_steps(
    exchange: Exchange, options: DecodeOptions
) -> Generator[None, None, tuple[RequestRecord, ChunkColumns]]:
    """Decode a finished exchange in small steps, so that the caller can look after its sockets between them.

    Returns (as the generator's value) the record, with point, worker, row and targets still to be filled in by the
    caller, and its chunks.
    """
    outcome = _Outcome()
    if exchange.failure is not None:
        outcome.fail(exchange.failure, exchange.failure_text or exchange.failure)
    head = exchange.framer.head
    if head is not None:
        raw = b"".join(read.data for read in exchange.reads)
        try:
            yield from _decode_body(exchange, head, raw, outcome, options)
        except ProtocolError as error:
            outcome.fail("stream_error", str(error))
    _judge(outcome, head, options)
    return _record(exchange, head, outcome, options), outcome.chunks.columns()


def _decode_body(
    exchange: Exchange, head: Head, raw: bytes, outcome: _Outcome, options: DecodeOptions
) -> Iterator[None]:
    chunked = "chunked" in head.headers.get("transfer-encoding", "").lower()
    body = body_of(raw, exchange.framer.skipped + head.length, chunked)
    content_type = head.headers.get("content-type", "").lower()
    if head.status >= 400:
        outcome.status = "http_error"
        outcome.error = f"HTTP {head.status} {head.reason}".strip() + f": {_excerpt(body.data, options)}"
    elif head.headers.get("content-encoding", "identity") != "identity":
        outcome.fail(
            "stream_error", f"the server compressed its answer ({head.headers['content-encoding']}) unasked"
        )
    elif "text/event-stream" in content_type:
        outcome.streamed = True
        yield from _decode_events(exchange, body, outcome, options)
    elif head.status >= 300:
        outcome.fail("http_error", f"HTTP {head.status} redirects to {head.headers.get('location', '?')}")
    elif outcome.status == "ok":
        _decode_reply(exchange, body, content_type, outcome, options)


def _excerpt(data: bytes, options: DecodeOptions) -> str:
    try:
        delta = options.dialect.reply(data)
    except ValueError:
        return error_text(data, options.secrets) or "(no body)"
    return error_text(delta.error or data, options.secrets)


def _decode_reply(
    exchange: Exchange, body: Body, content_type: str, outcome: _Outcome, options: DecodeOptions
) -> None:
    try:
        delta = options.dialect.reply(body.data)
    except ValueError as error:
        asked = "an event stream" if options.stream else "JSON"
        got = f"{content_type or 'of no type'}: {error}: {_excerpt(body.data, options)}"
        outcome.fail("stream_error", f"{asked} was asked for, the answer is {got}")
        return
    end_ns = exchange.end_ns
    assert end_ns is not None
    outcome.take(delta, end_ns)
    # Nothing is known of when the first token was ready; only the end of the answer is a time of output.
    outcome.first_token_ns = outcome.first_answer_ns = None


def _decode_events(
    exchange: Exchange, body: Body, outcome: _Outcome, options: DecodeOptions
) -> Iterator[None]:
    reads, starts = exchange.reads, body.starts
    ends = list(accumulate(len(read.data) for read in reads))
    segment = read_number = 0
    cumulative: int | None = 0
    understand, take, add = options.dialect.event, outcome.take, outcome.chunks.add
    for number, event in enumerate(events(body.data)):
        at = event.at
        # Events come in order, so both places only move forward.
        while segment + 1 < len(starts) and starts[segment + 1] <= at:
            segment += 1
        wire_at = body.wire[segment] + at - starts[segment]
        while ends[read_number] <= wire_at:
            read_number += 1
        read = reads[read_number]
        delta = understand(event.data, event.name)
        if delta.token_ids is None and delta.kind in OUTPUT_KINDS:
            delta, cumulative = _tokens_from_usage(delta, cumulative)
        take(delta, read.at_ns)
        add(delta, read_number, read)
        if number % STEP_EVENTS == STEP_EVENTS - 1:
            yield


def _tokens_from_usage(delta: Delta, cumulative: int | None) -> tuple[Delta, int | None]:
    """Tokens of a chunk from a usage that grows with each chunk (``continuous_usage_stats``).

    A usage that comes with the last chunk only counts the chunks before it as well: it says nothing of one chunk.
    """
    total = None if delta.usage is None else delta.usage.output_tokens
    if total is None or cumulative is None or total < cumulative:
        return delta, None
    return delta._replace(token_ids=total - cumulative), total


def _judge(outcome: _Outcome, head: Head | None, options: DecodeOptions) -> None:
    """Decide what an answer without an error on the wire was worth."""
    if head is None:
        outcome.fail("truncated", "the answer has no complete HTTP head")
    elif outcome.streamed and outcome.status == "ok":
        if not outcome.done_seen and outcome.finish_reason is None:
            outcome.fail("truncated", "the stream ended without a finish_reason and without [DONE]")
        elif outcome.last_token_ns is None:
            outcome.fail("empty", "the stream carried no output")
    elif outcome.status == "ok" and outcome.last_token_ns is None:
        outcome.fail("empty", "the answer carries no output")
    if outcome.error is not None:
        outcome.error = error_text(outcome.error, options.secrets)


def _record(
    exchange: Exchange, head: Head | None, outcome: _Outcome, options: DecodeOptions
) -> RequestRecord:
    text = "".join(outcome.texts)
    _fill_single_tokens(outcome)
    counted: dict[str, Any] = {}
    if options.count_tokens is not None and text:
        counted["output_tokens_client"] = options.count_tokens(text)
    if options.keep_text:
        counted["output"] = text
    reads = exchange.reads
    return RequestRecord(
        point=0,
        index=exchange.index,
        status=outcome.status,
        http_status=head.status if head else None,
        error=outcome.error,
        finish_reason=outcome.finish_reason,
        streamed=outcome.streamed,
        planned_ns=exchange.planned_ns,
        queued_ns=exchange.queued_ns,
        connect_start_ns=exchange.connect_start_ns,
        connect_end_ns=exchange.connect_end_ns,
        sent_ns=exchange.sent_ns,
        first_byte_ns=reads[0].at_ns if reads else None,
        first_token_ns=outcome.first_token_ns,
        first_answer_ns=outcome.first_answer_ns,
        last_token_ns=outcome.last_token_ns,
        end_ns=exchange.end_ns,
        input_tokens_server=outcome.usage.input_tokens,
        output_tokens_server=outcome.usage.output_tokens,
        reasoning_tokens=outcome.usage.reasoning_tokens,
        cached_tokens=outcome.usage.cached_tokens,
        bytes_out=len(exchange.wire),
        bytes_in=exchange.bytes_in,
        reads=len(reads),
        receive_lag_max_ns=max((r.lag_ns for r in reads if r.lag_ns >= 0), default=None),
        **counted,
    )


def _fill_single_tokens(outcome: _Outcome) -> None:
    """One token per output chunk is certain when the server's count equals the number of output chunks."""
    chunks = outcome.chunks
    places = [i for i, kind in enumerate(chunks.kind) if kind in OUTPUT_KINDS]
    if places and outcome.usage.output_tokens == len(places) and all(chunks.tokens[i] < 0 for i in places):
        for i in places:
            chunks.tokens[i] = 1

"""From a body and its reads to a record: event times, token counts and status, found when nothing else waits."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from inferometer.client.columns import Chunks
from inferometer.client.dialects import Delta, Dialect, Usage, understand
from inferometer.client.dialects.reading import number as count_of
from inferometer.client.exchange import Exchange
from inferometer.client.framing import events_of
from inferometer.client.http1 import Head
from inferometer.client.redact import error_text
from inferometer.client.sse import BLOCK_EVENTS
from inferometer.record.types import OUTPUT_KINDS, ChunkColumns, ChunkKind, RequestRecord, Status

# An id comes with the first event that is JSON; some servers send one or two without it before.
_ID_EVENTS = 4
_NO_USAGE = Usage()
PROXY_REFUSES = 407


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
class _Outcome:
    """What is known of the answer so far."""

    status: Status = "ok"
    error: str | None = None
    response_id: str | None = None
    finish_reason: str | None = None
    usage: Usage = _NO_USAGE
    done_seen: bool = False
    streamed: bool = False
    texts: list[str] = field(default_factory=list)
    last_token_ns: int | None = None

    def fail(self, status: Status, error: str) -> None:
        if self.status == "ok":
            self.status, self.error = status, error

    def take(self, delta: Delta) -> None:
        """What an event said beside its text."""
        if delta.usage is not None:
            self.usage = _merged(self.usage, delta.usage)
        if delta.finish_reason is not None:
            self.finish_reason = delta.finish_reason
        if delta.kind is ChunkKind.DONE or delta.last:
            self.done_seen = True
        elif delta.kind is ChunkKind.ERROR:
            self.fail("stream_error", delta.error or "error event")


def _believable(usage: Usage) -> Usage:
    """The counts, without those that no answer can have."""
    return Usage(*map(count_of, usage))


def _merged(old: Usage, new: Usage) -> Usage:
    if old is _NO_USAGE:
        return new
    return Usage(*(late if late is not None else early for early, late in zip(old, new, strict=True)))


def decode_steps(
    exchange: Exchange, options: DecodeOptions
) -> Generator[None, None, tuple[RequestRecord, ChunkColumns]]:
    """Decode a finished exchange in small steps, so that the caller can look after its sockets between them.

    Returns (as the generator's value) the record, with point, worker, row and targets still to be filled in by the
    caller, and its chunks.
    """
    outcome, chunks = _Outcome(), Chunks(exchange)
    if exchange.failure is not None:
        outcome.fail(exchange.failure, exchange.failure_text or exchange.failure)
    head = exchange.framer.head
    if head is not None:
        yield from _decode_body(exchange, head, chunks, outcome, options)
    outcome.usage = _believable(outcome.usage)
    _judge(outcome, head, options)
    return _record(exchange, chunks, outcome, options), chunks.columns(outcome.usage.output_tokens)


def _decode_body(
    exchange: Exchange, head: Head, chunks: Chunks, outcome: _Outcome, options: DecodeOptions
) -> Iterator[None]:
    content_type = head.headers.get("content-type", "").lower()
    if head.status >= 400:
        # 407 comes from a proxy, never from the server behind it (RFC 9110, 15.5.8).
        outcome.status = "connect_error" if head.status == PROXY_REFUSES else "http_error"
        outcome.error = f"HTTP {head.status} {head.reason}".strip() + f": {_excerpt(exchange, options)}"
    elif head.headers.get("content-encoding", "identity") != "identity":
        outcome.fail(
            "stream_error", f"the server compressed its answer ({head.headers['content-encoding']}) unasked"
        )
    elif _streams(content_type, exchange.body, options):
        outcome.streamed = True
        yield from _decode_events(exchange, chunks, outcome, options)
    elif head.status >= 300:
        outcome.fail("http_error", f"HTTP {head.status} redirects to {head.headers.get('location', '?')}")
    elif outcome.status == "ok":
        _decode_reply(exchange, content_type, outcome, options)


def _streams(content_type: str, body: bytearray, options: DecodeOptions) -> bool:
    """Whether an answer is a stream: by its type, or where streams have no type of their own, as asked.

    One that was asked for and begins as an event does is a stream under any type: some servers give none.
    """
    framing = options.dialect.capability.framing
    if framing not in ("sse", "json"):
        return options.stream
    return "text/event-stream" in content_type or (options.stream and body.startswith((b"data:", b"event:")))


def _excerpt(exchange: Exchange, options: DecodeOptions) -> str:
    data = bytes(exchange.body)
    try:
        delta = options.dialect.reply(data)
    except ValueError:
        return error_text(data, options.secrets) or "(no body)"
    return error_text(delta.error or data, options.secrets)


def _decode_reply(exchange: Exchange, content_type: str, outcome: _Outcome, options: DecodeOptions) -> None:
    data = bytes(exchange.body)
    try:
        delta = options.dialect.reply(data)
    except ValueError as error:
        asked = "an event stream" if options.stream else "JSON"
        got = f"{content_type or 'of no type'}: {error}: {_excerpt(exchange, options)}"
        outcome.fail("stream_error", f"{asked} was asked for, the answer is {got}")
        return
    outcome.response_id = options.dialect.response_id(data)
    outcome.take(delta)
    # Nothing is known of when the first token was ready; only the end of the answer is a time of output.
    if delta.kind in OUTPUT_KINDS:
        outcome.texts.append(delta.text[exchange.echoed :])
        outcome.last_token_ns = exchange.end_ns


def _decode_events(
    exchange: Exchange, chunks: Chunks, outcome: _Outcome, options: DecodeOptions
) -> Iterator[None]:
    dialect = options.dialect
    reader, events = dialect.reader(exchange.echoed), events_of(dialect.capability.framing)
    for number, block in enumerate(events(exchange.body)):
        if number:
            yield
        else:
            ids = map(dialect.response_id, block.data[:_ID_EVENTS])
            outcome.response_id = next(filter(None, ids), None)
        deltas = understand(reader, block.data, block.names)
        chunks.add(block.ends, deltas)
        outcome.texts += deltas.texts
        for delta in deltas.more.values():
            outcome.take(delta)
    if len(chunks) > BLOCK_EVENTS:
        yield  # what is left to do grows with the answer, too
    outcome.last_token_ns = chunks.last_output_ns()


def _judge(outcome: _Outcome, head: Head | None, options: DecodeOptions) -> None:
    """Decide what an answer without an error on the wire was worth."""
    if head is None:
        outcome.fail("truncated", "the answer has no complete HTTP head")
    elif outcome.streamed and outcome.status == "ok":
        marked = outcome.done_seen or outcome.finish_reason is not None
        if not marked and not options.dialect.capability.end_unmarked:
            outcome.fail("truncated", "the stream ended without a finish_reason and without [DONE]")
        elif outcome.last_token_ns is None:
            at = options.dialect.capability.text_at
            outcome.fail(
                "empty", "the stream carried no output" + (f": no event has a text at {at}" if at else "")
            )
    elif outcome.status == "ok" and outcome.last_token_ns is None:
        outcome.fail("empty", "the answer carries no output")
    if outcome.error is not None:
        outcome.error = error_text(outcome.error, options.secrets)


def _record(exchange: Exchange, chunks: Chunks, outcome: _Outcome, options: DecodeOptions) -> RequestRecord:
    head = exchange.framer.head
    counted: dict[str, Any] = {}
    if options.count_tokens is not None or options.keep_text:
        text = "".join(outcome.texts)
        if options.count_tokens is not None and text:
            counted["output_tokens_client"] = options.count_tokens(text)
        if options.keep_text:
            counted["output"] = text
    blurred_chunks, blur_max_ns = chunks.blur()
    lag_max_ns = max(exchange.lag_ns, default=-1)
    return RequestRecord(
        point=0,
        index=exchange.index,
        server=exchange.server,
        response_id=outcome.response_id,
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
        first_byte_ns=exchange.at_ns[0] if exchange.at_ns else None,
        first_token_ns=chunks.first_output_ns(),
        first_answer_ns=chunks.first_answer_ns(),
        last_token_ns=outcome.last_token_ns,
        end_ns=exchange.end_ns,
        input_tokens_server=outcome.usage.input_tokens,
        output_tokens_server=outcome.usage.output_tokens,
        reasoning_tokens=outcome.usage.reasoning_tokens,
        cached_tokens=outcome.usage.cached_tokens,
        accepted_draft_tokens=outcome.usage.accepted_draft_tokens,
        bytes_out=exchange.bytes_out,
        bytes_in=exchange.bytes_in,
        reads=len(exchange.at_ns),
        receive_lag_max_ns=lag_max_ns if lag_max_ns >= 0 else None,
        blurred_chunks=blurred_chunks,
        blur_max_ns=blur_max_ns,
        **counted,
    )

"""Conformance suite for dialects: what every Dialect must keep, held against answers of servers.

A recording is two files: ``NAME.bin``, the body of an answer as it came, and ``NAME.json``, what was asked and what
the answer says. See ``tests/data/streams`` in the sources for those of the built-in dialects.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from inferometer.client.decode import DecodeOptions, decode_steps
from inferometer.client.dialects import BodyOptions, Dialect, path_of
from inferometer.client.dialects.capability import OPTIONS, Payload
from inferometer.client.exchange import Exchange
from inferometer.client.framing import Framing, events_of
from inferometer.record.types import OUTPUT_KINDS, ChunkColumns, RequestRecord
from inferometer.workload.request import Request

_STEP_NS = 1_000_000
_CUTS = 24  # places at which each answer is cut, beside the ends of its events
_STRANGE = ("null", "[]", '{"x": 1}', '"x"', "5", "-1", "1" + "0" * 30)  # values that stand for others
_ASKED: dict[str, Any] = {
    "max_tokens": 17,
    "min_tokens": 3,
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 7,
    "stop": ["END"],
    "ignore_eos": True,
}
_PROMPTS: dict[Payload, Any] = {
    "text": "Say hello.",
    "messages": [{"role": "user", "content": "Say hello."}],
    "token_ids": [5, 6, 7],
}


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an answer says; absent counts are not in it.

    Attributes:
        text: all output, reasoning included.
        chunks: events that carry output.
        chunk_tokens: tokens of each of them, where the answer says so.
        error: a part of the message of an answer that failed.
    """

    status: str = "ok"
    text: str = ""
    finish_reason: str | None = None
    response_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    accepted_draft_tokens: int | None = None
    chunks: int | None = None
    chunk_tokens: list[int] | None = None
    error: str | None = None


class Recording(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer with what was asked for it.

    Attributes:
        source: the server and its version, or the document that the answer is from.
        request: fields of ``Request``.
        options: fields of ``BodyOptions``.
        path: where it has to be sent.
        sent: the body that has to be sent, as JSON.
        answer: the body as it came.
    """

    name: str
    source: str
    request: Request
    options: BodyOptions
    path: str
    sent: dict[str, Any]
    content_type: str = "text/event-stream"
    http_status: int = 200
    expected: Expected
    answer: bytes = b""


def read_recordings(folder: Path) -> list[Recording]:
    """The recordings in a folder, by name.

    Raises:
        ValueError: a file is not what it should be; names it.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        fields = {"name": path.stem, **json.loads(path.read_text("utf-8"))}
        try:
            recording = msgspec.convert(fields, Recording)
        except msgspec.ValidationError as error:
            raise ValueError(f"{path}: {error}") from None
        found.append(msgspec.structs.replace(recording, answer=path.with_suffix(".bin").read_bytes()))
    return found


def check_dialect(dialect: Dialect, recordings: Iterable[Recording]) -> None:
    """Assert the contract of ``Dialect``.

    Checked: bodies have the fields of the capability and nothing that was not asked for; the fields of a whole body
    win; each recording is asked for as recorded and understood as recorded, in one read, cut into two anywhere, and
    with each event in a read of its own; an answer that was cut short is never a success; nothing but output moves
    a clock; an answer with a strange value in any place is decoded to its end, with counts that can be stored.

    Raises:
        AssertionError: what was broken, with the value.
    """
    check_bodies(dialect)
    for recording in recordings:
        check_request(dialect, recording)
        ends = _ends(dialect, recording)
        size = len(recording.answer)
        for cut in {*ends, *(end - 1 for end in ends), *range(1, size, max(1, size // _CUTS))}:
            check_answer(dialect, recording, [cut])
        check_answer(dialect, recording, [])
        check_answer(dialect, recording, ends)
        check_clocks(dialect, recording)
        check_cut_short(dialect, recording)
        check_strange(dialect, recording)


def check_bodies(dialect: Dialect) -> None:
    """Each option that the API has a name for is sent under it, and nothing else is."""
    found = dialect.capability
    for form in found.prompt:
        request = Request(**{form: _PROMPTS[form]})
        bare = _sent(dialect, request, BodyOptions(model="m", default_max_tokens=64, stream=found.streams))
        for option in OPTIONS:
            asked = BodyOptions(
                model="m", default_max_tokens=64, stream=found.streams, **{option: _ASKED[option]}
            )
            body = _sent(dialect, request, asked)
            if option not in found.asks:
                assert body == bare, f"{option} is not in the capability, and changes the body: {body}"
            elif found.name != "template":
                value = _field(body, found.asks[option])
                assert value == _ASKED[option], f"{option} is sent as {value!r} in {body}"
        more = BodyOptions(
            model="m", default_max_tokens=64, stream=found.streams, extra_body={"own_field": 1}
        )
        assert _sent(dialect, request, more)["own_field"] == 1, "extra_body is not sent"
    own = Request(body={"own_prompt": "x", "own_field": 2})
    body = _sent(
        dialect,
        own,
        BodyOptions(model="m", default_max_tokens=64, stream=found.streams, extra_body={"own_field": 1}),
    )
    assert body["own_field"] == 2, "a request's own body does not win"
    assert body["own_prompt"] == "x", "a request's own body is not sent"
    if found.model:
        assert body[found.model] == "m", "a body without a model is sent without the run's"
        mixed = Request(body={found.model: "row"}, model="lora")
        assert _sent(dialect, mixed, BodyOptions(model="lora"))[found.model] == "lora"


def check_request(dialect: Dialect, recording: Recording) -> None:
    """The request of a recording is made as recorded."""
    path = path_of(dialect, recording.request, recording.options)
    assert path == recording.path, f"{recording.name}: sent to {path}, not to {recording.path}"
    body = _sent(dialect, recording.request, recording.options)
    assert body == recording.sent, f"{recording.name}: sent {body}, not {recording.sent}"


def check_answer(dialect: Dialect, recording: Recording, cuts: Sequence[int]) -> None:
    """The answer says what was recorded, when it comes in reads that end at ``cuts``."""
    record, chunks = decode(dialect, recording, recording.answer, cuts)
    expected, where = recording.expected, f"{recording.name}, cut at {list(cuts)}"
    assert record.status == expected.status, f"{where}: {record.status}: {record.error}"
    if expected.error is not None:
        assert expected.error in (record.error or ""), f"{where}: the error is {record.error!r}"
    found = {
        "text": record.output or "",
        "finish_reason": record.finish_reason,
        "input_tokens": record.input_tokens_server,
        "output_tokens": record.output_tokens_server,
        "reasoning_tokens": record.reasoning_tokens,
        "cached_tokens": record.cached_tokens,
        "accepted_draft_tokens": record.accepted_draft_tokens,
    }
    for name, value in found.items():
        assert value == getattr(expected, name), (
            f"{where}: {name} is {value!r}, not {getattr(expected, name)!r}"
        )
    if expected.response_id is not None:
        assert record.response_id == expected.response_id, f"{where}: response_id is {record.response_id!r}"
    tokens = [
        count for count, kind in zip(_ints(chunks.tokens), chunks.kind, strict=True) if kind in OUTPUT_KINDS
    ]
    if expected.chunks is not None:
        assert len(tokens) == expected.chunks, f"{where}: {len(tokens)} output chunks, not {expected.chunks}"
    if expected.chunk_tokens is not None:
        assert tokens == expected.chunk_tokens, f"{where}: tokens of the chunks are {tokens}"


def check_clocks(dialect: Dialect, recording: Recording) -> None:
    """The first and the last output are what the clocks stop at, and a ping before it changes nothing."""
    ends = _ends(dialect, recording)
    record, chunks = decode(dialect, recording, recording.answer, ends)
    places = [place for place, kind in enumerate(chunks.kind) if kind in OUTPUT_KINDS]
    if not record.streamed or not places:
        return
    times = [(place + 2) * _STEP_NS for place in (places[0], places[-1])]
    assert [record.first_token_ns, record.last_token_ns] == times, f"{recording.name}: output at {places}"
    if dialect.capability.framing == "sse":
        later, _ = decode(dialect, recording, b": ping\n\n" + recording.answer, [8])
        assert later.first_token_ns == 3 * _STEP_NS, f"{recording.name}: a ping is taken for output"


def check_cut_short(dialect: Dialect, recording: Recording) -> None:
    """An answer whose connection broke is truncated; one that only lacks its end is no success."""
    if recording.expected.status != "ok" or recording.http_status != 200:
        return
    body = recording.answer[: len(recording.answer) // 2]
    record, _ = decode(dialect, recording, body, [], broken=True)
    assert record.status == "truncated", f"{recording.name}: cut short, it is {record.status}: {record.error}"
    if not dialect.capability.end_unmarked:
        record, _ = decode(dialect, recording, body, [])
        assert record.status != "ok", f"{recording.name}: half of it is a success"


def check_strange(dialect: Dialect, recording: Recording) -> None:
    """Assert that whatever stands in place of a value, the answer is decoded: a worker must not end by it."""
    events = {
        event for block in events_of(_framing(dialect, recording))(recording.answer) for event in block.data
    }
    seen: set[tuple[str, ...]] = set()
    for event in sorted(events - {b""}):
        for place, strange in _with_strange_values(event):
            if place not in seen:
                check_decodes(dialect, recording, recording.answer.replace(event, strange))
            seen.add(place)
    for body in (b"[" * 100_000, b"\xff", b"null", b"5"):
        check_decodes(dialect, recording, body)
        check_decodes(dialect, recording, b"data: " + body + b"\n\n")


def check_decodes(dialect: Dialect, recording: Recording, body: bytes) -> None:
    """Assert that a body is decoded to a record that can be stored."""
    record, _ = decode(dialect, recording, body, [])
    counts = [record.input_tokens_server, record.output_tokens_server, record.reasoning_tokens]
    for count in (*counts, record.cached_tokens, record.accepted_draft_tokens):
        assert count is None or 0 <= count < 1 << 31, f"{recording.name}: {count} tokens in {body!r}"


def _framing(dialect: Dialect, recording: Recording) -> Framing:
    framing = dialect.capability.framing
    return "json" if framing == "sse" and "event-stream" not in recording.content_type else framing


def _with_strange_values(event: bytes) -> Iterator[tuple[tuple[str, ...], bytes]]:
    """The event with each of its values replaced by each strange one; with the place and the value, as text."""
    try:
        whole = json.loads(event)
    except ValueError:
        return
    for place in _places(whole):
        for strange in _STRANGE:
            yield (
                (*map(str, place), strange),
                json.dumps(_replaced(whole, place, json.loads(strange))).encode(),
            )


def _places(value: Any) -> Iterator[tuple[str | int, ...]]:
    """The places of all values in nested JSON, as keys and positions."""
    yield ()
    inner = value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    for key, one in inner:
        for place in _places(one):
            yield (key, *place)


def _replaced(value: Any, place: tuple[str | int, ...], new: Any) -> Any:
    if not place:
        return new
    key, *rest = place
    whole: Any = value.copy()
    whole[key] = _replaced(value[key], tuple(rest), new)
    return whole


def decode(
    dialect: Dialect, recording: Recording, body: bytes, cuts: Sequence[int], broken: bool = False
) -> tuple[RequestRecord, ChunkColumns]:
    """The record of an answer that came 1 ms after the request with its head, then a read each ms.

    Args:
        dialect: understands it.
        recording: says its type and what was asked.
        body: what came of its body.
        cuts: where one read ends and the next begins.
        broken: the connection ended before the message did.
    """
    head = (
        f"HTTP/1.1 {recording.http_status} Status\r\nContent-Type: {recording.content_type}\r\n\r\n".encode()
    )
    exchange = Exchange(0, b"", 0)
    exchange.sent_ns = 0
    exchange.echoed = dialect.echoed(recording.request)
    places = sorted({0, *(cut for cut in cuts if 0 < cut < len(body)), len(body)})
    for at, data in enumerate([head, *(body[start:end] for start, end in pairwise(places))], start=1):
        exchange.framer.feed(data)
        exchange.bytes_in += len(data)
        exchange.at_ns.append(at * _STEP_NS)
        exchange.lag_ns.append(0)
        exchange.upto.append(len(exchange.body))
        exchange.end_ns = at * _STEP_NS
    if broken:
        exchange.failure, exchange.failure_text = "truncated", "the connection broke"
    steps = decode_steps(exchange, DecodeOptions(dialect, recording.options.stream, [], None, keep_text=True))
    found: list[tuple[RequestRecord, ChunkColumns]] = []

    def to_the_end() -> Iterator[None]:
        found.append((yield from steps))

    for _ in to_the_end():
        continue
    return found[0]


def _sent(dialect: Dialect, request: Request, options: BodyOptions) -> dict[str, Any]:
    body = json.loads(dialect.body(request, options))
    assert isinstance(body, dict), f"the body is no JSON object: {body!r}"
    return body


def _field(body: dict[str, Any], name: str) -> Any:
    value: Any = body
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _ends(dialect: Dialect, recording: Recording) -> list[int]:
    """Where the events of an answer end."""
    framing = dialect.capability.framing
    return [end for block in events_of(framing)(recording.answer) for end in block.ends]


def _ints(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 4], "little", signed=True) for at in range(0, len(data), 4)]

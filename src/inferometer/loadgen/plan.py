"""From a spec to what a worker needs: encoded requests and load points. Pure."""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from inferometer.client.dialects import BodyOptions, Dialect, path_of
from inferometer.errors import DataError
from inferometer.loadgen.messages import Later, WireRequest
from inferometer.record.types import PointRecord
from inferometer.schedule import planned_offsets_ns
from inferometer.schedule.arrivals import NS_PER_S, constant_offset_ns
from inferometer.spec import LoadPoint, RunSpec, resolve_ignore_eos
from inferometer.workload import Request, RowFeed, Tokenizer
from inferometer.workload.conversation import text_of_body
from inferometer.workload.picture_parts import carried
from inferometer.workload.request import OPEN_ANSWER_TOKENS

HASHED_OFFSETS = 1_000_000

FollowTurns = Callable[[Request], Later | None]


def body_options(spec: RunSpec, point: LoadPoint, model: str) -> BodyOptions:
    """What all request bodies of a load point have in common."""
    sampling = spec.sampling
    ignore_eos = resolve_ignore_eos(spec)
    return BodyOptions(
        model=spec.endpoint.served_model_name or model,
        stream=sampling.stream,
        endpoint=spec.endpoint.endpoint,
        max_tokens=sampling.max_tokens or (point.output_len if spec.workload.range_ratio is None else None),
        default_max_tokens=OPEN_ANSWER_TOKENS,
        min_tokens=sampling.min_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        stop=list(sampling.stop),
        ignore_eos=ignore_eos,
        extra_body=dict(sampling.extra_body),
    )


def wire_requests(
    requests: Iterator[Request],
    dialect: Dialect,
    options: BodyOptions,
    tokenizer: Tokenizer,
    keep_text: bool,
    follow: FollowTurns | None = None,
) -> Iterator[WireRequest]:
    """Requests as bytes, encoded as they are drawn.

    Args:
        requests: in the order in which they are sent.
        dialect: builds the bodies.
        options: what these have in common.
        tokenizer: counts the prompts.
        keep_text: whether the prompts are recorded.
        follow: says what follows the first turn of a session; None = every request stands alone.

    Raises:
        DataError: from ``follow``, or a data set gives conversations that were not asked for.
    """
    index, usual = 0, path_of(dialect, None, options)
    for request in requests:
        if request.later and follow is None:
            raise DataError(
                f"row {request.row} of the data set is a conversation of {len(request.later) + 1} turns",
                "send its turns: --multi-turn",
            )
        text, pictures = prompt_text(request), carried(request)
        yield WireRequest(
            body=dialect.body(request, for_model(options, request.model)),
            row=request.row,
            session=request.session if follow is None else request.session or f"session-{index}",
            turn=request.turn if follow is None else 0,
            input_tokens_target=request.input_tokens_target,
            input_tokens_client=counted_tokens(request, text, tokenizer),
            output_tokens_target=options.answer_tokens(request),
            prompt=text if keep_text else None,
            model=request.model,
            index=None if follow is None else index,
            later=None if follow is None else follow(request),
            images=pictures.number,
            image_bytes=pictures.size,
            path=None if (path := path_of(dialect, request, options)) == usual else path,
            echoed=dialect.echoed(request),
        )
        index += 1 + len(request.later)


def counted_tokens(request: Request, text: str, tokenizer: Tokenizer) -> int:
    """Tokens of the prompt by the run's tokenizer."""
    if request.token_ids is not None:
        return len(request.token_ids)
    return tokenizer.count(text) if request.input_tokens_counted is None else request.input_tokens_counted


def for_model(options: BodyOptions, model: str | None) -> BodyOptions:
    """The options of a request that asks ``model``; those of the run where it names none."""
    return options if model is None else msgspec.structs.replace(options, model=model)


def prompt_text(request: Request) -> str:
    """All text of a request, without its chat template and its pictures."""
    if request.text is not None:
        return request.text
    if request.body is not None:
        return text_of_body(request.body)
    return "\n".join(_message_text(message.get("content")) for message in request.messages or [])


def _message_text(content: Any) -> str:
    if isinstance(content, list):  # the parts of a chat message
        return "\n".join(str(part["text"]) for part in content if "text" in part)
    return "" if content is None else str(content)


def planned_turns(spec: RunSpec, point: LoadPoint, sessions: int | None, feed: RowFeed) -> int | None:
    """How many requests ``sessions`` of a load point make, each turn one; None where that shows only as they are drawn.

    Args:
        spec: what was asked for.
        point: the load point, whose requests ``feed`` has just taken.
        sessions: how many the schedule will begin; None = not known.
        feed: counts the turns of the rows that it has drawn beforehand.
    """
    if sessions is None or not spec.sessions.wanted:
        return sessions
    if feed.dataset is not None and feed.dataset.info().rows_total is None:
        return sessions * spec.sessions.turns  # made for this load point, all alike
    return feed.turns if sessions == point.num_prompts else None


def point_record(point: LoadPoint, workers: int = 1, recorded: bytes = b"") -> PointRecord:
    """A load point that has not begun.

    Args:
        point: the load.
        workers: how many worker processes will share it.
        recorded: the arrivals of a replayed trace, see ``schedule.pack_offsets``.
    """
    arrivals = plan_arrivals(point, recorded)
    return PointRecord(
        index=point.index,
        kind="warmup" if point.kind == "warmup" else "measure",
        load=point.to_dict(),
        planned_requests=arrivals.requests,
        workers=workers,
        schedule_sha256=arrivals.sha256,
    )


class Arrivals(NamedTuple):
    """What is known of a load point's requests before it begins.

    Attributes:
        requests: how many it will send; None when a closed loop is bounded by time.
        sha256: hash of an open loop's planned offsets, 8 bytes each, little endian, of the first 1,000,000 at most:
            more would delay the start, and the sequence follows from rate, burstiness and seed alone. None for a
            closed loop, whose times come from the server.
    """

    requests: int | None
    sha256: str | None


def plan_arrivals(point: LoadPoint, recorded: bytes = b"") -> Arrivals:
    """Count and hash the arrivals of a load point, in one pass; those of a trace are ``recorded``.

    A Poisson or gamma process that only time bounds has to be drawn to its end to be counted, about a microsecond
    for each request; everything else takes no time however long the point is.
    """
    if point.trace:
        return Arrivals(len(recorded) // 8, hashlib.sha256(recorded[: 8 * HASHED_OFFSETS]).hexdigest())
    if point.request_rate is None:
        return Arrivals(point.num_prompts if point.duration_s is None else None, None)
    if math.isinf(point.request_rate) and point.num_prompts is None:
        return Arrivals(None, None)
    offsets = planned_offsets_ns(point)
    digest = hashlib.sha256()
    hashed = 0
    for offset_ns in islice(offsets, HASHED_OFFSETS):
        digest.update(offset_ns.to_bytes(8, "little"))
        hashed += 1
    count = _known_count(point)
    if count is None:
        count = hashed + sum(1 for _ in offsets)
    return Arrivals(count, digest.hexdigest())


def _known_count(point: LoadPoint) -> int | None:
    """The number of arrivals of an open loop where it follows from rate and limits; None where chance decides."""
    rate, seconds = point.request_rate, point.duration_s
    if rate is None:
        raise ValueError("a closed loop has no arrivals")
    if seconds is None or math.isinf(rate):
        return point.num_prompts
    if not math.isinf(point.burstiness) or point.curve is not None or point.burst > 1:
        return None
    most = math.ceil(seconds * rate) + 2 if point.num_prompts is None else point.num_prompts
    return bisect_left(range(most), seconds * NS_PER_S, key=lambda index: constant_offset_ns(index, rate))

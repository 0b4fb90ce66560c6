"""From a spec to what a worker needs: encoded requests and load points. Pure."""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from inferometer.client.dialects import BodyOptions, Dialect
from inferometer.loadgen.messages import WireRequest
from inferometer.record.types import PointRecord
from inferometer.schedule import planned_offsets_ns
from inferometer.schedule.arrivals import NS_PER_S, constant_offset_ns
from inferometer.spec import LoadPoint, RunSpec, resolve_ignore_eos
from inferometer.workload import Request, Tokenizer

# Data that has no answer length of its own needs some limit, or a chat server generates up to its context length.
# 2048 is EvalScope's default for the same data.
OPEN_ANSWER_TOKENS = 2048
HASHED_OFFSETS = 1_000_000


def body_options(spec: RunSpec, point: LoadPoint, model: str) -> BodyOptions:
    """What all request bodies of a load point have in common."""
    sampling = spec.sampling
    ignore_eos = resolve_ignore_eos(spec)
    return BodyOptions(
        model=spec.endpoint.served_model_name or model,
        stream=sampling.stream,
        max_tokens=sampling.max_tokens or point.output_len,
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
    requests: Iterator[Request], dialect: Dialect, options: BodyOptions, tokenizer: Tokenizer, keep_text: bool
) -> Iterator[WireRequest]:
    """Requests as bytes, encoded as they are drawn."""
    for request in requests:
        text = prompt_text(request)
        yield WireRequest(
            body=dialect.body(request, options),
            row=request.row,
            session=request.session,
            turn=request.turn,
            input_tokens_target=request.input_tokens_target,
            input_tokens_client=len(request.token_ids)
            if request.token_ids is not None
            else tokenizer.count(text),
            output_tokens_target=options.max_tokens
            or request.output_tokens_target
            or options.default_max_tokens,
            prompt=text if keep_text else None,
        )


def prompt_text(request: Request) -> str:
    """All text of a request, without its chat template."""
    if request.text is not None:
        return request.text
    return "\n".join(str(message.get("content", "")) for message in request.messages or [])


def point_record(point: LoadPoint, workers: int = 1) -> PointRecord:
    """A load point that has not begun.

    Args:
        point: the load.
        workers: how many worker processes will share it.
    """
    arrivals = plan_arrivals(point)
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


def plan_arrivals(point: LoadPoint) -> Arrivals:
    """Count and hash the arrivals of a load point, in one pass.

    A Poisson or gamma process that only time bounds has to be drawn to its end to be counted, about a microsecond
    for each request; everything else takes no time however long the point is.
    """
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
    if not math.isinf(point.burstiness):
        return None
    most = math.ceil(seconds * rate) + 2 if point.num_prompts is None else point.num_prompts
    return bisect_left(range(most), seconds * NS_PER_S, key=lambda index: constant_offset_ns(index, rate))

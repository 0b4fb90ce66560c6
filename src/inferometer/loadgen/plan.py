"""From a spec to what a worker needs: encoded requests and load points. Pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

from inferometer.client.dialects import BodyOptions, Dialect
from inferometer.loadgen.messages import WireRequest
from inferometer.record.types import PointRecord
from inferometer.schedule.loops import planned_offsets_ns
from inferometer.spec import LoadPoint, RunSpec, resolve_ignore_eos
from inferometer.workload import Request, Tokenizer

# Data that has no answer length of its own needs some limit, or a chat server generates up to its context length.
# 2048 is EvalScope's default for the same data.
OPEN_ANSWER_TOKENS = 2048


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


def point_record(point: LoadPoint) -> PointRecord:
    """A load point that has not begun."""
    return PointRecord(
        index=point.index,
        kind="warmup" if point.kind == "warmup" else "measure",
        load=point.to_dict(),
        planned_requests=planned_requests(point),
        schedule_sha256=schedule_sha256(point),
    )


def planned_requests(point: LoadPoint) -> int | None:
    """How many requests the point will send; None when a closed loop is bounded by time."""
    if point.duration_s is None:
        return point.num_prompts
    if point.request_rate is None or math.isinf(point.request_rate):
        return None if point.request_rate is None else point.num_prompts
    return sum(1 for _ in planned_offsets_ns(point))


def schedule_sha256(point: LoadPoint) -> str | None:
    """Hash of an open loop's planned offsets; None for a closed loop, whose times come from the server."""
    if point.request_rate is None or (math.isinf(point.request_rate) and point.num_prompts is None):
        return None
    digest = hashlib.sha256()
    for offset_ns in planned_offsets_ns(point):
        digest.update(offset_ns.to_bytes(8, "little"))
    return digest.hexdigest()

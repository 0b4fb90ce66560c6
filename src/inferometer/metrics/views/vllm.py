"""A load point as ``vllm bench serve`` would report it, from the same record.

What differs from our own metrics: t0 is the send; the first frame with ``choices`` stops TTFT even when it
carries no output; a frame is a frame, also when several came in one read; peaks count frames; the duration
covers failed requests; percentiles are given for samples of any size. Where vLLM writes 0 for a statistic of
nothing, this view writes None. A request is complete when our record says ``ok``, so an error inside a stream
is no success.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from inferometer.metrics.concurrency import peak_in_flight, spans
from inferometer.metrics.counts import count_requests
from inferometer.metrics.latency import (
    NS_PER_MS,
    NS_PER_S,
    Arrivals,
    Floats,
    PointData,
    first_positions,
    steps,
)
from inferometer.metrics.slo import RequestLimit, parse_slos
from inferometer.metrics.throughput import add, throughput, total
from inferometer.record.tables import PointTable
from inferometer.record.types import ChunkKind, RunMeta

DEFAULT_PERCENTILES = (99.0,)
_WITH_CHOICES = (ChunkKind.CONTENT, ChunkKind.REASONING, ChunkKind.TOOL, ChunkKind.ROLE)


@dataclass(frozen=True, slots=True)
class _Requests:
    """Successful requests by vLLM's clock: ms, aligned with the record; ``frames`` are what it counts."""

    data: PointData
    frames: Arrivals
    ttft_ms: Floats
    e2el_ms: Floats
    tpot_ms: Floats
    itl_ms: Floats


def vllm_result(
    table: PointTable,
    meta: RunMeta,
    *,
    percentiles: Sequence[float] = DEFAULT_PERCENTILES,
    detailed: bool = False,
) -> dict[str, Any]:
    """The flat result object that vLLM saves, key for key; aggregates in ms, arrays in seconds.

    Args:
        table: the load point.
        meta: the run, for names and labels.
        percentiles: those of the ``pNN_*_ms`` keys; p99 is always there, other programs rely on it.
        detailed: with the arrays of one element per request (``--save-detailed``).
    """
    requests = _by_vllm_clock(PointData(table, "sent"))
    result = {**_configuration(table, meta), **_totals(requests, _goodput_limits(meta))}
    if detailed:
        result |= _arrays(requests)
    result |= _peaks(requests)
    for name in ("ttft", "tpot", "itl", "e2el"):
        result |= _aggregates(name, getattr(requests, f"{name}_ms"), sorted({*percentiles, 99.0}))
    # Labels of the user stand beside vLLM's own keys, as its --metadata does; they never replace one.
    return {**meta.labels, **result}


def _by_vllm_clock(data: PointData) -> _Requests:
    frames = _frames(data)
    first = first_positions(frames.row)
    last = np.append(first[1:], len(frames.row)) - 1 if len(first) else first
    first_ns, last_ns = data.column("first_token_ns").copy(), data.column("last_token_ns").copy()
    first_ns[frames.row[first]] = frames.recv_ns[first]
    last_ns[frames.row[first]] = frames.recv_ns[last]
    ttft_ms = (first_ns - data.origin_ns) / NS_PER_MS
    e2el_ms = (last_ns - data.origin_ns) / NS_PER_MS
    n = data.output_tokens
    tpot_ms = np.full(len(n), np.nan)
    np.divide(e2el_ms - ttft_ms, n - 1, out=tpot_ms, where=n > 1)
    return _Requests(data, frames, ttft_ms, e2el_ms, tpot_ms, steps(frames).gap_ms)


def _frames(data: PointData) -> Arrivals:
    """Frames with ``choices``: output and role, and what follows the last output but is neither usage nor end.

    The record has one kind for finish-only frames, which have choices, and keep-alives, which have none; only
    a finish-only frame is the last of its answer.
    """
    kind = np.asarray(data.table.chunks["kind"], dtype=np.float64)
    request = np.asarray(data.table.chunks["request"], dtype=np.float64)
    counted = np.isin(kind, _WITH_CHOICES)
    last_counted = np.zeros(0, dtype=np.int64)
    if counted.any():
        positions = np.flatnonzero(counted)
        last_counted = positions[np.append(np.diff(request[positions]) != 0, True)]
    follows = np.searchsorted(last_counted, np.arange(len(kind)))
    before = (
        last_counted[np.maximum(follows - 1, 0)] if len(last_counted) else np.zeros(len(kind), dtype=np.int64)
    )
    finish = (kind == ChunkKind.OTHER) & (follows > 0) & (request[before] == request)
    return data.arrivals_of(counted | finish)


def _configuration(table: PointTable, meta: RunMeta) -> dict[str, Any]:
    load = table.point.load
    endpoint = meta.spec.get("endpoint", {})
    backend = endpoint.get("backend", "openai-chat")
    rate = load.get("request_rate")
    return {
        "date": _date(meta.created_utc),
        "endpoint_type": backend,
        "backend": backend,
        "label": _label(meta),
        "model_id": meta.model,
        "tokenizer_id": meta.spec.get("workload", {}).get("tokenizer", "builtin"),
        "num_prompts": count_requests(table).planned,
        "request_rate": "inf" if rate is None else rate,
        "burstiness": load.get("burstiness", 1.0),
        "max_concurrency": load.get("max_concurrency"),
    }


def _label(meta: RunMeta) -> str | None:
    """The label; it also says when no real server was measured, for vLLM has no key for that."""
    if meta.simulated:
        return f"{meta.label} (simulated)" if meta.label else "simulated"
    return meta.label or None


def _date(created_utc: str) -> str:
    try:
        created = datetime.fromisoformat(created_utc.replace("Z", "+00:00"))
    except ValueError:
        return created_utc
    return created.strftime("%Y%m%d-%H%M%S")


def _goodput_limits(meta: RunMeta) -> list[RequestLimit]:
    limits, _ = parse_slos(tuple(meta.spec.get("measure", {}).get("slo", ())))
    return limits


def _totals(requests: _Requests, limits: list[RequestLimit]) -> dict[str, Any]:
    data = requests.data
    start, end = spans(data.table)
    duration_s = float(end.max() - start.min()) / NS_PER_S if len(start) else None
    completed = int(data.ok.sum())
    input_tokens, output_tokens = total(data.input_tokens), total(data.output_tokens)
    return {
        "duration": duration_s,
        "completed": completed,
        "failed": len(data.ok) - completed,
        "total_input_tokens": _whole(input_tokens),
        "total_output_tokens": _whole(output_tokens),
        "request_throughput": throughput(completed, duration_s),
        "request_goodput": throughput(_good(requests, limits), duration_s) if limits else None,
        "output_throughput": throughput(output_tokens, duration_s),
        "total_token_throughput": throughput(add(input_tokens, output_tokens), duration_s),
    }


def _good(requests: _Requests, limits: list[RequestLimit]) -> int:
    good = np.ones(len(requests.ttft_ms), dtype=bool)
    for limit in limits:
        values = getattr(requests, f"{limit.metric}_ms")
        good &= np.nan_to_num(values) <= limit.limit_ms  # no TPOT counts as 0 there
    return int(good.sum())


def _peaks(requests: _Requests) -> dict[str, Any]:
    frames, sent_ns = requests.frames, requests.data.origin_ns
    per_second = None
    if len(frames.row):
        second = ((frames.recv_ns - np.nanmin(sent_ns)) // NS_PER_S).astype(np.int64)
        per_second = float(np.bincount(np.maximum(second, 0)).max())
    ended = ~np.isnan(requests.e2el_ms)
    start = sent_ns[ended]
    return {
        "max_output_tokens_per_s": per_second,
        "max_concurrent_requests": peak_in_flight(start, start + requests.e2el_ms[ended] * NS_PER_MS),
    }


def _aggregates(name: str, values: Floats, percentiles: Sequence[float]) -> dict[str, float | None]:
    present = values[~np.isnan(values)]
    some = len(present) > 0
    return {
        f"mean_{name}_ms": float(present.mean()) if some else None,
        f"median_{name}_ms": float(np.median(present)) if some else None,
        f"std_{name}_ms": float(present.std()) if some else None,
        **{f"p{p:g}_{name}_ms": float(np.percentile(present, p)) if some else None for p in percentiles},
    }


def _arrays(requests: _Requests) -> dict[str, list[Any]]:
    """One element per request, in the order of the record; None where a failed request has none."""
    data = requests.data
    table, frames = data.table, requests.frames
    gaps = steps(frames)
    edges = np.searchsorted(gaps.row, np.arange(1, len(requests.ttft_ms)))
    per_request = iter(np.split(gaps.gap_ms / 1e3, edges))
    return {
        "input_lens": _spread(data, data.input_tokens, whole=True),
        "output_lens": _spread(data, data.output_tokens, whole=True),
        "ttfts": _spread(data, requests.ttft_ms / 1e3),
        "itls": [next(per_request).tolist() if ok else [] for ok in data.ok.tolist()],
        "latencies": _spread(data, requests.e2el_ms / 1e3),
        "start_times": _listed(table.number("sent_ns") / NS_PER_S),
        "queue_times": _listed((table.number("sent_ns") - table.number("planned_ns")) / NS_PER_S),
        "generated_texts": [text or "" for text in table.text("output").tolist()],
        "errors": [text or "" for text in table.text("error").tolist()],
    }


def _spread(data: PointData, values: Floats, whole: bool = False) -> list[Any]:
    everyone = np.full(len(data.ok), np.nan)
    everyone[data.ok] = values
    return [_whole(value) for value in _listed(everyone)] if whole else _listed(everyone)


def _listed(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)

"""A load point as ``vllm bench serve`` would report it, from the same record.

What differs from our own metrics: t0 is the send; the first frame with ``choices`` stops TTFT even when it
carries no output; a frame is a frame, also when several came in one read; peaks count frames; the duration
covers failed requests; percentiles are given for samples of any size. Where vLLM writes 0 for a statistic of
nothing, this view writes None. A request is complete when our record says ``ok``, so an error inside a stream
is no success.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from inferometer.metrics.concurrency import spans
from inferometer.metrics.counts import count_requests
from inferometer.metrics.latency import NS_PER_S, Floats, PointData
from inferometer.metrics.slo import RequestLimit, parse_slos
from inferometer.metrics.throughput import add, throughput, total
from inferometer.metrics.views.clocks import (
    End,
    Frames,
    Timings,
    busiest_second,
    frames_per_second_peak,
    timings,
)
from inferometer.metrics.views.comparison import Figure
from inferometer.metrics.views.drafts import vllm_drafts
from inferometer.metrics.views.statistics import vllm_statistics, whole
from inferometer.record.tables import PointTable
from inferometer.record.types import RunMeta

DEFAULT_PERCENTILES = (99.0,)
NOTES = (
    "percentiles of samples of any size, by linear interpolation",
    "peak output throughput counts frames in seconds from the first send; peak concurrency counts the requests that "
    "were under way at any time of one second",
    "duration and rates are from the first send to the last end of all requests, failed ones too; its own clock also "
    "runs while it starts its tasks",
)


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
    requests = timings(table, Frames.CHOICES, End.FRAME)
    result = {**_configuration(table, meta), **_totals(requests, _goodput_limits(meta))}
    if detailed:
        result |= _arrays(requests)
    result |= {
        "max_output_tokens_per_s": frames_per_second_peak(requests),
        "max_concurrent_requests": busiest_second(requests),
    }
    result |= vllm_drafts(table)
    shown = sorted({*percentiles, 99.0})
    for name in ("ttft", "tpot", "gaps", "e2el"):
        result |= vllm_statistics("itl" if name == "gaps" else name, getattr(requests, f"{name}_ms"), shown)
    # Labels of the user stand beside vLLM's own keys, as its --metadata does; they never replace one.
    return {**meta.labels, **result}


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


def _totals(requests: Timings, limits: list[RequestLimit]) -> dict[str, Any]:
    data = requests.data
    start, end = spans(data.table)
    duration_s = float(end.max() - start.min()) / NS_PER_S if len(start) else None
    completed = int(data.ok.sum())
    input_tokens, output_tokens = total(data.input_tokens), total(data.output_tokens)
    return {
        "duration": duration_s,
        "completed": completed,
        "failed": int(requests.ended.sum()) - completed,
        "total_input_tokens": whole(input_tokens),
        "total_output_tokens": whole(output_tokens),
        "request_throughput": throughput(completed, duration_s),
        "request_goodput": throughput(_good(requests, limits), duration_s) if limits else None,
        "output_throughput": throughput(output_tokens, duration_s),
        "total_token_throughput": throughput(add(input_tokens, output_tokens), duration_s),
    }


def _good(requests: Timings, limits: list[RequestLimit]) -> int:
    good = np.ones(len(requests.ttft_ms), dtype=bool)
    for limit in limits:
        values = getattr(requests, f"{limit.metric}_ms")
        good &= np.nan_to_num(values) <= limit.limit_ms  # no TPOT counts as 0 there
    return int(good.sum())


def _arrays(requests: Timings) -> dict[str, list[Any]]:
    """One element per request, in the order of the record; None where a failed request has none."""
    data = requests.data
    table = data.table
    edges = np.searchsorted(requests.gap_row, np.arange(1, len(requests.ttft_ms)))
    per_request = iter(np.split(requests.gaps_ms / 1e3, edges))
    return {
        "input_lens": _spread(data, data.input_tokens, counts=True),
        "output_lens": _spread(data, data.output_tokens, counts=True),
        "ttfts": _spread(data, requests.ttft_ms / 1e3),
        "itls": [next(per_request).tolist() if ok else [] for ok in data.ok.tolist()],
        "latencies": _spread(data, requests.e2el_ms / 1e3),
        "start_times": _listed(table.number("sent_ns") / NS_PER_S),
        "queue_times": _listed((table.number("sent_ns") - table.number("planned_ns")) / NS_PER_S),
        "generated_texts": [text or "" for text in table.text("output").tolist()],
        "errors": [text or "" for text in table.text("error").tolist()],
    }


def _spread(data: PointData, values: Floats, counts: bool = False) -> list[Any]:
    everyone = np.full(len(data.ok), np.nan)
    everyone[data.ok] = values
    return [whole(value) for value in _listed(everyone)] if counts else _listed(everyone)


def _listed(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]


def vllm_figures(result: Mapping[str, Any]) -> list[Figure]:
    """Its means beside ours."""
    frames = "its clock stops at the first frame with choices, which may be the role frame"
    return [
        Figure(name="TTFT", value=result["mean_ttft_ms"], ours="TTFT", why=frames),
        Figure(
            name="TPOT",
            value=result["mean_tpot_ms"],
            ours="TPOT",
            why="it divides by n-1 from its first frame to the finish frame, we by the tokens after the first chunk",
        ),
        Figure(
            name="ITL",
            value=result["mean_itl_ms"],
            ours="ITL",
            why="it pools gaps between frames with choices, also of frames that came in one read",
        ),
        Figure(
            name="E2EL",
            value=result["mean_e2el_ms"],
            ours="E2EL",
            why="it ends at the last frame with choices, the finish frame, we at the last output",
        ),
        Figure(
            name="output token throughput",
            value=result["output_throughput"],
            ours="output throughput",
            why="its window covers failed requests too",
        ),
    ]

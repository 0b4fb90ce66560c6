"""A load point as SGLang's ``bench_serving`` would report it: the record that it appends to its JSONL file.

Its clock stops at the first content or reasoning, not at tool calls; a request ends at ``[DONE]``. Output tokens are
the server's count where there is one, else the length that was asked for; input tokens are the client's count. The
native ``/generate`` spreads a gap over the tokens that ended it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from inferometer.metrics.latency import Floats, steps
from inferometer.metrics.slo import parse_slos
from inferometer.metrics.throughput import add, throughput, total
from inferometer.metrics.views import statistics
from inferometer.metrics.views.clocks import (
    End,
    Frames,
    Timings,
    busiest_second,
    first_known,
    frames_per_second_peak,
    timings,
    wall_s,
)
from inferometer.metrics.views.comparison import Figure
from inferometer.metrics.views.drafts import accept_length
from inferometer.metrics.views.statistics import quotients, vllm_statistics, whole
from inferometer.record.tables import PointTable
from inferometer.record.types import RunMeta

NOTES = (
    "percentiles of samples of any size, by linear interpolation",
    "output tokens are the server's count, else the length that was asked for; input tokens the client's count",
    "failed requests are not shown; duration covers them, and in its own runs also a call to /server_info",
    "its own runs open a new connection for each request, which its TTFT includes; this record need not have that",
    "tag, server_info and cache_report are not recorded; its accept_length is the server's mean since its start, this "
    "one that of the load point, where the server counts it",
)
_NATIVE = "sglang"


def sglang_result(table: PointTable, meta: RunMeta) -> dict[str, Any]:
    """One record of its JSONL file, key for key; latencies in ms, None where the run has no such figure."""
    requests = timings(table, Frames.TEXT, End.STREAM)
    data = requests.data
    duration_s = wall_s(requests)
    tokens = first_known(data.output_tokens, data.column("output_tokens_target"))
    tpot_ms = quotients(requests.e2el_ms - requests.ttft_ms, tokens - 1)
    return {
        **_configuration(table, meta),
        "duration": duration_s,
        **_totals(requests, tokens, duration_s),
        **vllm_statistics("e2e_latency", requests.e2el_ms, (90, 99)),
        **vllm_statistics("ttft", requests.ttft_ms, (99,)),
        **vllm_statistics("tpot", tpot_ms, (99,)),
        **_gaps(_spread_gaps(requests, meta)),
        "concurrency": throughput(total(requests.e2el_ms / 1e3), duration_s),
        "accept_length": accept_length(table),
        "max_output_tokens_per_s": frames_per_second_peak(requests),
        "max_concurrent_requests": busiest_second(requests),
        **_goodput(requests, tpot_ms, meta, duration_s),
    }


def _configuration(table: PointTable, meta: RunMeta) -> dict[str, Any]:
    load, workload = table.point.load, meta.spec.get("workload", {})
    rate = load.get("request_rate")
    return {
        "tag": meta.label or None,
        "backend": meta.spec.get("endpoint", {}).get("backend", "openai-chat"),
        "dataset_name": workload.get("dataset"),
        "request_rate": "inf" if rate is None else rate,
        "max_concurrency": load.get("max_concurrency"),
        "sharegpt_output_len": None,
        "random_input_len": load.get("input_len"),
        "random_output_len": load.get("output_len"),
        "random_range_ratio": workload.get("range_ratio"),
        "server_info": None,
    }


def _totals(requests: Timings, tokens: Floats, duration_s: float | None) -> dict[str, Any]:
    data = requests.data
    inputs = total(first_known(data.column("input_tokens_client"), data.column("input_tokens_server")))
    outputs = total(tokens)
    text_only = not (data.column("images") > 0).any()
    return {
        "completed": int(data.ok.sum()),
        "total_input_tokens": whole(inputs),
        "total_input_text_tokens": whole(inputs) if text_only else None,
        "total_input_vision_tokens": 0 if text_only else None,
        "total_output_tokens": whole(outputs),
        "total_output_tokens_retokenized": whole(total(data.column("output_tokens_client"))),
        "request_throughput": throughput(int(data.ok.sum()), duration_s),
        "input_throughput": throughput(inputs, duration_s),
        "output_throughput": throughput(outputs, duration_s),
        "total_throughput": throughput(add(inputs, outputs), duration_s),
    }


def _spread_gaps(requests: Timings, meta: RunMeta) -> Floats:
    if meta.spec.get("endpoint", {}).get("backend") != _NATIVE:
        return requests.gaps_ms
    gaps = steps(requests.frames)
    tokens = np.where(np.isnan(gaps.tokens), 1.0, gaps.tokens)
    carried = tokens > 0
    return np.repeat(gaps.gap_ms[carried] / tokens[carried], tokens[carried].astype(np.int64))


def _gaps(values: Floats) -> dict[str, float | None]:
    found = statistics.present(values)
    return {
        **vllm_statistics("itl", found, (95, 99)),
        "max_itl_ms": float(found.max()) if len(found) else None,
    }


def _goodput(requests: Timings, tpot_ms: Floats, meta: RunMeta, duration_s: float | None) -> dict[str, Any]:
    limits, _ = parse_slos(tuple(meta.spec.get("measure", {}).get("slo", ())))
    if not limits:
        return {}
    values = {"ttft": requests.ttft_ms, "tpot": np.nan_to_num(tpot_ms), "e2el": requests.e2el_ms}
    met = {limit.metric: values[limit.metric] <= limit.limit_ms for limit in limits if limit.metric in values}
    good = int(np.logical_and.reduce(list(met.values())).sum()) if met else None
    every = int(requests.ended.sum())
    return {
        "goodput_slos_ms": {limit.metric: limit.limit_ms for limit in limits},
        "request_goodput": throughput(good, duration_s),
        "slo_attainment": statistics.ratio(good, every),
        "slo_attainment_by_metric": {name: statistics.ratio(int(m.sum()), every) for name, m in met.items()},
    }


def sglang_figures(result: Mapping[str, Any]) -> list[Figure]:
    """Its means beside ours."""
    return [
        Figure(
            name="TTFT",
            value=result["mean_ttft_ms"],
            ours="TTFT",
            why="a tool call does not stop its clock",
        ),
        Figure(
            name="TPOT",
            value=result["mean_tpot_ms"],
            ours="TPOT",
            why="it ends at [DONE] and divides by n-1, spreading the wait for it over the tokens",
        ),
        Figure(
            name="ITL",
            value=result["mean_itl_ms"],
            ours="ITL",
            why="it pools gaps between frames, also of those that came in one read",
        ),
        Figure(
            name="E2E latency",
            value=result["mean_e2e_latency_ms"],
            ours="E2EL",
            why="it ends at [DONE], we at the last output",
        ),
        Figure(
            name="output token throughput",
            value=result["output_throughput"],
            ours="output throughput",
            why="its window covers failed requests too",
        ),
    ]

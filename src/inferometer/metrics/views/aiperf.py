"""A load point as ``aiperf profile`` would report it (AIPerf 0.13): the object of ``profile_export_aiperf.json``.

First and last content stop its clocks. What it calls inter-token latency is our TPOT with one token in the first chunk;
the pooled gap is its inter-chunk latency. A metric that no request has is left out, as AIPerf leaves it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from inferometer.metrics.counts import cut_off_rows
from inferometer.metrics.latency import NS_PER_MS, Floats, first_positions
from inferometer.metrics.throughput import add, throughput, total, window_s
from inferometer.metrics.views import statistics
from inferometer.metrics.views.clocks import End, Frames, Timings, timings, wall_s
from inferometer.metrics.views.comparison import Figure
from inferometer.record.tables import PointTable
from inferometer.record.types import RunMeta

NOTES = (
    "percentiles of samples of any size, by linear interpolation; std is that of the population",
    "token counts are the server's, as with --use-server-token-count, else the client's; its default is the client's",
    "its duration ends at the last content of successful requests; its rates are over its profiling phase, which ends "
    "when the last request is done with: here, from the first send to the end of the last successful exchange",
    "requests given up as asked count as errors, as those do that it cancels by --request-cancellation-rate",
    "HTTP traces, telemetry and its Effective and Active tables are not recomputed",
)
SCHEMA = "1.4"
# What it calls each metric in tables and CSV files.
HEADERS = {
    "time_to_first_token": "Time to First Token",
    "time_to_second_token": "Time to Second Token",
    "time_to_first_output_token": "Time to First Output Token",
    "request_latency": "Request Latency",
    "decode_duration": "Decode Duration",
    "inter_token_latency": "Inter Token Latency",
    "inter_chunk_latency": "Inter Chunk Latency",
    "output_token_throughput_per_user": "Output Token Throughput Per User",
    "e2e_output_token_throughput": "E2E Output Token Throughput",
    "prefill_throughput_per_user": "Prefill Throughput Per User",
    "output_sequence_length": "Output Sequence Length",
    "input_sequence_length": "Input Sequence Length",
    "output_token_count": "Output Token Count",
    "reasoning_token_count": "Reasoning Token Count",
    "output_token_throughput": "Output Token Throughput",
    "input_token_throughput": "Input Token Throughput",
    "total_token_throughput": "Total Token Throughput",
    "request_throughput": "Request Throughput",
    "request_error_rate": "Request Error Rate",
    "request_count": "Request Count",
    "error_request_count": "Error Request Count",
    "benchmark_duration": "Benchmark Duration",
    "total_isl": "Total Input Sequence Length",
    "total_osl": "Total Output Sequence Length",
}
_PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)


def aiperf_result(table: PointTable, meta: RunMeta) -> dict[str, Any]:
    """Its export, key for key, as far as our record reaches; every metric is ``{"unit", "avg", ...}``."""
    requests = timings(table, Frames.OUTPUT, End.FRAME)
    metrics = {**_samples(requests), **_rates(requests, table)}
    cancelled = bool(cut_off_rows(table).any())
    return {
        "schema_version": SCHEMA,
        **{name: metric for name, metric in metrics.items() if metric is not None},
        "was_cancelled": cancelled,
        "is_complete": not cancelled,
    }


def _samples(requests: Timings) -> dict[str, dict[str, Any] | None]:
    found = {name: _metric(unit, values) for name, (unit, values) in by_request(requests).items()}
    return {**found, "inter_chunk_latency": _metric("ms", requests.gaps_ms)}


def by_request(requests: Timings) -> dict[str, tuple[str, Floats]]:
    """Unit and values of each metric that a successful request has one value of; NaN where it has none."""
    data = requests.data
    tokens, inputs = data.output_tokens, data.input_tokens
    itl_ms = np.where(tokens >= 2, requests.tpot_ms, np.nan)
    second_ms = np.full(len(tokens), np.nan)
    first = first_positions(requests.gap_row.astype(np.int64))
    second_ms[requests.gap_row[first].astype(np.int64)] = requests.gaps_ms[first]
    ttfo_ms = np.where(data.streamed, (data.column("first_answer_ns") - data.origin_ns) / NS_PER_MS, np.nan)
    return {
        "request_latency": ("ms", requests.e2el_ms),
        "time_to_first_token": ("ms", requests.ttft_ms),
        "time_to_second_token": ("ms", second_ms),
        "time_to_first_output_token": ("ms", ttfo_ms),
        "decode_duration": ("ms", requests.e2el_ms - requests.ttft_ms),
        "inter_token_latency": ("ms", itl_ms),
        "output_token_throughput_per_user": (
            "tokens/sec/user",
            statistics.quotients(np.full(len(tokens), 1e3), itl_ms),
        ),
        "e2e_output_token_throughput": (
            "tokens/sec/user",
            statistics.quotients(tokens * 1e3, requests.e2el_ms),
        ),
        "prefill_throughput_per_user": (
            "tokens/sec/user",
            statistics.quotients(inputs * 1e3, requests.ttft_ms),
        ),
        "output_sequence_length": ("tokens", tokens),
        "input_sequence_length": ("tokens", inputs),
        "output_token_count": ("tokens", tokens - np.nan_to_num(data.column("reasoning_tokens"))),
        "reasoning_token_count": ("tokens", data.column("reasoning_tokens")),
    }


def _rates(requests: Timings, table: PointTable) -> dict[str, dict[str, Any] | None]:
    data = requests.data
    duration_s, completed = window_s(data), int(data.ok.sum())
    inputs, outputs = total(data.input_tokens), total(data.output_tokens)
    ended = len(data.ok) - int(cut_off_rows(table).sum())
    figures = {
        "output_token_throughput": ("tokens/sec", throughput(outputs, duration_s)),
        "input_token_throughput": ("tokens/sec", throughput(inputs, duration_s)),
        "total_token_throughput": ("tokens/sec", throughput(add(inputs, outputs), duration_s)),
        "request_throughput": ("requests/sec", throughput(completed, duration_s)),
        "request_count": ("requests", float(completed)),
        "error_request_count": ("requests", float(ended - completed) or None),
        "request_error_rate": ("%", statistics.scaled(statistics.ratio(ended - completed, ended), 100.0)),
        "benchmark_duration": ("sec", wall_s(requests, failed_too=False)),
        "total_isl": ("tokens", inputs),
        "total_osl": ("tokens", outputs),
    }
    return {
        name: None if value is None else {"unit": unit, "avg": value}
        for name, (unit, value) in figures.items()
    }


def _metric(unit: str, values: Floats) -> dict[str, Any] | None:
    found = statistics.present(values)
    if not len(found):
        return None
    return {
        "unit": unit,
        "avg": float(found.mean()),
        **{f"p{p}": statistics.linear(found, p) for p in _PERCENTILES},
        "min": float(found.min()),
        "max": float(found.max()),
        "std": float(found.std()),
        "count": len(found),
        "sum": float(found.sum()),
    }


def aiperf_figures(result: Mapping[str, Any]) -> list[Figure]:
    """Its means beside ours."""

    def average(name: str) -> float | None:
        return result[name]["avg"] if name in result else None

    return [
        Figure(
            name="TTFT",
            value=average("time_to_first_token"),
            ours="TTFT",
            why="both stop at the first output",
        ),
        Figure(
            name="inter-token latency",
            value=average("inter_token_latency"),
            ours="TPOT",
            why="its ITL is a mean per request, what we call TPOT; it counts one token in the first chunk",
        ),
        Figure(
            name="inter-chunk latency",
            value=average("inter_chunk_latency"),
            ours="ITL",
            why="its ICL is what we call ITL; gaps of 0 between chunks of one read count there",
        ),
        Figure(
            name="request latency",
            value=average("request_latency"),
            ours="E2EL",
            why="both end at the last output",
        ),
        Figure(
            name="output token throughput",
            value=average("output_token_throughput"),
            ours="output throughput",
            why="its window is its profiling phase",
        ),
    ]

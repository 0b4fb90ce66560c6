"""A load point as ``genai-bench`` would report it (0.0.5): the content of one of its result files.

The first content or reasoning stops TTFT; a request ends at the usage frame. Statistics are over the requests, by
linear interpolation; rates are sums over the whole run. A request whose output took less than 1 ms has no TPOT.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from inferometer.metrics.latency import Floats
from inferometer.metrics.throughput import throughput
from inferometer.metrics.views import statistics
from inferometer.metrics.views.clocks import End, Frames, Timings, timings, wall_s
from inferometer.record.tables import PointTable

AGGREGATED = "aggregated_metrics"
INDIVIDUAL = "individual_request_metrics"
_SHORTEST_S = 0.001
_PERCENTILES = (25, 50, 75, 90, 95, 99)
_COUNTS = ("num_input_tokens", "num_output_tokens", "num_reasoning_tokens", "total_tokens")
_LEAST_ERROR = 400
# Its codes for failures that no HTTP status tells of.
_CODES = {"timeout": 408, "connect_error": 503, "truncated": 503}
_OTHER_FAILURE = 500


def genai_bench_result(table: PointTable) -> dict[str, Any]:
    """``aggregated_metrics`` and ``individual_request_metrics``, key for key; latencies in seconds."""
    requests = timings(table, Frames.TEXT, End.EVENT)
    columns = _columns(requests)
    codes = _error_codes(requests)
    return {
        AGGREGATED: _aggregated(requests, columns, codes),
        INDIVIDUAL: [
            *_individual(columns),
            *({"error_code": code, "error_message": text} for code, text in codes),
        ],
    }


def scenario_of(table: PointTable) -> str:
    """Its name of a load: ``D(512,128)`` for fixed lengths, else ``dataset``."""
    load = table.point.load
    lengths = (load.get("input_len"), load.get("output_len"))
    if all(isinstance(length, int) for length in lengths):
        return f"D({lengths[0]},{lengths[1]})"
    return "dataset"


def _columns(requests: Timings) -> dict[str, Floats]:
    data = requests.data
    e2e_s, ttft_s = requests.e2el_ms / 1e3, requests.ttft_ms / 1e3
    inputs, outputs = data.input_tokens, data.output_tokens
    took_s = e2e_s - ttft_s
    several = outputs > 1
    tpot_s = np.where(several, statistics.quotients(took_s, outputs - 1), np.nan)
    tpot_s = np.where(took_s < _SHORTEST_S, np.nan, tpot_s)
    rate = np.where(several, statistics.quotients(outputs - 1, took_s), np.nan)
    return {
        "ttft": ttft_s,
        "tpot": tpot_s,
        "e2e_latency": e2e_s,
        "output_latency": took_s,
        "output_inference_speed": statistics.quotients(np.ones(len(tpot_s)), tpot_s),
        "num_input_tokens": inputs,
        "num_output_tokens": outputs,
        "num_reasoning_tokens": np.nan_to_num(data.column("reasoning_tokens")),
        "total_tokens": inputs + outputs,
        "input_throughput": statistics.quotients(inputs, ttft_s),
        "output_throughput": rate,
    }


def _individual(columns: dict[str, Floats]) -> list[dict[str, Any]]:
    """One object a successful request. A metric that it has not got is left out: its reader refuses None."""
    names = list(columns)
    rows = zip(*(columns[name].tolist() for name in names), strict=True)
    return [
        {
            name: int(value) if name in _COUNTS else value
            for name, value in zip(names, row, strict=True)
            if value == value
        }
        for row in rows
    ]


def _error_codes(requests: Timings) -> list[tuple[int, str]]:
    table = requests.data.table
    failed = np.flatnonzero(requests.ended & ~requests.data.ok).tolist()
    status, words, texts = table.number("http_status"), table.text("status"), table.text("error")
    return [(_code(float(status[row]), str(words[row])), str(texts[row] or words[row])) for row in failed]


def _code(status: float, word: str) -> int:
    """The HTTP status of an error; an answer that began well and broke off has none."""
    return int(status) if status >= _LEAST_ERROR else _CODES.get(word, _OTHER_FAILURE)


def _aggregated(
    requests: Timings, columns: dict[str, Floats], codes: list[tuple[int, str]]
) -> dict[str, Any]:
    table = requests.data.table
    duration_s, completed = wall_s(requests), int(requests.data.ok.sum())
    sums = {name: _sum(columns[name]) for name in ("num_output_tokens", "num_input_tokens", "total_tokens")}
    every = completed + len(codes)
    frequency: dict[str, int] = {}
    for code, _ in codes:
        frequency[str(code)] = frequency.get(str(code), 0) + 1
    return {
        "scenario": scenario_of(table),
        "num_concurrency": table.point.load.get("max_concurrency"),
        "batch_size": 1,
        "iteration_type": "num_concurrency",
        "run_duration": duration_s,
        "mean_output_throughput_tokens_per_s": throughput(sums["num_output_tokens"], duration_s),
        "mean_input_throughput_tokens_per_s": throughput(sums["num_input_tokens"], duration_s),
        "mean_total_tokens_throughput_tokens_per_s": throughput(sums["total_tokens"], duration_s),
        "requests_per_second": throughput(completed, duration_s),
        "error_codes_frequency": frequency,
        "error_rate": statistics.ratio(len(codes), every),
        "num_error_requests": len(codes),
        "num_completed_requests": completed,
        "num_requests": every,
        "stats": {name: _statistics(values) for name, values in columns.items()},
    }


def _sum(values: Floats) -> float | None:
    found = statistics.present(values)
    return float(found.sum()) if len(found) else None


def _statistics(values: Floats) -> dict[str, float | None]:
    found = statistics.present(values)
    some = len(found) > 0
    return {
        "min": float(found.min()) if some else None,
        "max": float(found.max()) if some else None,
        "mean": statistics.mean(found),
        "stddev": float(found.std()) if some else None,
        "sum": _sum(found),
        **{f"p{p}": statistics.linear(found, p) for p in _PERCENTILES},
    }

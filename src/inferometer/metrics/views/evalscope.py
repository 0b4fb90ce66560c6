"""A load point as ``evalscope perf`` would report it (definitions of EvalScope 1.14).

The first frame with content, reasoning or a tool call stops TTFT; a request ends at its last event, the usage frame;
TPOT spreads that wait over the tokens. Percentiles are values of the sample by nearest rank. A one-token answer has no
TPOT; earlier versions counted it as 0, and stopped TTFT at the role frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from inferometer.metrics.concurrency import has_sessions
from inferometer.metrics.latency import Floats
from inferometer.metrics.throughput import add, throughput, total
from inferometer.metrics.views import statistics
from inferometer.metrics.views.clocks import End, Frames, Timings, timings, wall_s
from inferometer.metrics.views.comparison import Figure
from inferometer.metrics.views.statistics import nearest_ranks, quotients, rounded, scaled
from inferometer.record.tables import PointTable
from inferometer.record.types import RunMeta

NOTES = (
    "percentiles are values of the sample by nearest rank, of samples of any size: p99 of up to 100 values is the "
    "greatest; earlier versions took sorted[int(n p / 100)]",
    "figures are rounded as it rounds them: 4 decimals, mean latencies in ms 2",
    "duration and rates are from the first send to the last end of all requests, failed ones too",
    "workload throughput (last 30 s, steady) is not recomputed; `inferometer report` has a steady window of its own",
)
SUMMARY = "benchmark_summary.json"
PERCENTILES = "benchmark_percentile.json"
_SHOWN = (1, 5, 10, 25, 50, 75, 90, 95, 99)


def evalscope_result(table: PointTable, meta: RunMeta) -> dict[str, Any]:
    """The content of its two result files, by file name; None where EvalScope would write -1 or NaN."""
    requests = timings(table, Frames.OUTPUT, End.EVENT)
    return {SUMMARY: _summary(requests), PERCENTILES: _percentiles(requests)}


def _summary(requests: Timings) -> dict[str, Any]:
    data, load = requests.data, requests.data.table.point.load
    duration_s, completed = wall_s(requests), int(data.ok.sum())
    rate = load.get("request_rate")
    inputs, outputs = total(data.input_tokens), total(data.output_tokens)
    streamed = data.table.number("streamed")[requests.ended] == 1.0
    return {
        "Test Duration (s)": rounded(duration_s, 4),
        "Concurrency": load.get("max_concurrency") or -1,
        "Request Rate (req/s)": -1.0 if rate in (None, "inf") else float(rate),
        "Total Requests": len(streamed),
        "Success Requests": completed,
        "Failed Requests": len(streamed) - completed,
        "Stream Requests": int(streamed.sum()),
        "Non-Stream Requests": int((~streamed).sum()),
        "Req Throughput (req/s)": rounded(throughput(completed, duration_s), 4),
        "Avg Latency (s)": rounded(scaled(statistics.mean(requests.e2el_ms), 1e-3), 4),
        "Avg Input Tokens": rounded(statistics.ratio(inputs, completed), 4),
        "Output Throughput (tok/s)": rounded(throughput(outputs, duration_s), 4),
        "Total Throughput (tok/s)": rounded(throughput(add(inputs, outputs), duration_s), 4),
        "Avg TTFT (ms)": rounded(statistics.mean(requests.ttft_ms), 2),
        "Avg TPOT (ms)": rounded(statistics.mean(requests.tpot_ms), 2),
        "Avg ITL (ms)": rounded(statistics.mean(requests.gaps_ms), 2),
        "Avg Output Tokens": rounded(statistics.ratio(outputs, completed), 4),
        "Input Throughput (tok/s)": 0.0,  # of embeddings only; it writes 0 for generated text
        **_turns(requests),
        **_speculation(requests),
    }


def _turns(requests: Timings) -> dict[str, float | None]:
    data = requests.data
    cached, prompt = data.column("cached_tokens"), data.input_tokens
    known = ~np.isnan(cached) & (prompt > 0)
    found: dict[str, float | None] = {}
    turn = data.column("turn")
    if has_sessions(data.table):
        found["Avg Turns/Request"] = rounded(statistics.mean(turn + 1), 4)
    if known.any():
        share = statistics.ratio(float(cached[known].sum()), float(prompt[known].sum()))
        found["KV Cache Hit Rate (%)"] = rounded(scaled(share, 100.0), 4)
    if has_sessions(data.table):
        found["Avg First-Turn TTFT (ms)"] = rounded(statistics.mean(requests.ttft_ms[turn == 0]), 2)
        found["Avg Subsequent-Turn TTFT (ms)"] = rounded(statistics.mean(requests.ttft_ms[turn > 0]), 2)
    return {name: value for name, value in found.items() if value is not None}


def _speculation(requests: Timings) -> dict[str, float]:
    """Tokens per frame after the first, mean over the requests in which it is above 1: its guess at speculation."""
    data = requests.data
    every = timings(data.table, Frames.CHOICES, End.FRAME).frames
    first = np.full(int(data.ok.sum()), np.inf)
    positions = requests.frames.first_of_each_row()
    first[requests.frames.row[positions]] = requests.frames.recv_ns[positions]
    decoding = every.recv_ns >= first[every.row]
    frames = np.bincount(every.row[decoding], minlength=len(first)).astype(np.float64)
    tokens = data.output_tokens
    per_frame = quotients(tokens - 1, frames - 1)
    some = per_frame[per_frame > 1]
    if not len(some):
        return {}
    length = float(some.mean())
    return {
        "Avg Decoded Tok/Iter": round(length, 4),
        "Spec. Accept Rate": round(min(1.0, max(0.0, 1.0 - 1.0 / length)), 4),
    }


def _percentiles(requests: Timings) -> list[dict[str, Any]]:
    labels = ["min", *(f"{p}%" for p in _SHOWN), "max"]
    columns = {name: nearest_ranks(values, (0, *_SHOWN, 100)) for name, values in _samples(requests)}
    return [
        {"Percentiles": label, **{name: rounded(ranks[place], 4) for name, ranks in columns.items()}}
        for place, label in enumerate(labels)
    ]


def _samples(requests: Timings) -> list[tuple[str, Floats]]:
    data = requests.data
    inputs, outputs, latency_s = data.input_tokens, data.output_tokens, requests.e2el_ms / 1e3
    return [
        ("Latency (s)", latency_s),
        ("TTFT (ms)", requests.ttft_ms),
        ("ITL (ms)", requests.gaps_ms),
        ("TPOT (ms)", requests.tpot_ms),
        ("Input tokens", inputs),
        ("Output tokens", outputs),
        ("Output (tok/s)", quotients(outputs, latency_s)),
        ("Total (tok/s)", quotients(inputs + outputs, latency_s)),
        ("Decode (tok/s)", quotients(np.full(len(latency_s), 1e3), requests.tpot_ms)),
    ]


def evalscope_figures(result: Mapping[str, Any]) -> list[Figure]:
    """Its means beside ours."""
    summary = result[SUMMARY]
    return [
        Figure(
            name="TTFT",
            value=summary["Avg TTFT (ms)"],
            ours="TTFT",
            why="both stop at the first output; it counts answers that were not streamed as well",
        ),
        Figure(
            name="TPOT",
            value=summary["Avg TPOT (ms)"],
            ours="TPOT",
            why="it ends at the usage frame and divides by n-1, spreading the wait for it over the tokens",
        ),
        Figure(
            name="ITL",
            value=summary["Avg ITL (ms)"],
            ours="ITL",
            why="it pools gaps between frames, also of those that came in one read",
        ),
        Figure(
            name="latency",
            value=scaled(summary["Avg Latency (s)"], 1e3),
            ours="E2EL",
            why="it ends at the usage frame, we at the last output",
        ),
        Figure(
            name="output throughput",
            value=summary["Output Throughput (tok/s)"],
            ours="output throughput",
            why="its window ends at the last usage frame, ours at the end of the last exchange",
        ),
    ]

"""A load point as AISBench's performance mode would report it: its CSV and JSON file, numbers as texts with units.

The first event of any kind stops TTFT, a request ends at its last event, gaps between all events are its ITL, and an
answer of one token counts as TPOT 0. AISBench takes statistics in seconds with 4 decimals, so its milliseconds have
one. It has two stages: ``total``, and ``stable`` of the requests that started while its concurrency was reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from inferometer.metrics.latency import NS_PER_S, Bools, Floats
from inferometer.metrics.views import statistics
from inferometer.metrics.views.clocks import End, Frames, Timings, first_known, timings
from inferometer.metrics.views.comparison import Figure
from inferometer.metrics.views.drafts import aisbench_drafts
from inferometer.record.tables import PointTable
from inferometer.record.types import RunMeta

NOTES = (
    "percentiles of samples of any size, by linear interpolation; milliseconds have one decimal, for it rounds seconds",
    "duration and rates are from the first send to the last end of all requests",
    "stage stable: requests that started between the second time that its concurrency was reached and the last; all "
    "their tokens count, also those that came later, and none of earlier requests, so its throughput is not a rate",
    "PrefillTokenThroughput is input tokens / TTFT, which has waiting in it",
)
METRICS = "csv"
COMMON = "json"
DRAFTS = "spec_decode"
_HALF_DIGIT_MS = 0.05
_COLUMNS = ("Average", "Min", "Max", "Median", "P75", "P90", "P99")


@dataclass(frozen=True)
class _Stage:
    """The requests of one stage.

    Attributes:
        ok: mask over the successful requests.
        requests: of any status.
        duration_s: its length; None when there is none.
        concurrency_limit: what it caps its concurrency at; None = nothing.
    """

    ok: Bools
    requests: int
    duration_s: float | None
    concurrency_limit: int | None = None


def aisbench_result(table: PointTable, meta: RunMeta) -> dict[str, Any]:
    """``csv``: statistics by metric and stage; ``json``: common metrics by stage, as in the files of those kinds.

    ``spec_decode``: acceptance, where the engine counts drafts; there, a file of each server.
    """
    drafts = aisbench_drafts(table)
    requests = timings(table, Frames.EVENTS, End.EVENT)
    stages = _stages(requests)
    return {
        METRICS: {
            name: {stage: _statistics(name, values, of, requests) for stage, of in stages.items()}
            for name, values in _samples(requests).items()
        },
        COMMON: _common(requests, stages),
        **({DRAFTS: drafts} if drafts else {}),
    }


def _stages(requests: Timings) -> dict[str, _Stage]:
    table = requests.data.table
    # A connection that was refused has no send; there, a request starts before it connects.
    start_s = first_known(table.number("sent_ns"), table.number("connect_start_ns")) / NS_PER_S
    end_s = table.number("end_ns") / NS_PER_S
    end_s[requests.data.ok] = requests.end_s
    known = ~np.isnan(start_s) & ~np.isnan(end_s)
    duration_s = float(end_s[known].max() - start_s[known].min()) if known.any() else None
    ended = requests.ended
    stages = {"total": _Stage(np.ones(int(requests.data.ok.sum()), dtype=bool), int(ended.sum()), duration_s)}
    limit = table.point.load.get("max_concurrency")
    window = stable_window_s(start_s[known], end_s[known], limit) if limit else None
    if limit and window is not None:
        inside = known & (start_s >= window[0]) & (start_s <= window[1])
        stages["stable"] = _Stage(
            inside[requests.data.ok],
            int((inside & ended).sum()),
            window[1] - window[0],
            concurrency_limit=limit,
        )
    return stages


def stable_window_s(start_s: Floats, end_s: Floats, limit: int) -> tuple[float, float] | None:
    """Its stable stage: from the second start that brings the requests under way to ``limit``, to the last event at it.

    Both in the order of the requests, as events of one moment keep the order start 0, end 0, start 1, end 1 ... there.
    None when no second start brings them to ``limit``, or they are never at it afterwards.
    """
    moments = np.column_stack((start_s, end_s)).ravel()
    changes = np.tile((1.0, -1.0), len(start_s))
    order = np.argsort(moments, kind="stable")
    moments, changes = moments[order], changes[order]
    at_limit = np.cumsum(changes) == limit
    begun = np.flatnonzero(at_limit & (changes > 0))
    if len(begun) < 2:
        return None
    first, last = float(moments[begun[1]]), float(moments[np.flatnonzero(at_limit)[-1]])
    return (first, last) if last > first else None


def _samples(requests: Timings) -> dict[str, Floats]:
    """Values of each metric in seconds, tokens or tokens per second; a metric that no answer has is left out."""
    data = requests.data
    e2el_s, ttft_s, n = requests.e2el_ms / 1e3, requests.ttft_ms / 1e3, data.output_tokens
    tpot_s = np.where(data.streamed & (n <= 1), 0.0, requests.tpot_ms / 1e3)
    samples = {"E2EL": e2el_s}
    if np.nansum(ttft_s) > 0:
        samples["TTFT"] = ttft_s
    if np.nansum(tpot_s) > 0:
        samples["TPOT"] = tpot_s
    if requests.gaps_ms.any():
        samples["ITL"] = requests.gaps_ms / 1e3
    samples |= {"InputTokens": data.input_tokens, "OutputTokens": n}
    samples["OutputTokenThroughput"] = statistics.quotients(n, e2el_s)
    if "TTFT" in samples:
        samples["PrefillTokenThroughput"] = statistics.quotients(data.input_tokens, ttft_s)
    return samples


def _statistics(name: str, values: Floats, stage: _Stage, requests: Timings) -> dict[str, Any]:
    row = requests.gap_row.astype(np.int64)
    chosen = statistics.present(values[stage.ok[row]] if name == "ITL" else values[stage.ok])
    with_gaps = np.zeros(len(stage.ok), dtype=bool)
    with_gaps[row[requests.gaps_ms > 0]] = True
    counted = (with_gaps & stage.ok) if name in ("TPOT", "ITL") else stage.ok
    return {**{column: _cell(name, chosen, column) for column in _COLUMNS}, "N": int(counted.sum())}


def _cell(name: str, values: Floats, column: str) -> str | float | None:
    if not len(values):
        return None
    percent = {"Min": 0.0, "Median": 50.0, "P75": 75.0, "P90": 90.0, "P99": 99.0, "Max": 100.0}
    value = values.mean() if column == "Average" else np.percentile(values, percent[column])
    figure = round(float(value), 4)
    if name in ("E2EL", "TTFT", "TPOT", "ITL"):
        return f"{round(figure * 1000, 4)} ms"
    return f"{figure} token/s" if name.endswith("Throughput") else figure


def _common(requests: Timings, stages: Mapping[str, _Stage]) -> dict[str, dict[str, Any]]:
    limit = requests.data.table.point.load.get("max_concurrency")
    table: dict[str, dict[str, Any]] = {}
    for stage, of in stages.items():
        for name, value in _common_of(requests, of).items():
            table.setdefault(name, {})[stage] = value
        table["Max Concurrency"][stage] = limit
    return table


def _common_of(requests: Timings, stage: _Stage) -> dict[str, Any]:
    data, success = requests.data, int(stage.ok.sum())
    inputs, outputs = _sum(data.input_tokens[stage.ok]), _sum(data.output_tokens[stage.ok])
    together = None if inputs is None or outputs is None else inputs + outputs

    def rate(count: float | None, unit: str) -> str | None:
        found = statistics.ratio(count, stage.duration_s)
        return None if found is None else f"{round(found, 4)} {unit}"

    concurrency = statistics.ratio(_sum(requests.e2el_ms[stage.ok] / 1e3), stage.duration_s)
    if concurrency is not None:
        concurrency = round(concurrency, 4)
        concurrency = min(concurrency, stage.concurrency_limit or concurrency)
    return {
        "Benchmark Duration": None if stage.duration_s is None else f"{round(stage.duration_s * 1000, 4)} ms",
        "Total Requests": stage.requests,
        "Failed Requests": stage.requests - success,
        "Success Requests": success,
        "Concurrency": concurrency,
        "Max Concurrency": None,
        "Request Throughput": rate(success, "req/s"),
        "Total Input Tokens": statistics.whole(inputs),
        "Total Generated Tokens": statistics.whole(outputs),
        "Input Token Throughput": rate(inputs, "token/s"),
        "Output Token Throughput": rate(outputs, "token/s"),
        "Total Token Throughput": rate(together, "token/s"),
    }


def _sum(values: Floats) -> float | None:
    return None if not len(values) or np.isnan(values).any() else float(values.sum())


_WHY = {
    "TTFT": "its clock stops at the first event, which may be the role frame",
    "TPOT": "it goes from the first event to the usage frame, divides by n-1, and counts one-token answers as 0",
    "ITL": "it pools gaps between all events, role, finish and usage frames too",
    "E2EL": "it ends at the usage frame, we at the last output",
}


def aisbench_figures(result: Mapping[str, Any]) -> list[Figure]:
    """Its means beside ours, stage total."""
    metrics, common = result[METRICS], result[COMMON]

    def average(name: str) -> float | None:
        return number(metrics[name]["total"]["Average"]) if name in metrics else None

    return [
        *(
            Figure(name=name, value=average(name), ours=name, rounding=_HALF_DIGIT_MS, why=why)
            for name, why in _WHY.items()
        ),
        Figure(
            name="Output Token Throughput",
            value=number(common["Output Token Throughput"]["total"]),
            ours="output throughput",
            why="its window ends at the last usage frame, ours at the end of the last exchange",
        ),
    ]


def number(cell: str | float | None) -> float | None:
    """The number in a cell with or without a unit."""
    return None if cell is None else float(str(cell).split()[0])

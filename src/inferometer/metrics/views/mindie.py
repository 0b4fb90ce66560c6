"""A load point as MindIE's ``benchmark`` would report it: its two tables, numbers as texts with units.

The first event stops FirstTokenTime; DecodeTime pools the gaps between events of all requests; GenerateTime ends at the
last event. SLO_P90 is P90, but for DecodeTime that of the mean gap per request. What only its server log or its own
tokenizer tells is not recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from inferometer.metrics.latency import Floats, Ints, first_positions
from inferometer.metrics.throughput import add, throughput, total
from inferometer.metrics.views import statistics
from inferometer.metrics.views.clocks import End, Frames, Timings, timings, wall_s
from inferometer.metrics.views.comparison import Figure
from inferometer.record.tables import PointTable
from inferometer.record.types import OUTPUT_KINDS, RunMeta

NOTES = (
    "percentiles of samples of any size, by linear interpolation; SLO_P90 of DecodeTime is that of requests' mean gaps",
    "an average of pooled gaps says little when single gaps are long: look at LastDecodeTime and MaxDecodeTime",
    "duration and rates are from the first send to the last end of all requests",
    "Tokenizer, Detokenizer, PostProcessingTime, ForwardTime, batch sizes and QueueWaitTime are not recorded",
)
PERFORMANCE = "result_perf"
COMMON = "result_common"
COLUMNS = ("average", "max", "min", "P75", "P90", "SLO_P90", "P99", "N")


def mindie_result(table: PointTable, meta: RunMeta) -> dict[str, Any]:
    """``result_perf``: cells by metric and column; ``result_common``: cell by metric. None = not recorded."""
    requests = timings(table, Frames.EVENTS, End.EVENT)
    return {PERFORMANCE: _performance(requests), COMMON: _common(requests, table, meta)}


def _performance(requests: Timings) -> dict[str, dict[str, str | int | None]]:
    data = requests.data
    row = requests.gap_row.astype(np.int64)
    last_ms, longest_ms, mean_ms = gaps_by_request(row, requests.gaps_ms, len(requests.ttft_ms))
    last_ms = np.where(data.streamed, np.nan_to_num(last_ms), np.nan)  # no gap is one of 0 there
    tokens, characters = data.output_tokens, _characters(requests)
    speed = statistics.quotients(tokens * 1e3, requests.e2el_ms)
    rows: dict[str, tuple[Floats, str]] = {
        "FirstTokenTime": (requests.ttft_ms, " ms"),
        "DecodeTime": (requests.gaps_ms, " ms"),
        "LastDecodeTime": (last_ms, " ms"),
        "MaxDecodeTime": (longest_ms, " ms"),
        "GenerateTime": (requests.e2el_ms, " ms"),
        "InputTokens": (data.input_tokens, ""),
        "GeneratedTokens": (tokens, ""),
        "GeneratedTokenSpeed": (speed, " token/s"),
        "GeneratedCharacters": (characters, ""),
    }
    every = int(requests.ended.sum())
    cells = {name: _row(values, unit, every) for name, (values, unit) in rows.items()}
    cells["DecodeTime"]["SLO_P90"] = _cell(statistics.linear(mean_ms, 90), " ms")
    absent: dict[str, str | int | None] = dict.fromkeys(COLUMNS)
    return {
        **cells,
        "Tokenizer": absent | {"N": every},
        "Detokenizer": absent | {"N": every},
        "CharactersPerToken": {
            **dict.fromkeys(COLUMNS, "/"),
            "average": _cell(statistics.ratio(total(characters), total(tokens)), ""),
            "N": every,
        },
        "PostProcessingTime": absent | {"N": every},
        "ForwardTime": absent | {"N": every},
    }


def _row(values: Floats, unit: str, every: int) -> dict[str, str | int | None]:
    found = statistics.present(values)
    some = len(found) > 0
    return {
        "average": _cell(statistics.mean(found), unit),
        "max": _cell(float(found.max()) if some else None, unit),
        "min": _cell(float(found.min()) if some else None, unit),
        "P75": _cell(statistics.linear(found, 75), unit),
        "P90": _cell(statistics.linear(found, 90), unit),
        "SLO_P90": _cell(statistics.linear(found, 90), unit),
        "P99": _cell(statistics.linear(found, 99), unit),
        "N": every,
    }


def _cell(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{round(value, 4)}{unit}"


def gaps_by_request(row: Ints, gap_ms: Floats, requests: int) -> tuple[Floats, Floats, Floats]:
    """Last, longest and mean gap of each request; NaN where there is none.

    Args:
        row: the request of each gap, in order.
        gap_ms: the gaps, in order of time within a request.
        requests: how many there are.
    """
    last, longest, mean = (np.full(requests, np.nan) for _ in range(3))
    first = first_positions(row)
    if len(first):
        behind = np.append(first[1:], len(row))
        of = row[first]
        last[of] = gap_ms[behind - 1]
        longest[of] = np.maximum.reduceat(gap_ms, first)
        mean[of] = np.add.reduceat(gap_ms, first) / (behind - first)
    return last, longest, mean


def _characters(requests: Timings) -> Floats:
    """Characters of each answer, from its chunks; NaN where they are not known."""
    data, chunks = requests.data, requests.data.table.chunks
    kind = np.asarray(chunks["kind"], dtype=np.float64)
    output = np.isin(kind, OUTPUT_KINDS)
    row = np.searchsorted(data.table.number("index"), np.asarray(chunks["request"], dtype=np.float64)[output])
    characters = np.asarray(chunks["chars"], dtype=np.float64)[output]
    sums = np.bincount(row, weights=characters, minlength=len(data.ok))
    known = np.bincount(row, minlength=len(data.ok)) > 0
    return np.where(known, sums, np.nan)[data.ok]


def _common(requests: Timings, table: PointTable, meta: RunMeta) -> dict[str, Any]:
    data, limit = requests.data, table.point.load.get("max_concurrency")
    elapsed_s, returned, every = wall_s(requests), int(data.ok.sum()), int(requests.ended.sum())
    inputs, outputs = total(data.input_tokens), total(data.output_tokens)
    speed = throughput(outputs, elapsed_s)
    return {
        "CurrentTime": _moment(meta.created_utc),
        "TimeElapsed": _cell(elapsed_s, " s"),
        "DataSource": meta.spec.get("workload", {}).get("dataset_path")
        or meta.spec.get("workload", {}).get("dataset"),
        "Failed": _share(every - returned, every, "({})"),
        "Returned": _share(returned, every, "({})"),
        "Total": _share(every, every, "[{}]"),
        "Concurrency": limit,
        "ModelName": f"{meta.model} (simulated)" if meta.simulated else meta.model,
        "lpct": _cell(statistics.ratio(total(requests.ttft_ms), inputs), " ms"),
        "Throughput": _cell(throughput(returned, elapsed_s), " req/s"),
        "OutputGenerateSpeed": _cell(speed, " token/s"),
        "InputGenerateSpeed": _cell(throughput(inputs, elapsed_s), " token/s"),
        "TotalGenerateSpeed": _cell(throughput(add(inputs, outputs), elapsed_s), " token/s"),
        "GenerateSpeedPerClient": _cell(statistics.ratio(speed, limit), " token/s"),
        "accuracy": "/",
    }


def _share(count: int, every: int, brackets: str) -> str:
    share = round(100.0 * count / every, 2) if every else 0.0
    return f"{count}{brackets.format(f' {share}% ')}"


def _moment(created_utc: str) -> str:
    try:
        return f"{datetime.fromisoformat(created_utc.replace('Z', '+00:00')):%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return created_utc


def mindie_figures(result: Mapping[str, Any]) -> list[Figure]:
    """Its means beside ours."""
    rows, common = result[PERFORMANCE], result[COMMON]

    def average(name: str) -> float | None:
        return _number(rows[name]["average"])

    return [
        Figure(
            name="FirstTokenTime",
            value=average("FirstTokenTime"),
            ours="TTFT",
            why="its clock stops at the first event, which may be the role frame",
        ),
        Figure(
            name="DecodeTime",
            value=average("DecodeTime"),
            ours="ITL",
            why="it pools gaps between all events, role, finish and usage frames too",
        ),
        Figure(
            name="GenerateTime",
            value=average("GenerateTime"),
            ours="E2EL",
            why="it ends at the usage frame, we at the last output",
        ),
        Figure(
            name="OutputGenerateSpeed",
            value=_number(common["OutputGenerateSpeed"]),
            ours="output throughput",
            why="its window ends at the last usage frame, ours at the end of the last exchange",
        ),
    ]


def _number(cell: str | int | None) -> float | None:
    return None if cell is None else float(str(cell).split()[0])

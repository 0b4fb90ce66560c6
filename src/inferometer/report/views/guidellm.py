"""GuideLLM's tables on the console: one row a load point, headings in groups."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from itertools import groupby
from typing import NamedTuple

from inferometer.metrics.views.guidellm import NOTES, guidellm_figures, guidellm_result
from inferometer.report.text import ABSENT
from inferometer.report.views.view import Result, View


class _Column(NamedTuple):
    """One column: the group that it stands in, its name, its unit or statistic, a cell a load point."""

    group: str
    name: str
    unit: str
    cells: list[str]


def guidellm_layout(results: Sequence[Result], simulated: bool) -> str:
    """The tables of its report that our record can fill; text, image and tool metrics are left out."""
    mark = " (simulated)" if simulated else ""
    tables = {
        "Run Summary Info": _summary(results),
        "Request Token Statistics (Completed Requests)": _counts(results),
        "Request Latency Statistics (Completed Requests)": _latencies(results),
        "Server Throughput Statistics (All Requests)": _throughput(results),
    }
    return "\n\n".join(
        "\n".join([f"ℹ {title}{mark}", *_table([_labels(results), *columns])])
        for title, columns in tables.items()
    )


def _labels(results: Sequence[Result]) -> _Column:
    names = []
    for result in results:
        strategy = result["config"]["strategy"]
        load = strategy.get("rate") or strategy.get("streams") or strategy.get("time_scale")
        names.append(strategy["type_"] if load is None else f"{strategy['type_']}@{load:g}")
    return _Column("Benchmark", "Strategy", "", names)


def _summary(results: Sequence[Result]) -> list[_Column]:
    columns = [
        _Column("Timings", "Start", "", [_clock(result["start_time"]) for result in results]),
        _Column("Timings", "End", "", [_clock(result["end_time"]) for result in results]),
        _Column("Timings", "Dur", "Sec", [_figure(result["duration"]) for result in results]),
        _Column("Timings", "Warm", "Sec", [_figure(result["warmup_duration"]) for result in results]),
        _Column("Timings", "Cool", "Sec", [_figure(result["cooldown_duration"]) for result in results]),
    ]
    statuses = {"Comp": "successful", "Inc": "incomplete", "Err": "errored"}
    for name, status in statuses.items():
        counts = [str(result["metrics"]["request_totals"][status]) for result in results]
        columns.append(_Column("Requests", name, "Tot", counts))
    for group, metric in (("Input Tokens", "prompt_token_count"), ("Output Tokens", "output_token_count")):
        for name, status in statuses.items():
            sums = [_figure(result["metrics"][metric][status]["total_sum"] or 0.0) for result in results]
            columns.append(_Column(group, name, "Tot", sums))
    return columns


def _counts(results: Sequence[Result]) -> list[_Column]:
    metrics = {
        ("Input Tok", "Per Req"): "prompt_token_count",
        ("Output Tok", "Per Req"): "output_token_count",
        ("Total Tok", "Per Req"): "total_token_count",
        ("Stream Iter", "Per Req"): "request_streaming_iterations_count",
        ("Output Tok", "Per Stream Iter"): "output_tokens_per_iteration",
    }
    return [
        _Column(group, name, unit, _statistic(results, metric, "successful", unit))
        for (group, name), metric in metrics.items()
        for unit in ("Mdn", "p95")
    ]


def _latencies(results: Sequence[Result]) -> list[_Column]:
    metrics = {
        ("Request Latency", "Sec"): "request_latency",
        ("TTFT", "ms"): "time_to_first_token_ms",
        ("TTFOT", "ms"): "time_to_first_output_token_ms",
        ("ITL", "ms"): "inter_token_latency_ms",
        ("TPOT", "ms"): "time_per_output_token_ms",
    }
    return [
        _Column(group, name, unit, _statistic(results, metric, "successful", unit))
        for (group, name), metric in metrics.items()
        for unit in ("Mean", "Mdn", "p95")
    ]


def _throughput(results: Sequence[Result]) -> list[_Column]:
    wanted = (
        ("Requests", "Concurrency", "Mdn", "request_concurrency"),
        ("Requests", "Concurrency", "Mean", "request_concurrency"),
        ("Requests", "Per Sec", "Mean", "requests_per_second"),
        ("Input Tokens", "Per Sec", "Mean", "prompt_tokens_per_second"),
        ("Output Tokens", "Per Sec", "Mean", "output_tokens_per_second"),
        ("Total Tokens", "Per Sec", "Mean", "tokens_per_second"),
    )
    return [
        _Column(group, name, unit, _statistic(results, metric, "total", unit))
        for group, name, unit, metric in wanted
    ]


def _statistic(results: Sequence[Result], metric: str, status: str, unit: str) -> list[str]:
    found = [result["metrics"][metric][status] for result in results]
    if unit == "p95":
        return [_figure(of["percentiles"]["p95"]) for of in found]
    return [_figure(of["mean" if unit == "Mean" else "median"]) for of in found]


def _table(columns: Sequence[_Column]) -> list[str]:
    widths = [max(len(column.unit), *map(len, column.cells)) for column in columns]
    widths = _fitted(columns, widths)
    rule, dash = ("|" + "|".join(fill * (width + 2) for width in widths) + "|" for fill in "=-")
    heads = [
        [column.group for column in columns],
        [column.name for column in columns],
        [c.unit for c in columns],
    ]
    bodies = [[column.cells[row] for column in columns] for row in range(len(columns[0].cells))]
    return [
        rule,
        *(_spanned(head, columns, widths, level) for level, head in enumerate(heads)),
        dash,
        *(
            "|" + "|".join(f" {text:<{width}} " for text, width in zip(row, widths, strict=True)) + "|"
            for row in bodies
        ),
        rule,
    ]


def _fitted(columns: Sequence[_Column], widths: list[int]) -> list[int]:
    """Widths with room for the headings that span several columns."""
    for level in (0, 1):
        for positions in _spans(columns, level):
            text = columns[positions[0]][level]
            room = sum(widths[i] + 2 for i in positions) - 2
            if len(text) > room:
                widths[positions[-1]] += len(text) - room
    return widths


def _spans(columns: Sequence[_Column], level: int) -> list[list[int]]:
    def key(position: int) -> tuple[str, ...]:
        column = columns[position]
        return (column.group, column.name)[: level + 1]

    return [list(positions) for _, positions in groupby(range(len(columns)), key)]


def _spanned(head: Sequence[str], columns: Sequence[_Column], widths: Sequence[int], level: int) -> str:
    """A line of headings; one that spans several columns has all their bars behind it."""
    spans = _spans(columns, level) if level < 2 else [[i] for i in range(len(columns))]
    parts = [
        f" {head[positions[0]]:<{sum(widths[i] + 2 for i in positions) - 1}}" + "|" * len(positions)
        for positions in spans
    ]
    return "|" + "".join(parts)


def _figure(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.1f}"


def _clock(unix_s: float | None) -> str:
    return ABSENT if unix_s is None else f"{datetime.fromtimestamp(unix_s, timezone.utc):%H:%M:%S}"


VIEW = View("guidellm", guidellm_result, guidellm_layout, guidellm_figures, NOTES)

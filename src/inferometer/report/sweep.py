"""Repeats of load points in a console table: one row a load, intervals, and repeats that differ; what serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferometer.metrics.rows import Estimate, Row
from inferometer.metrics.summary import PointSummary, RunSummary
from inferometer.report.text import ABSENT, count, number
from inferometer.spec import load_title

_NAMES = {
    "request_throughput_per_s": "req/s",
    "output_throughput_per_s": "out tok/s",
    "ttft_ms.p50": "TTFT p50 ms",
    "tpot_ms.p50": "TPOT p50 ms",
    "e2el_ms.p50": "E2EL p50 ms",
}
_SERVED = (
    ("input_throughput_per_node_per_s", "in tok/s/node"),
    ("output_throughput_per_node_per_s", "out tok/s/node"),
    ("input_throughput_per_device_per_s", "in tok/s/device"),
    ("output_throughput_per_device_per_s", "out tok/s/device"),
)


def repeated(summary: RunSummary) -> bool:
    """Whether a load was measured more than once."""
    return any(len(row.points) > 1 for row in summary.rows)


def titled(loads: Sequence[Mapping[str, Any]]) -> list[str]:
    """A title for each load, with token lengths where the load alone does not tell different ones apart."""
    names = [load_title(load) for load in loads]
    different = {(name, load.get("repeat", 1)) for name, load in zip(names, loads, strict=True)}
    return names if len(different) == len(names) else [load_title(load, lengths=True) for load in loads]


def served_columns(points: Sequence[PointSummary]) -> list[tuple[str, str]]:
    """Key and heading of the throughputs per node and device that there are."""
    return [
        (key, name) for key, name in _SERVED if any(point.values.get(key) is not None for point in points)
    ]


def repeat_table(
    summary: RunSummary, latencies: Sequence[str], shown: tuple[str, str]
) -> tuple[list[str], list[list[str]]]:
    """Header and cells of one row per load.

    Args:
        summary: the run.
        latencies: names of the latencies to show.
        shown: the two percentiles of each.
    """
    percentiles = list(dict.fromkeys(shown))
    columns = [("request_throughput_per_s", "req/s"), ("output_throughput_per_s", "out tok/s")]
    columns += served_columns(summary.points)
    header = ["load", "n", *(name for _, name in columns)]
    header += [f"{name} {'/'.join(percentiles)} ms" for name in latencies]
    failed = {point.index: point.counts.failed for point in summary.points}
    cells = []
    for row, title in zip(summary.rows, titled([row.load for row in summary.rows]), strict=True):
        figures = [_cell(row.estimates.get(key)) for key, _ in columns]
        for name in latencies:
            keys = [f"{name.lower()}_ms.{p}" for p in percentiles]
            figures.append(" / ".join(_cell(row.estimates.get(key)) for key in keys))
        failures = sum(failed[index] for index in row.points)
        cells.append([title, str(len(row.points)), *figures, count(failures)])
    return [*header, "failed"], cells


def repeat_notes(summary: RunSummary) -> list[str]:
    """What the table does not say: how the intervals were made, and which repeats differ."""
    notes = [
        "\u00b1: half of the 95 % interval over n repeats: t interval of their own values, and no less than the chance "
        f"inside them; {ABSENT}: too few requests in all repeats together"
    ]
    for row, title in zip(summary.rows, titled([row.load for row in summary.rows]), strict=True):
        notes += _differing(row, title)
    differ = sum(1 for point in summary.points if "ttft_ms" in point.stats_from_sent)
    if differ:
        notes.append(
            f"TTFT counted from the send differs by more than 1 % at {differ} load points, see summary.json"
        )
    return notes


def _differing(row: Row, title: str) -> list[str]:
    if len(row.points) == 2:  # each is all others of the other
        texts = [
            f"{_NAMES[one.key]} {number(one.value)} and {number(one.others)}"
            for one in row.differing
            if one.repeat == 1
        ]
        return [f"{title}: repeats 1 and 2 differ: {'; '.join(texts)}"] if texts else []
    told: dict[int, list[str]] = {}
    for one in row.differing:
        text = f"{_NAMES[one.key]} {number(one.value)}, others {number(one.others)}"
        told.setdefault(one.repeat, []).append(text)
    return [
        f"{title}: repeat {repeat} differs: {'; '.join(texts)} (load point {row.points[repeat - 1]})"
        for repeat, texts in told.items()
    ]


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return ABSENT
    half = estimate.half_width
    return number(estimate.mean) + ("" if half is None else f" \u00b1{number(half)}")

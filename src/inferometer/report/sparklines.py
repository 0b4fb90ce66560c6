"""Pictures of one line: a metric over the loads, and the output rate over the time of each load point.

A bar stands on zero, so that one twice as high is twice as much; the scale of each line is its own (Tufte 2006).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from inferometer.metrics.summary import RunSummary
from inferometer.report.text import number, table

_BLOCKS, _SIGNS = "▁▂▃▄▅▆▇█", ".:-=+*#@"
_GAP = " "
_FEWEST_LOADS = 3
_MOST_COURSES = 8
_METRICS = (
    ("output_throughput_per_s", "out tok/s"),
    ("ttft_ms.p50", "TTFT p50 ms"),
    ("ttft_ms.p99", "TTFT p99 ms"),
    ("tpot_ms.p50", "TPOT p50 ms"),
)


def sparkline(values: Sequence[float | None], *, unicode: bool = True) -> str:
    """A bar for each value, as high as its share of the largest; a blank for one that is not known, or not finite.

    Args:
        values: from 0 on.
        unicode: block elements, else ASCII signs that grow in weight.
    """
    bars = _BLOCKS if unicode else _SIGNS
    known = [value for value in values if value is not None and math.isfinite(value)]
    most = max(known, default=0.0)
    return "".join(
        _GAP if value is None or not math.isfinite(value) else bars[_height(value, most, len(bars))]
        for value in values
    )


def spark_lines(summary: RunSummary, titles: Sequence[str], *, unicode: bool = True) -> list[str]:
    """Metrics over the loads, then the output rate over time; nothing for fewer than three loads.

    Args:
        summary: the run.
        titles: of its load points.
        unicode: see ``sparkline``.
    """
    if len(summary.rows) < _FEWEST_LOADS:
        return []
    return [*_over_loads(summary, unicode), *_over_time(summary, titles, unicode)]


def _over_loads(summary: RunSummary, unicode: bool) -> list[str]:
    rows = []
    for key, name in _METRICS:
        found = [row.estimates.get(key) for row in summary.rows]
        values = [None if estimate is None else estimate.mean for estimate in found]
        known = [value for value in values if value is not None]
        if len(known) > 1:
            rows.append([name, sparkline(values, unicode=unicode), number(min(known)), number(max(known))])
    return table(["over the loads, in order", "", "least", "most"], rows, "<<>>") if rows else []


def _over_time(summary: RunSummary, titles: Sequence[str], unicode: bool) -> list[str]:
    rows = [
        [title, sparkline(point.course, unicode=unicode), number(max(point.course), 0)]
        for title, point in zip(titles, summary.points, strict=True)
        if point.course
    ]
    if not 0 < len(rows) <= _MOST_COURSES:
        return []
    return table(["out tok/s over time", "", "most"], rows, "<<>")


def _height(value: float, most: float, heights: int) -> int:
    share = value / most if most > 0 else 0.0
    return min(max(math.ceil(share * heights) - 1, 0), heights - 1)

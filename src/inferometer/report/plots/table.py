"""A picture as rows and columns, for CSV: everything that it shows, in long form, units in the names of columns."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from inferometer.report.plots.model import Axis, Chart, Forest, Gantt, Heat, Plot, Series

Cell = str | float
Columns = tuple[list[str], list[list[Cell]]]
_UNIT_NAMES = {"%": "percent", "°C": "celsius"}


def columns_of(plot: Plot) -> Columns:
    """Header and rows; what is not there is an empty cell.

    A chart has a row for each value of each series (``series``, ``label``, x, y and their intervals; y of the
    right-hand axis in a column of its own), a timeline one for each request, a heat map one for each cell, a comparison
    one for each metric. Names are the English ones.
    """
    if isinstance(plot, Chart):
        return _chart(plot)
    if isinstance(plot, Gantt):
        return _gantt(plot)
    return _heat(plot) if isinstance(plot, Heat) else _forest(plot)


def column_name(axis: Axis) -> str:
    """The axis as the name of a column: "ttft_p99_ms", "output_throughput_tok_per_s"."""
    unit = _UNIT_NAMES.get(axis.unit, axis.unit.replace("/", "_per_"))
    words = re.sub(r"\W+", "_", f"{axis.name.en} {unit}").strip("_").lower()
    return re.sub("_+", "_", words)


def _chart(chart: Chart) -> Columns:
    x, y = column_name(chart.x), column_name(chart.y)
    x = x if x != y else f"x_{x}"
    right = None if chart.right is None else column_name(chart.right)
    ends = _ends(chart, (x, y, right or ""))
    labelled = any(each.labels for each in chart.series)
    header = ["series", *(["label"] if labelled else []), x, y, *([right] if right else [])]
    header += [name for name, _, _ in ends]
    rows: list[list[Cell]] = []
    for series in chart.series:
        for place in range(len(series.x)):
            height = _cell(series.y[place])
            row: list[Cell] = [series.name.en]
            row += [series.labels[place].en if series.labels else ""] if labelled else []
            row.append(_cell(series.x[place]))
            row += ["", height] if right and series.right else [height, ""] if right else [height]
            row += [
                _of(series, column, place) if side in (None, series.right) else "" for _, column, side in ends
            ]
            rows.append(row)
    return header, rows


def _ends(chart: Chart, names: tuple[str, str, str]) -> list[tuple[str, str, bool | None]]:
    """Ends of intervals that any series has: name of the column, attribute, whether of the right axis (None = of x)."""
    sides: tuple[tuple[str, str, bool | None], ...] = (
        (names[0], "x_", None),
        (names[1], "", False),
        (names[2], "", True),
    )
    return [
        (f"{name}_{end}", f"{stem}{end}", side)
        for name, stem, side in sides
        for end in ("low", "high")
        if any(
            getattr(each, f"{stem}{end}") is not None and side in (None, each.right) for each in chart.series
        )
    ]


def _of(series: Series, name: str, place: int) -> Cell:
    column = getattr(series, name)
    return "" if column is None else _cell(column[place])


def _gantt(gantt: Gantt) -> Columns:
    times = ("planned", "sent", "first", "last", "end")
    header = ["request", "lane", *(f"{name}_s" for name in times), "ok", "status"]
    return header, list(_gantt_rows(gantt, times))


def _gantt_rows(gantt: Gantt, times: tuple[str, ...]) -> Iterator[list[Cell]]:
    columns = [getattr(gantt, name) for name in times]
    for place in range(len(gantt.lane)):
        own = [_cell(column[place]) for column in columns]
        status = gantt.label[place] if gantt.label else "ok"
        yield [_cell(gantt.index[place]), _cell(gantt.lane[place]), *own, _cell(gantt.ok[place]), status]


def _heat(heat: Heat) -> Columns:
    x, y = column_name(heat.x), column_name(heat.y)
    header = [f"{x}_from", f"{x}_to", f"{y}_from", f"{y}_to", column_name(heat.value), "count"]
    rows = [
        [
            *(_cell(edge) for edge in heat.x_edges[across : across + 2]),
            *(_cell(edge) for edge in heat.y_edges[up : up + 2]),
            _cell(heat.values[up, across]),
            _cell(heat.counts[up, across]),
        ]
        for up in range(heat.values.shape[0])
        for across in range(heat.values.shape[1])
    ]
    return header, rows


def _forest(forest: Forest) -> Columns:
    header = ["metric", "change_percent", "change_percent_low", "change_percent_high", "verdict", "values"]
    rows: list[list[Cell]] = [
        [row.name.en, _cell(row.middle), _cell(row.low), _cell(row.high), row.word, row.text]
        for row in forest.rows
    ]
    return header, rows


def _cell(value: float | None) -> Cell:
    """A number as Python's own; an empty cell for what is missing."""
    return "" if value is None or math.isnan(value) else float(value)

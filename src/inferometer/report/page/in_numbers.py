"""A picture in a few numbers, for readers who cannot see it: what is drawn, from where to where."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from inferometer.report.page.model import Cell, Head, Table
from inferometer.report.plots.model import Axis, Chart, Floats, Forest, Gantt, Heat, Plot, Series
from inferometer.report.text import figure
from inferometer.report.words import Words, same

_NAME = Head(Words("drawn", "图中内容"), number=False)
_VALUES = Head(Words("values", "数值个数"))
_VERDICTS = {
    "better": Words("better", "变好"),
    "worse": Words("worse", "变差"),
    "same": Words("same", "相同"),
    "unsure": Words("unsure", "不确定"),
    "absent": Words("absent", "缺失"),
}


def axes_text(plot: Plot) -> Words:
    """Which axes a picture has, with their units."""
    if isinstance(plot, Chart):
        sides = [plot.y, *([plot.right] if plot.right else [])]
        over = Words(
            ", ".join(titled(side).en for side in sides), "、".join(titled(side).zh for side in sides)
        )
        return Words(f"{over.en} over {titled(plot.x).en}", f"{over.zh}，横轴 {titled(plot.x).zh}")
    if isinstance(plot, Heat):
        x, y, value = titled(plot.x), titled(plot.y), titled(plot.value)
        return Words(f"{value.en} over {x.en} and {y.en}", f"{value.zh}，横轴 {x.zh}，纵轴 {y.zh}")
    return Words(f"over {titled(plot.x).en}", f"横轴 {titled(plot.x).zh}")


def titled(axis: Axis) -> Words:
    """``TTFT (ms)``."""
    unit = f" ({axis.unit})" if axis.unit else ""
    return Words(axis.name.en + unit, axis.name.zh + unit)


def in_numbers(plot: Plot) -> Table:
    """The table that stands for a picture."""
    head, rows = _table(plot)
    return Table(key=f"{plot.key}-numbers", head=head, rows=rows)


def _table(plot: Plot) -> tuple[tuple[Head, ...], tuple[tuple[Cell, ...], ...]]:
    if isinstance(plot, Chart):
        return _of_chart(plot)
    if isinstance(plot, Gantt):
        return _of_gantt(plot)
    if isinstance(plot, Heat):
        return _of_heat(plot)
    return _of_forest(plot)


def _of_chart(chart: Chart) -> tuple[tuple[Head, ...], tuple[tuple[Cell, ...], ...]]:
    x = titled(chart.x)
    head = (
        _NAME,
        _VALUES,
        Head(Words(f"{x.en}, from to", f"{x.zh} 范围")),
        Head(Words("lowest", "最小")),
        Head(Words("median", "中位数")),
        Head(Words("highest", "最大")),
        Head(Words("unit", "单位"), number=False),
    )
    return head, tuple(_series_row(series, chart) for series in chart.series)


def _series_row(series: Series, chart: Chart) -> tuple[Cell, ...]:
    axis = chart.right if series.right and chart.right else chart.y
    y = series.y[np.isfinite(series.y)]
    low, middle, high = (map(figure, np.percentile(y, (0, 50, 100)).tolist())) if len(y) else ("", "", "")
    numbers = (f"{len(y):,}", _span(series.x), low, middle, high, axis.unit)
    return (Cell(series.name), *(Cell(same(number)) for number in numbers))


def _of_gantt(gantt: Gantt) -> tuple[tuple[Head, ...], tuple[tuple[Cell, ...], ...]]:
    ok = int((gantt.ok > 0).sum())
    lanes = int(np.nanmax(gantt.lane)) + 1 if len(gantt.lane) else 0
    facts = [
        (Words("requests drawn", "图中请求数"), f"{len(gantt.lane):,}"),
        (Words("of them ok", "其中成功"), f"{ok:,}"),
        (Words("of them failed", "其中失败"), f"{len(gantt.lane) - ok:,}"),
        (Words("most in flight", "最大并发数"), f"{lanes:,}"),
        (Words("time, s", "时间（s）"), _span(np.concatenate([gantt.planned, gantt.end]))),
    ]
    return (_NAME, Head(Words("value", "数值"))), tuple(
        (Cell(name), Cell(same(text))) for name, text in facts
    )


def _of_heat(heat: Heat) -> tuple[tuple[Head, ...], tuple[tuple[Cell, ...], ...]]:
    head = (
        Head(titled(heat.x)),
        Head(titled(heat.y)),
        Head(titled(heat.value)),
        Head(Words("requests", "请求数")),
    )
    return head, tuple(_heat_rows(heat))


def _heat_rows(heat: Heat) -> Iterator[tuple[Cell, ...]]:
    rows, columns = heat.values.shape
    for row in range(rows):
        for column in range(columns):
            if np.isfinite(heat.values[row, column]):
                texts = (
                    _edges(heat.x_edges, column),
                    _edges(heat.y_edges, row),
                    figure(float(heat.values[row, column])),
                    f"{heat.counts[row, column]:,.0f}",
                )
                yield tuple(Cell(same(text)) for text in texts)


def _of_forest(forest: Forest) -> tuple[tuple[Head, ...], tuple[tuple[Cell, ...], ...]]:
    head = (
        _NAME,
        Head(titled(forest.x)),
        Head(Words("interval", "区间")),
        Head(Words("verdict", "判定"), number=False),
        Head(Words("values", "数值"), number=False),
    )
    rows = []
    for row in forest.rows:
        change = "" if row.middle is None else f"{row.middle:+.1f}"
        known = row.low is not None and row.high is not None
        interval = f"{row.low:+.1f} – {row.high:+.1f}" if known else ""
        texts = (same(change), same(interval), _VERDICTS[row.word], same(row.text))
        rows.append((Cell(row.name), *(Cell(text) for text in texts)))
    return head, tuple(rows)


def _span(values: Floats) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return ""
    return f"{figure(float(known.min()))} – {figure(float(known.max()))}"


def _edges(edges: Floats, place: int) -> str:
    if place + 1 >= len(edges):
        return figure(float(edges[place]))
    return f"{figure(float(edges[place]))} – {figure(float(edges[place + 1]))}"


def plots_of(blocks: object) -> Iterator[Plot]:
    """Every plot in blocks, those inside choices too."""
    from inferometer.report.page.model import Choice, Picture

    if isinstance(blocks, Picture):
        yield blocks.plot
    elif isinstance(blocks, Choice):
        for _, inside in blocks.options:
            yield from plots_of(inside)
    elif isinstance(blocks, (tuple, list)):
        for block in blocks:
            yield from plots_of(block)


def spans_of(plots: Iterator[Plot]) -> dict[str, tuple[float, float]]:
    """From where to where the charts of each link reach along x, so that they zoom over the same ground."""
    found: dict[str, tuple[float, float]] = {}
    for plot in plots:
        link = getattr(plot, "link", None)
        columns = _x_columns(plot)
        known = (
            np.concatenate([column[np.isfinite(column)] for column in columns]) if columns else np.empty(0)
        )
        if link is not None and len(known):
            low, high = found.get(link, (np.inf, -np.inf))
            found[link] = (min(low, float(known.min())), max(high, float(known.max())))
    return found


def _x_columns(plot: Plot) -> list[Floats]:
    if isinstance(plot, Chart):
        return [series.x for series in plot.series]
    return [plot.planned, plot.sent, plot.end] if isinstance(plot, Gantt) else []


def tag_of(value: msgspec.Struct) -> str:
    """The tag of a block or plot."""
    return str(value.__struct_config__.tag)

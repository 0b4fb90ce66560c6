"""Lines and points over two axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from inferometer.report.plots.model import Chart, Series
from inferometer.report.static.axes import draw_marks, legend, reach, set_up
from inferometer.report.static.look import SOFT, Look, Style, styles

_MANY = 300  # points that are drawn small and pale
_LABELLED = 12  # points of a series that are named in the picture
_LABEL_WIDTH, _LABEL_HEIGHT = 70.0, 10.0  # pixels of a figure that is laid out at 100 dots per inch


def draw(chart: Chart, axes: Any, look: Look) -> None:
    """All series of a chart, its marks and a legend where there is more than one."""
    twin = axes.twinx() if chart.right is not None else None
    _set_limits(chart, axes, twin, look)
    many = sum(len(each.x) for each in chart.series if each.draw == "points") > _MANY
    handles = [
        _series(twin if each.right and twin is not None else axes, each, style, many=many)
        for each, style in zip(chart.series, styles(chart.series), strict=True)
    ]
    draw_marks(axes, (mark for mark in chart.marks if mark.axis != "right"), look)
    if twin is not None:
        twin.grid(visible=False)
        draw_marks(twin, (mark for mark in chart.marks if mark.axis == "right"), look)
    _labels(chart, axes, look)
    if len(chart.series) > 1:
        legend(axes, handles, [look.t(each.name) for each in chart.series])


def _set_limits(chart: Chart, axes: Any, twin: Any, look: Look) -> None:
    def columns(right: bool) -> list[Any]:
        return [
            column for each in chart.series if each.right is right for column in (each.y, each.low, each.high)
        ]

    xs = [column for each in chart.series for column in (each.x, each.x_low, each.x_high)]
    at = {name: [mark for mark in chart.marks if mark.axis == name] for name in ("x", "y", "right")}
    set_up(axes, "x", chart.x, reach(xs, at["x"], chart.x), look)
    set_up(axes, "y", chart.y, reach(columns(False), at["y"], chart.y), look)
    if chart.right is not None:
        set_up(twin, "y", chart.right, reach(columns(True), at["right"], chart.right), look)


def _series(axes: Any, series: Series, style: Style, *, many: bool) -> Any:
    """One series with its intervals; the handle stands in the legend."""
    if series.draw == "bars":
        width = 0.8 * float(np.diff(np.sort(series.x)).min()) if len(series.x) > 1 else None
        bars = axes.bar(series.x, series.y, color=style.colour, **({} if width is None else {"width": width}))
        _crosses(axes, series, style)
        return bars
    line = series.draw in ("line", "steps")
    if line and series.low is not None and series.high is not None:
        step = "post" if series.draw == "steps" else None
        axes.fill_between(series.x, series.low, series.high, color=style.colour, alpha=0.16, lw=0, step=step)
    elif not line:
        _crosses(axes, series, style)
    (handle,) = axes.plot(
        series.x,
        series.y,
        color=style.colour,
        linestyle="none" if series.draw == "points" else style.dash,
        linewidth=1.0 if series.role == "quiet" else 1.8,
        marker="" if line else style.shape,
        markersize=3 if many else 6,
        alpha=0.45 if many and not line else 1.0,
        markeredgewidth=0,
        drawstyle="steps-post" if series.draw == "steps" else "default",
        zorder=2,
    )
    return handle


def _crosses(axes: Any, series: Series, style: Style) -> None:
    for low, high, name in ((series.low, series.high, "yerr"), (series.x_low, series.x_high, "xerr")):
        if low is None or high is None:
            continue
        middle = series.y if name == "yerr" else series.x
        known = np.isfinite(low) & np.isfinite(high) & np.isfinite(middle)
        lengths = np.maximum([middle[known] - low[known], high[known] - middle[known]], 0.0)
        style_of = {"fmt": "none", "ecolor": style.colour, "elinewidth": 1.1, "capsize": 2.5, "alpha": 0.75}
        axes.errorbar(series.x[known], series.y[known], **{name: lengths}, **style_of, zorder=1.8)


def _labels(chart: Chart, axes: Any, look: Look) -> None:
    """Names of points where a reader could not tell them otherwise, as far as they do not cover each other."""
    taken: list[tuple[float, float]] = []
    left, right = axes.transAxes.transform([(0.0, 0.0), (1.0, 0.0)])[:, 0]
    for series in _named(chart):
        rising = series.y[-1] > series.y[0]
        for x, y, label in zip(series.x, series.y, series.labels, strict=True):
            across, up = axes.transData.transform((x, y))
            if not np.isfinite(across + up) or any(_covers((across, up), other) for other in taken):
                continue
            taken.append((across, up))
            at_edge = across > left + 0.85 * (right - left)
            place = {
                "ha": "right" if at_edge else "left",
                "va": "top" if rising and not at_edge else "bottom",
            }
            offset = (-6 if at_edge else 6, -4 if place["va"] == "top" else 4)
            axes.annotate(look.t(label), (x, y), xytext=offset, textcoords="offset points", size=7, color=SOFT,
                          zorder=3, **place)  # fmt: skip


def _covers(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return abs(one[0] - other[0]) < _LABEL_WIDTH and abs(one[1] - other[1]) < _LABEL_HEIGHT


def _named(chart: Chart) -> list[Series]:
    """Short series whose labels say more than the x axis does."""
    drawn = ("points", "line-points")
    return [
        each
        for each in chart.series
        if each.draw in drawn and not each.right and 0 < len(each.labels) == len(each.x) <= _LABELLED
        if not all(label.en.partition(" ")[0] in chart.x.name.en.split() for label in each.labels)
    ]

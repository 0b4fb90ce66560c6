"""Axes of static pictures: names with units, limits that hold what was measured, ticks at 1, 2 and 5."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from inferometer.report.plots.model import Axis, Mark
from inferometer.report.static.look import INK, MARKS, Look, figure_text

Floats = NDArray[np.float64]
Limits = tuple[float, float]
_ROOM, _SIGN = 112, 6  # characters that a legend has room for, and that its line and gap take
_BELOW_PT = 32  # from the axes to the legend: ticks and the name of the axis
_FAR = {"log": 10.0, "linear": 3.0}  # a limit that far beyond the data would squeeze it into a corner


def titled(axis: Axis, look: Look) -> str:
    """Name and unit."""
    return f"{look.t(axis.name)} ({axis.unit})" if axis.unit else look.t(axis.name)


def set_up(axes: Any, which: Literal["x", "y"], axis: Axis, limits: Limits, look: Look) -> None:
    """Name, scale, limits and ticks of one axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    target = axes.xaxis if which == "x" else axes.yaxis
    target.set_label_text(titled(axis, look))
    if axis.scale == "log":
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
        subs = (1.0, 2.0, 5.0) if limits[1] / limits[0] < 200 else (1.0,)
        target.set_major_locator(LogLocator(subs=subs, numticks=20))
        target.set_minor_formatter(NullFormatter())
    target.set_major_formatter(FuncFormatter(lambda value, _: figure_text(value)))
    (axes.set_xlim if which == "x" else axes.set_ylim)(*limits)


def reach(columns: Iterable[Floats | None], marks: Iterable[Mark], axis: Axis) -> Limits:
    """From the least to the most of the columns, with the marks that are not far off, and some room."""
    log = axis.scale == "log"
    low, high = math.inf, -math.inf
    for values in columns:
        known = np.empty(0) if values is None else values[np.isfinite(values)]
        known = known[known > 0] if log else known
        if len(known):
            low, high = min(low, float(known.min())), max(high, float(known.max()))
    if low > high:
        low, high = (1.0, 10.0) if log else (0.0, 1.0)
    for position in (at for mark in marks for at in (mark.start, mark.end) if at is not None):
        if (log and position <= 0) or position > _FAR[axis.scale] * high:
            continue
        low, high = min(low, position), max(high, position)
    return _with_room(low, high, log)


def _with_room(low: float, high: float, log: bool) -> Limits:
    if log:
        room = (high / low) ** 0.05 if high > low else 1.5
        return low / room, high * room
    start = 0.0 if 0 <= low < 0.7 * high else low
    room = 0.06 * (high - start) or abs(high) * 0.1 or 1.0
    return (start if start == 0.0 else start - room), high + room


def draw_marks(axes: Any, marks: Iterable[Mark], look: Look) -> None:
    """Lines and zones over an axes, those inside its limits."""
    for mark in marks:
        upright = mark.axis == "x"
        low, high = sorted(axes.get_xlim() if upright else axes.get_ylim())
        if mark.zone:
            _zone(axes, mark, (low, high), look)
        elif mark.start is not None and low <= mark.start <= high:
            draw = axes.axvline if upright else axes.axhline
            draw(
                mark.start,
                color=MARKS[mark.kind],
                lw=1.4,
                ls=":" if mark.kind == "knee" else "--",
                zorder=1.5,
            )
            _named(axes, mark, mark.start, look)


def _zone(axes: Any, mark: Mark, limits: Limits, look: Look) -> None:
    start = limits[0] if mark.start is None else max(mark.start, limits[0])
    end = limits[1] if mark.end is None else min(mark.end, limits[1])
    if end <= start:
        return
    draw = axes.axvspan if mark.axis == "x" else axes.axhspan
    draw(start, end, color=MARKS[mark.kind], alpha=0.10, lw=0, zorder=0.5)
    _named(axes, mark, start, look)


def _named(axes: Any, mark: Mark, at: float, look: Look) -> None:
    """The name beside the line: along its upper end, or above it at the right."""
    style = {"size": 7.5, "color": INK, "zorder": 4}
    back = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6}
    if mark.axis == "x":
        place = axes.get_xaxis_transform()
        axes.annotate(look.t(mark.name), (at, 0.98), xycoords=place, xytext=(3, 0), textcoords="offset points",
                      ha="left", va="top", bbox=back, **style)  # fmt: skip
    else:
        place = axes.get_yaxis_transform()
        axes.annotate(look.t(mark.name), (0.995, at), xycoords=place, xytext=(0, 2), textcoords="offset points",
                      ha="right", va="bottom", bbox=back, **style)  # fmt: skip


def legend(axes: Any, handles: Sequence[Any], names: Sequence[str]) -> None:
    """Below the axes, in as many columns as there is room for; the layout makes the room."""
    from matplotlib.transforms import ScaledTranslation

    longest = max(map(len, names)) + _SIGN
    columns = max(1, min(len(names), _ROOM // longest))
    below = axes.transAxes + ScaledTranslation(0, -_BELOW_PT / 72, axes.figure.dpi_scale_trans)
    place = {"loc": "upper left", "bbox_to_anchor": (-0.01, 0.0), "bbox_transform": below}
    axes.legend(handles, names, ncols=columns, frameon=False, fontsize=8, **place)

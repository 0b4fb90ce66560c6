"""Requests over time, a bar each on the lane of its slot."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferometer.report.plots.model import Axis, Gantt, Mark
from inferometer.report.static.axes import legend, set_up
from inferometer.report.static.look import EARLY, INK, LATE, MIDDLE, ROLES, Look
from inferometer.report.words import Words

Floats = NDArray[np.float64]
_SLOT = Axis(Words("slot", "并发槽位"), "")
_PARTS = (
    (Words("waiting in the client", "客户端等待"), EARLY),
    (Words("until the first token", "首个 token 之前"), MIDDLE),
    (Words("decoding", "解码"), LATE),
    (Words("failed", "失败"), ROLES["bad"]),
)
_THICK, _LANES = 0.8, 60  # share of a lane that a bar fills, where there are so few that gaps can be seen
_MANY = 5_000  # bars of a part that are pixels in an SVG, too: as shapes they would be megabytes


def draw(gantt: Gantt, axes: Any, look: Look) -> None:
    """The bars, lane 0 at the top."""
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator

    lanes = float(gantt.lane.max()) + 1.0 if len(gantt.lane) else 1.0
    moments = np.concatenate((gantt.planned, gantt.sent, gantt.end))
    known = moments[np.isfinite(moments)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    set_up(axes, "x", gantt.x, (low, high if high > low else low + 1.0), look)
    set_up(axes, "y", _SLOT, (lanes, 0.0), look)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=False, axis="y")
    handles = []
    for (name, colour), (lane, start, end) in zip(_PARTS, _bars(gantt), strict=True):
        drawn = np.isfinite(start) & np.isfinite(end) & (end > start)
        if not drawn.any():
            continue
        boxes = _boxes(lane[drawn], start[drawn], end[drawn], _THICK if lanes < _LANES else 1.0)
        hatch = "////" if colour == ROLES["bad"] else None
        style: dict[str, Any] = {
            "facecolor": colour,
            "edgecolor": "none",
            "hatch": hatch,
            "rasterized": len(boxes) > _MANY,
        }
        axes.add_collection(PolyCollection(list(boxes), **style), autolim=False)
        handles.append((Patch(facecolor=colour, hatch=hatch), look.t(name)))
    for mark in gantt.marks:
        _edges(axes, mark, look)
    if handles:
        patches, names = zip(*handles, strict=True)
        legend(axes, patches, names)


def _bars(gantt: Gantt) -> list[tuple[Floats, Floats, Floats]]:
    """Lane, start and end of the bars of each part, in the order of ``_PARTS``."""
    ok = gantt.ok == 1.0
    last = np.where(np.isnan(gantt.last), gantt.end, gantt.last)
    began = np.where(np.isnan(gantt.sent), gantt.planned, gantt.sent)
    first = np.where(np.isnan(gantt.first), gantt.sent, gantt.first)  # without a stream all of it is one part
    return [
        (gantt.lane[ok], gantt.planned[ok], gantt.sent[ok]),
        (gantt.lane[ok], gantt.sent[ok], first[ok]),
        (gantt.lane[ok], first[ok], last[ok]),
        (gantt.lane[~ok], began[~ok], gantt.end[~ok]),
    ]


def _boxes(lane: Floats, start: Floats, end: Floats, thick: float) -> NDArray[np.float64]:
    """Corners of rectangles: (bars, 4, 2)."""
    top, bottom = lane + (1 - thick) / 2, lane + (1 + thick) / 2
    corners = ((start, top), (end, top), (end, bottom), (start, bottom))
    return np.stack([np.stack(corner, axis=1) for corner in corners], axis=1)


def _edges(axes: Any, mark: Mark, look: Look) -> None:
    """Where a zone begins and ends: as a tint it would not show behind the bars."""
    for at in (mark.start, mark.end):
        if at is not None:
            axes.axvline(at, color=INK, lw=1.2, ls="--", zorder=3)
    if mark.start is not None:
        box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 0.8}
        place = {"xycoords": axes.get_xaxis_transform(), "xytext": (3, 0), "textcoords": "offset points"}
        axes.annotate(look.t(mark.name), (mark.start, 0.98), va="top", size=7.5, bbox=box, zorder=4, **place)

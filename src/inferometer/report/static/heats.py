"""A value over two lengths, with the number of requests in each cell."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferometer.report.plots.model import Heat
from inferometer.report.static.axes import set_up, titled
from inferometer.report.static.look import INK, Look, figure_text

_MOST_CELLS = 14  # in a row, or a column, that have their numbers written in them


def draw(heat: Heat, figure: Any, axes: Any, look: Look) -> None:
    """The cells; the dark end of the colours is the bad one."""
    rows, columns = heat.values.shape
    x, y = _edges(heat.x_edges, columns), _edges(heat.y_edges, rows)
    masked = np.ma.masked_invalid(heat.values)
    colours = "cividis_r" if heat.low_is_good else "cividis"
    mesh = axes.pcolormesh(x, y, masked, cmap=colours, edgecolors="white", linewidth=0.8)
    set_up(axes, "x", heat.x, (float(x[0]), float(x[-1])), look)
    set_up(axes, "y", heat.y, (float(y[0]), float(y[-1])), look)
    axes.grid(visible=False)
    bar = figure.colorbar(mesh, ax=axes, pad=0.02)
    bar.set_label(titled(heat.value, look))
    bar.outline.set_visible(False)
    if rows <= _MOST_CELLS and columns <= _MOST_CELLS:
        _numbers(heat, axes, mesh, (x, y))


def _edges(given: NDArray[np.float64], cells: int) -> NDArray[np.float64]:
    """Edges as they are, or around positions."""
    return given if len(given) > cells else np.append(given - 0.5, given[-1] + 0.5)


def _numbers(
    heat: Heat, axes: Any, mesh: Any, edges: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> None:
    x, y = (_middles(edge, axis.scale) for edge, axis in zip(edges, (heat.x, heat.y), strict=True))
    for (row, column), value in np.ndenumerate(heat.values):
        if not np.isfinite(value):
            continue
        red, green, blue, _ = mesh.cmap(mesh.norm(value))
        colour = INK if 0.3 * red + 0.6 * green + 0.1 * blue > 0.55 else "white"
        text = f"{figure_text(value)}\nn {int(heat.counts[row, column]):,}"
        axes.text(x[column], y[row], text, ha="center", va="center", size=7, color=colour)


def _middles(edges: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    if scale == "log":
        return np.asarray(np.sqrt(edges[:-1] * edges[1:]), dtype=np.float64)
    return np.asarray((edges[:-1] + edges[1:]) / 2, dtype=np.float64)

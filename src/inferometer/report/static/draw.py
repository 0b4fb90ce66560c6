"""One plot as a figure: the frame that all kinds share, and who draws which."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from inferometer.report.plots.model import Chart, Forest, Gantt, Heat, Plot
from inferometer.report.static import charts, forests, gantts, heats
from inferometer.report.static.look import INK, SIMULATED, SOFT, WARN, Look, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT, _ROW = 8.0, 4.8, 0.32  # inches
_WRAP = {"en": 150, "zh": 84}


def draw(plot: Plot, look: Look) -> Figure:
    """The figure, on no screen and in no list of open figures: it is gone with its last reference.

    To be called, and saved, under ``look.settings``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, _height(plot)), layout="constrained")
    axes = figure.subplots()
    figure.suptitle(look.t(plot.title), x=0.01, ha="left", weight="bold", size=12, color=INK)
    axes.set_title(_subtitle(plot, look), loc="left", size=8.5, color=SOFT)
    if look.simulated:
        edge = {"facecolor": "#fff3d6", "edgecolor": WARN, "boxstyle": "round,pad=0.25", "linestyle": "--"}
        axes.set_title(look.t(SIMULATED), loc="right", size=8.5, weight="bold", color=WARN, bbox=edge)
    note = look.t(plot.note)
    if note:
        figure.supxlabel(_wrapped(note, look), x=0.01, ha="left", size=7.5, color=SOFT)
    _drawn(plot, figure, axes, look)
    return figure


def _drawn(plot: Plot, figure: Figure, axes: Any, look: Look) -> None:
    if isinstance(plot, Chart):
        charts.draw(plot, axes, look)
    elif isinstance(plot, Gantt):
        gantts.draw(plot, axes, look)
    elif isinstance(plot, Heat):
        heats.draw(plot, figure, axes, look)
    else:
        forests.draw(plot, axes, look)


def _height(plot: Plot) -> float:
    return max(2.4, 1.6 + _ROW * len(plot.rows)) if isinstance(plot, Forest) else _HEIGHT


def _subtitle(plot: Plot, look: Look) -> str:
    counted = f"n = {plot.n:,} {look.t(plot.of)}"
    return "  ·  ".join(part for part in (counted, plain(look.subtitle)) if part)


def _wrapped(note: str, look: Look) -> str:
    return "\n".join(line for text in note.splitlines() for line in textwrap.wrap(text, _WRAP[look.language]))

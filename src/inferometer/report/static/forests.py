"""Changes with their intervals, one row a metric, around the zone of what counts as none."""

from __future__ import annotations

from typing import Any

from inferometer.report.plots.model import Forest, ForestRow
from inferometer.report.static.axes import titled
from inferometer.report.static.look import GRID, INK, MARKS, ROLES, SOFT, Look, figure_text, plain
from inferometer.report.words import Words

_WORDS: dict[str, tuple[Words, str, str]] = {
    "better": (Words("better", "变好"), ROLES["good"], "o"),
    "worse": (Words("worse", "变差"), ROLES["bad"], "^"),
    "same": (Words("same", "相同"), ROLES["asked"], "s"),
    "unsure": (Words("unsure", "不确定"), MARKS["knee"], "D"),
    "absent": (Words("absent", "缺失"), ROLES["quiet"], "X"),
}


def draw(forest: Forest, axes: Any, look: Look) -> None:
    """The rows from the top; a row without a value keeps its place and says so."""
    from matplotlib.ticker import FuncFormatter

    ends = [abs(end) for row in forest.rows for end in (row.low, row.middle, row.high) if end is not None]
    most = 1.1 * max([1.5 * forest.threshold, *ends])
    axes.set_xlim(-most or -1.0, most or 1.0)
    axes.set_ylim(len(forest.rows) - 0.5, -0.5)
    axes.set_yticks(range(len(forest.rows)), [look.t(row.name) for row in forest.rows], color=INK)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(titled(forest.x, look))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: ("+" if value > 0 else "") + figure_text(value))
    )
    axes.axvspan(-forest.threshold, forest.threshold, color=ROLES["asked"], alpha=0.12, lw=0)
    axes.axvline(0.0, color=INK, lw=1)
    axes.grid(visible=False, axis="y")
    for place, row in enumerate(forest.rows):
        _row(axes, place, row)
        told = "  ".join(part for part in (plain(row.text), look.t(_WORDS[row.word][0])) if part)
        axes.annotate(
            told, (1.01, place), xycoords=axes.get_yaxis_transform(), va="center", size=8, color=SOFT
        )


def _row(axes: Any, place: int, row: ForestRow) -> None:
    _, colour, shape = _WORDS[row.word]
    if row.low is not None and row.high is not None:
        axes.plot([row.low, row.high], [place, place], color=colour, lw=2.5, alpha=0.7, solid_capstyle="butt")
    if row.middle is not None:
        style = {"color": colour, "marker": shape, "ms": 7, "linestyle": "none", "markeredgecolor": GRID}
        axes.plot([row.middle], [place], **style)

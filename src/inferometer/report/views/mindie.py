"""MindIE's two tables."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.views.mindie import (
    COLUMNS,
    COMMON,
    NOTES,
    PERFORMANCE,
    mindie_figures,
    mindie_result,
)
from inferometer.report.views.grids import PRETTY, cell, grid
from inferometer.report.views.view import Result, View


def mindie_layout(results: Sequence[Result], simulated: bool) -> str:
    """Both tables of each load point."""
    return "\n\n".join(_tables(result, simulated) for result in results)


def _tables(result: Result, simulated: bool) -> str:
    mark = " (simulated)" if simulated else ""
    header = ["Metric", *COLUMNS]
    rows = [
        [name, *(cell(found[column]) for column in COLUMNS)] for name, found in result[PERFORMANCE].items()
    ]
    common = [[name, cell(value)] for name, value in result[COMMON].items()]
    return "\n".join(
        [
            f"The BenchMark test performance metric result is{mark}:",
            *grid(PRETTY, header, rows, ">" * len(header)),
            f"The BenchMark test common metric result is{mark}:",
            *grid(PRETTY, ["Common Metric", "Value"], common, ">>"),
        ]
    )


VIEW = View("MindIE benchmark", mindie_result, mindie_layout, mindie_figures, NOTES)

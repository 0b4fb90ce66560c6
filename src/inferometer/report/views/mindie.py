"""MindIE's two tables, and its two CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

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


def mindie_csv(result: Result) -> dict[str, str]:
    """Its two CSV files by the head of their names; as in MindIE, the rows of the first have no labels."""
    performance, common = result[PERFORMANCE], result[COMMON]
    rows = [[found[column] for found in performance.values()] for column in COLUMNS]
    return {
        PERFORMANCE: _csv(list(performance), rows),
        COMMON: _csv(list(common), [list(common.values())]),
    }


def _csv(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if value is None else value for value in row] for row in rows)
    return text.getvalue()


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

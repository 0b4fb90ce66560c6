"""From runs to tables: which columns, which rows, and what every table says whatever its style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inferometer.errors import UsageError
from inferometer.metrics.summary import RunSummary
from inferometer.metrics.verdict import worst
from inferometer.record.tables import RunRecord
from inferometer.registry import Registry
from inferometer.report.imported import check_requests
from inferometer.report.tables.ascend import AISBENCH, MINDIE
from inferometer.report.tables.cells import failed
from inferometer.report.tables.guide import GUIDE, GUIDE_ZH
from inferometer.report.tables.measured import Measured, loads_of
from inferometer.report.tables.model import Cell, Column, Style, Table, TableReport
from inferometer.report.tables.others import EVALSCOPE, LMDEPLOY, SPEED, VLLM
from inferometer.report.tables.ours import OURS
from inferometer.report.text import count, percent

STYLES: Mapping[str, Style] = {
    style.name: style for style in (OURS, VLLM, EVALSCOPE, LMDEPLOY, AISBENCH, MINDIE, GUIDE, GUIDE_ZH, SPEED)
}
_KNOWN = Registry("table", dict.fromkeys(STYLES, "inferometer.report.tables.build:STYLES"))


def style_named(name: str) -> Style:
    """The style of ``--table NAME``.

    Raises:
        UsageError: no such style; the message suggests the nearest one.
    """
    found: Style = _KNOWN.get(name)[name]
    return found


def build(
    runs: Sequence[tuple[RunRecord, RunSummary]], style: Style, nodes: int | None = None
) -> TableReport:
    """The tables of these runs, one row a load; several runs stand in one table.

    Args:
        runs: in the order in which they are to be read.
        style: whose columns.
        nodes: how many nodes serve, where a run does not say it itself.

    Raises:
        UsageError: nothing was measured, so that there is no row; or an imported run lists no requests.
    """
    if style is not OURS:
        for record, _ in runs:
            check_requests(record, f"--table {style.name}")
    rows = [row for run in runs for row in _sorted(loads_of(*run, nodes), style)]
    if not rows:
        names = ", ".join(summary.run_id for _, summary in runs)
        raise UsageError(
            f"no load point was measured in {names}", "see `inferometer runs show RUN` for why it ended"
        )
    summaries = [summary for _, summary in runs]
    return TableReport(
        style=style,
        title=_title(summaries),
        verdict=worst(summary.verdict.word for summary in summaries),
        headlines=[_headline(summary, several=len(runs) > 1) for summary in summaries],
        tables=[_table(name, style, found, summaries) for name, found in _by_sheet(rows, style) if found],
        created_utc=max(summary.created_utc for summary in summaries),
    )


def _sorted(rows: list[Measured], style: Style) -> list[Measured]:
    return rows if style.order is None else sorted(rows, key=style.order)


def _by_sheet(rows: Sequence[Measured], style: Style) -> list[tuple[str, list[Measured]]]:
    """Each row in the first sheet that takes it."""
    sheets: list[tuple[str, list[Measured]]] = [(name, []) for name, _ in style.sheets]
    for row in rows:
        place = next(i for i, (_, fits) in enumerate(style.sheets) if fits(row))
        sheets[place][1].append(row)
    return sheets


def _table(name: str, style: Style, rows: Sequence[Measured], runs: Sequence[RunSummary]) -> Table:
    columns = [column for column in style.columns(name, rows) if not column.optional or _known(column, rows)]
    if len(runs) > 1:
        names = _names(runs)
        columns.insert(0, Column("run", lambda row: Cell(names[row.run.run_id]), formula="its label or name"))
    if not any(column.failures for column in columns):
        none = not any(failed(row).value for row in rows)
        columns.append(Column("failed", failed, "", 0, "failed requests", files_only=none, failures=True))
    words = {row.verdict for row in rows}
    columns += [
        Column("simulated", lambda row: Cell("yes" if row.run.simulated else "no"), files_only=True),
        Column(
            "verdict",
            lambda row: Cell(row.verdict),
            formula="the worst of the row's load points",
            files_only=len(words) == 1 and "INVALID" not in words,  # the headline says it for all
        ),
    ]
    cells = [[column.value(row) for column in columns] for row in rows]
    return Table(name, columns, cells, [row.verdict for row in rows])


def _known(column: Column, rows: Sequence[Measured]) -> bool:
    """Whether a row has a value there."""
    return any(column.value(row).value not in (None, "") for row in rows)


def _names(runs: Sequence[RunSummary]) -> dict[str, str]:
    """Labels where they tell all runs apart, else the names of the folders."""
    labels = {run.label for run in runs}
    told = len(labels) == len(runs) and "" not in labels
    return {run.run_id: run.label if told else run.run_id for run in runs}


def _title(runs: Sequence[RunSummary]) -> str:
    models = ", ".join(dict.fromkeys(run.model for run in runs))
    made_up = [run.simulated for run in runs]
    return (
        f"{models} (simulated)"
        if all(made_up)
        else f"{models} (partly simulated)"
        if any(made_up)
        else models
    )


def _headline(run: RunSummary, several: bool) -> str:
    """The verdict and what decided it, in one line."""
    verdicts = [run.verdict, *(point.verdict for point in run.points)]
    level = "hard" if run.verdict.word == "INVALID" else "warn"
    broken = dict.fromkeys(c.name for v in verdicts for c in v.failed if c.level == level)
    bad = sum(point.counts.failed for point in run.points)
    ended = bad + sum(point.counts.ok for point in run.points)
    share = f"failed {count(bad)} of {count(ended)} ({percent(bad / ended)})" if ended else "no request ended"
    why = [share if bad or not ended else f"no request failed of {count(ended)}", *broken]
    caution = "do not compare or publish these numbers; " if run.verdict.word == "INVALID" else ""
    about = [*([f"run {run.run_id}"] if several else []), *(["simulated"] if run.simulated else [])]
    text = f"{run.verdict.word}: {caution}{', '.join(why)}"
    return f"{text} ({', '.join(about)})" if about else text

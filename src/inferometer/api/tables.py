"""Stored runs as a table in the columns of a community."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inferometer.metrics.summary import RunSummary, summarize
from inferometer.record.store import read_run
from inferometer.report.tables import TableReport, build, style_named


def tables(
    paths: Sequence[Path],
    style: str = "ours",
    *,
    nodes: int | None = None,
    summaries: Sequence[RunSummary] | None = None,
) -> TableReport:
    """One row a load, repeats together; the rows of several runs in one table. Nothing is written.

    Args:
        paths: run folders, closed.
        style: a name of ``inferometer.report.tables.STYLES``.
        nodes: how many nodes serve, where a run does not say it itself.
        summaries: of these runs, where they were computed already.

    Raises:
        UsageError: an unknown style, or nothing was measured.
        RunFolderError: not a run folder, or a run that was not closed.
    """
    chosen = style_named(style)
    records = [read_run(path) for path in paths]
    known = summaries or [summarize(record) for record in records]
    return build(list(zip(records, known, strict=True)), chosen, nodes)

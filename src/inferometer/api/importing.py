"""Other tools' result files become run folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from inferometer.api.stored import report
from inferometer.clock import utc_now
from inferometer.exchange.importing import Source, read_all, sources_of, write_run
from inferometer.metrics.summary import RunSummary


@dataclass(frozen=True, slots=True)
class ImportResult:
    """A run that was imported.

    Attributes:
        path: its folder.
        tool, format: whose files, and of which kind.
        requests: those that the files list one by one.
        summary: its numbers.
    """

    path: Path
    tool: str
    format: str
    requests: int
    summary: RunSummary


def import_files(
    paths: Sequence[Path],
    out: Path,
    *,
    label: str = "",
    form: str | None = None,
    together: bool = False,
    now_utc: datetime | None = None,
) -> list[ImportResult]:
    """Import result files; each path, a file or a folder, becomes one run.

    Args:
        paths: what the other tools wrote.
        out: directory of run folders.
        label: of the runs.
        form: name of the format; None = as the content says.
        together: all paths are one run, a load point each, or parts of one result.
        now_utc: when the runs were measured, where their files do not say; None = now.

    Raises:
        UsageError: nobody's results, or broken ones. Nothing of any path is written then.
        RunFolderError: a run folder cannot be written.
    """
    groups: list[list[Source]] = [sources_of(path) for path in paths]
    if together:
        groups = [[source for group in groups for source in group]]
    read = [read_all(group, form) for group in groups]
    results = []
    for found, files in read:
        folder = write_run(found, files, out, label, now_utc or utc_now())
        requests = sum(len(point.requests) for point in found.points)
        results.append(ImportResult(folder, found.tool, found.format, requests, report(folder)))
    return results

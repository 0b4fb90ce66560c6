"""A stored run, sent to a tracker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from inferometer.exchange.trackers import send
from inferometer.metrics.summary import RunSummary, summarize
from inferometer.record.store import read_run

SENT = ("run.json", "summary.json", "report.html")
"""Files of a run folder that a tracker keeps with the run, as far as they are there."""


def track(
    path: Path, name: str, options: Mapping[str, str] | None = None, *, summary: RunSummary | None = None
) -> str:
    """Send a run to a tracker, and say in one line where it went.

    Args:
        path: the run folder.
        name: of the tracker, see ``inferometer.exchange.trackers.TRACKERS``.
        options: of the tracker.
        summary: its numbers, when they were computed already.

    Raises:
        RunFolderError: not a run folder, or a run that was not closed.
        UsageError: no such tracker or option, or its extra is not installed.
        TrackerError: it could not be sent.
    """
    run = read_run(path)
    files = [path / file for file in SENT if (path / file).is_file()]
    return send(name, run, summary or summarize(run), files, options)

"""What the local pages need done: reports and comparisons as pages, and labels changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from inferometer.api.comparing import Given, compared
from inferometer.api.found import answer_of
from inferometer.api.keeping import relabel
from inferometer.metrics.comparing.compare import Settings
from inferometer.metrics.summary import RunSummary, summarize
from inferometer.record.store import read_run
from inferometer.record.tables import RunRecord
from inferometer.report.comparison_page import comparison_page
from inferometer.report.html import report_page
from inferometer.report.page.model import Page
from inferometer.report.search import told_of
from inferometer.ui.deeds import Compared


def _read(folder: Path) -> tuple[RunRecord, RunSummary]:
    record = read_run(folder)
    return record, summarize(record)


class PageDeeds:
    """``inferometer.ui.deeds.Deeds`` over a directory of run folders.

    Args:
        out: the directory, in which noise that was learned is kept too.
    """

    def __init__(self, out: Path) -> None:
        self._out = out

    def report(self, folder: Path) -> Page:
        """The report of a closed run, computed anew; nothing is written.

        Raises:
            RunFolderError: the run was not closed, or cannot be read.
        """
        record, summary = _read(folder)
        answer = answer_of(record, summary)
        told = None if answer is None else told_of(answer.found, answer.variable)
        return report_page([(record, summary)], answers=[told])

    def comparison(self, folders: Sequence[Path], allow_different: bool) -> Compared:
        """Two runs or more, the first of which is the baseline; the same as ``inferometer compare`` without flags.

        Raises:
            RunFolderError: one of them was not closed, or cannot be read.
            UsageError: they cannot be compared at all.
        """
        settings = Settings(allow_different=allow_different)
        comparison = compared([Given("", (folder,)) for folder in folders], settings, out=self._out)
        if not comparison.comparable:
            return Compared(comparison_page(comparison, ()), comparable=False)
        summaries = [
            (side.letter, _read(folder)[1]) for side, folder in zip(comparison.sides, folders, strict=True)
        ]
        return Compared(comparison_page(comparison, summaries), comparable=True)

    def relabel(self, folder: Path, label: str, labels: Mapping[str, str]) -> None:
        """Give a closed run another label and other ``key=value`` labels; its numbers stay as they are.

        Raises:
            RunFolderError: the run goes on, or the folder cannot be written.
        """
        relabel(folder, label, labels)

"""Live progress of a calibration on stderr: the trial under way, redrawn in a terminal, and a line for each done."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

from inferometer.checks.calibration import CalibrationObserver
from inferometer.checks.envelope import Dimension
from inferometer.checks.text import level_text, trial_text
from inferometer.checks.trial import Trial
from inferometer.loadgen.progress import Progress
from inferometer.record.types import PointRecord

if TYPE_CHECKING:
    from rich.live import Live


def calibration_watcher(ui: str, terminal: bool) -> AbstractContextManager[CalibrationObserver]:
    """The observer for ``--ui``, as ``inferometer.cli.live.watcher`` for a run."""
    return CalibrationWatcher(quiet=ui == "none", drawn=ui == "rich" and terminal)


class CalibrationWatcher:
    """Shows a calibration.

    Args:
        quiet: show nothing.
        drawn: redraw the trial under way in place; else only what is done is printed.
    """

    def __init__(self, quiet: bool, drawn: bool) -> None:
        self._quiet, self._drawn = quiet, drawn
        self._live: Live | None = None
        self._trying = ""

    def __enter__(self) -> CalibrationWatcher:
        if self._drawn and not self._quiet:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the line back to the terminal."""
        if self._live is not None:
            self._live.stop()

    def on_trial(self, dimension: Dimension, level: float) -> None:
        """Say what is being tried."""
        self._trying = f"trying {level_text(dimension, level)}"
        self._draw(self._trying)

    def on_outcome(self, trial: Trial) -> None:
        """Leave a line about it."""
        self._say(trial_text(trial))

    def on_notice(self, text: str) -> None:
        """Leave it above the line."""
        self._say(f"warning: {text}")

    def on_progress(self, progress: Progress) -> None:
        """Say how far the trial is."""
        self._draw(f"{self._trying}  {progress.done}/{progress.planned} requests")

    def on_point_end(self, point: PointRecord) -> None:
        """The numbers are worked out now."""
        self._draw(f"{self._trying}  comparing {point.dispatched} answers with the server's log")

    def _draw(self, text: str) -> None:
        if self._live is not None:
            self._live.update(text, refresh=True)

    def _say(self, text: str) -> None:
        if self._quiet:
            return
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)

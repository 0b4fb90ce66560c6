"""What the pages need done by the rooms above them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from inferometer.report.page.model import Page


class Compared(NamedTuple):
    """A comparison as a page.

    Attributes:
        page: the comparison, or what differs where there is none.
        comparable: whether there is one.
    """

    page: Page
    comparable: bool


class Deeds(Protocol):
    """Reads and compares stored runs, and changes what people wrote beside them; see ``inferometer.api.pages``."""

    def report(self, folder: Path) -> Page:
        """The report of a closed run, computed anew; nothing is written.

        Raises:
            InferometerError: the run was not closed, or cannot be read.
        """
        ...

    def comparison(self, folders: Sequence[Path], allow_different: bool) -> Compared:
        """Two runs or more, the first of which is the baseline.

        Args:
            folders: of closed runs.
            allow_different: go on where they were not measured alike; else the page says what differs.

        Raises:
            InferometerError: one of them was not closed, or cannot be read.
        """
        ...

    def relabel(self, folder: Path, label: str, labels: Mapping[str, str]) -> None:
        """Give a closed run another label and other ``key=value`` labels.

        Raises:
            InferometerError: the run goes on, or the folder cannot be written.
        """
        ...

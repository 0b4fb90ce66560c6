"""A line of the table of checks."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """What was checked, what was wanted, and what was measured.

    Attributes:
        check: what is compared with what.
        goal: as it was set.
        measured: figures.
        met: whether the goal holds; None = not measured here, and ``note`` says why.
        note: the reason of a miss, or what the figures rest on.
    """

    check: str
    goal: str
    measured: str
    met: bool | None
    note: str = ""

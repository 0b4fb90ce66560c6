"""What is said of the rows of a data set: how they were read, and which were not sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inferometer.metrics.summary import PointSummary
from inferometer.report.text import count


def row_lines(points: Sequence[PointSummary]) -> list[str]:
    """How the file was read, and a sentence on rows that were skipped or dropped; nothing when all went by itself.

    Counts grow while a run draws rows, so those of the load point that had looked at most rows are told.
    """
    known = [point.rows for point in points if point.rows is not None]
    most = max(known, key=lambda rows: sum(rows.dropped.values()) + sum(rows.skipped.values()), default=None)
    if most is None:
        return []
    notes = [f"data set: {note}" for note in most.notes]
    if not (most.dropped or most.skipped):
        return notes
    parts = []
    if most.skipped:
        parts.append(f"{_counted(most.skipped)} could not be used and were skipped")
    if most.dropped:
        parts.append(f"{_counted(most.dropped)} were dropped by filters")
    return [*notes, f"of {count(most.total)} rows of the data set, {'; '.join(parts)}"]


def _counted(reasons: Mapping[str, int]) -> str:
    each = ", ".join(f"{reason} {count(number)}" for reason, number in sorted(reasons.items()))
    return f"{count(sum(reasons.values()))} ({each})"

"""The sittings of a run that was resumed: when each began, what it measured, and how it ended."""

from __future__ import annotations

from collections import Counter

from inferometer.metrics.summary import RunSummary
from inferometer.report.text import table

_HEADER = ("sitting", "began (UTC)", "load points", "ended", "why")


def sitting_lines(summary: RunSummary) -> list[str]:
    """A table, one line a sitting; empty for a run of a single one."""
    if len(summary.sittings) < 2:
        return []
    measured = Counter(point.sitting for point in summary.points)
    rows = []
    for place, sitting in enumerate(summary.sittings):
        last = place == len(summary.sittings) - 1
        notes = summary.notes if last else sitting.notes
        why = notes[-1] if notes and sitting.state != "complete" else ""
        began = sitting.began_utc[:19].replace("T", " ")
        rows.append((str(place + 1), began, str(measured[place]), sitting.state, why))
    return [f"Measured in {len(rows)} sittings", *(f"  {line}" for line in table(_HEADER, rows, "><><<"))]

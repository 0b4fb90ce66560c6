"""What another tool stated of its run, beside our figures; and what cannot be shown of such a run."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.errors import UsageError
from inferometer.metrics.imported import has_send_times
from inferometer.metrics.summary import RunSummary
from inferometer.record.imported import ImportedStat
from inferometer.record.tables import RunRecord
from inferometer.report.text import ABSENT, number, table

_MOST_PERCENTILES = 4
_SHOWN = ("50", "90", "95", "99")


def imported_lines(summary: RunSummary, titles: Sequence[str]) -> list[str]:
    """The statistics that the other tool stated, as a table; nothing for a run of ours, and where it stated none."""
    if summary.imported is None:
        return []
    told = [summary.imported.of_point(point.index) for point in summary.points]
    stats = [
        (title, key, stat)
        for title, one in zip(titles, told, strict=True)
        if one
        for key, stat in one.stats.items()
    ]
    if not stats:
        return []
    known = {p for _, _, stat in stats for p in stat.percentiles}
    shown = [p for p in _SHOWN if p in known] or sorted(known, key=float)[:_MOST_PERCENTILES]
    header = ["load", "metric", "mean", "min", *(f"p{p}" for p in shown), "max", "std", "n"]
    rows = [[title, key, *_cells(stat, shown)] for title, key, stat in stats]
    version = f" {summary.imported.version}" if summary.imported.version else ""
    lines = table(header, rows, "<<" + ">" * (len(header) - 2))
    return [
        f"As {summary.imported.tool}{version} states it, by its own definitions, percentiles of any n",
        *(f"  {line}" for line in lines),
    ]


def _cells(stat: ImportedStat, shown: Sequence[str]) -> list[str]:
    figures = [stat.mean, stat.min, *(stat.percentiles.get(p) for p in shown), stat.max, stat.std]
    return [*(number(figure) for figure in figures), ABSENT if stat.count is None else f"{stat.count:,}"]


def check_requests(record: RunRecord, asked: str) -> None:
    """Refuse what is computed from requests, for an imported run whose files do not list them with their times.

    Args:
        record: the run.
        asked: the flag that asks for it.

    Raises:
        UsageError: they are not there.
    """
    if record.imported is None or all(has_send_times(table) for table in record.measured):
        return
    raise UsageError(
        f"{asked} is computed from requests, and the files of {record.imported.tool} do not list them with send times",
        f"what it stated: inferometer report {record.path.name}, or --table ours",
    )

"""What stands between client and model, as text: limits that failures point to, and servers that take turns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from inferometer.metrics.failures import Reading
from inferometer.metrics.percentiles import Stat
from inferometer.metrics.summary import PointSummary, RunSummary
from inferometer.report.text import count, number, table


def limit_lines(summary: RunSummary, width: int) -> list[str]:
    """What the failures mean, each kind once, told by the load point that had most of it."""
    kinds: dict[tuple[str, int | None], list[Reading]] = {}
    for point in summary.points:
        for reading in point.failures:
            kinds.setdefault((reading.status, reading.http_status), []).append(reading)
    lines = []
    for readings in sorted(kinds.values(), key=lambda found: -sum(reading.count for reading in found)):
        most = max(readings, key=lambda reading: (reading.accepted_per_s is not None, reading.count))
        text = (
            f"{count(sum(reading.count for reading in readings))} x {most.meaning}. Next: {most.next_step}."
        )
        lines += textwrap.wrap(
            text, width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
        )
    return lines


def server_lines(points: Sequence[PointSummary], titles: Sequence[str], shown: tuple[str, str]) -> list[str]:
    """A row for each server and load point; nothing when there is one server.

    Args:
        points: the load points.
        titles: a title for each.
        shown: names of the percentiles of each latency, ``("p50", "p99")``.
    """
    latencies = ("ttft_ms", "tpot_ms", "e2el_ms")
    keys = [key for key in latencies if any(key in s.stats for point in points for s in point.servers)][:2]
    both = "/".join(dict.fromkeys(shown))
    header = ["server", "load", "requests", "failed", *(f"{_name(key)} {both} ms" for key in keys)]
    rows = [
        [
            server.url,
            title,
            count(server.requests),
            count(server.failed),
            *(_pair(server.stats.get(key), shown) for key in keys),
        ]
        for title, point in zip(titles, points, strict=True)
        for server in point.servers
    ]
    return [f"  {line}" for line in table(header, rows, "<<" + ">" * (len(header) - 2))] if rows else []


def _name(key: str) -> str:
    return key.removesuffix("_ms").upper()


def _pair(stat: Stat | None, shown: tuple[str, str]) -> str:
    return " / ".join(
        number(None if stat is None else stat.percentiles.get(name)) for name in dict.fromkeys(shown)
    )

"""Lines about what a data set asked for by itself: arrivals on time, and prompts that share their beginning."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.summary import PointSummary
from inferometer.report.text import number, percent


def replay_lines(points: Sequence[PointSummary], titles: Sequence[str]) -> list[str]:
    """Arrival errors of replayed traces, and shares of cached prompt tokens where some are or should be."""
    several = len(points) > 1
    named = [(f", at {title}" if several else "", point) for title, point in zip(titles, points, strict=True)]
    arrivals = [line + where for where, point in named if (line := _arrivals(point))]
    return [*arrivals, *(line + where for where, point in named if (line := _cached(point)))]


def _arrivals(point: PointSummary) -> str:
    lag = point.stats.get("send_lag_ms")
    if lag is None or not point.load.get("trace"):
        return ""
    known = {**{name: value for name, value in lag.percentiles.items() if value is not None}, "max": lag.max}
    shown = " / ".join(number(value) for value in known.values())
    return f"arrivals, sent - planned, {'/'.join(known)}: {shown} ms"


def _cached(point: PointSummary) -> str:
    got, expected = point.values.get("cached_share"), point.values.get("expected_cached_share")
    if expected is None and not got:
        return ""
    reported = "the server does not report" if got is None else f"{percent(got)}, as the server reports"
    # Later turns repeat the earlier ones, which no data set can tell of beforehand.
    what = " for first turns" if "turn" in point.groups else ""
    told = "" if expected is None else f"; {percent(expected)} expected of an endless cache{what}"
    return f"prompt tokens from the prefix cache: {reported}{told}"

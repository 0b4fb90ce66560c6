"""Lines about loads that change: spike and recovery, requests given up, load points stopped early."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.groups import Group
from inferometer.metrics.spike import Spike
from inferometer.metrics.summary import PointSummary
from inferometer.report.text import ABSENT, count, number, percent, table

_LATENCIES = {"ttft_ms": "TTFT", "tpot_ms": "TPOT", "e2el_ms": "E2EL"}


def shape_lines(points: Sequence[PointSummary], titles: Sequence[str]) -> list[str]:
    """What was given up as asked, cut off, or left out because a load point was stopped."""
    several = len(points) > 1
    named = [(f"{title}: " if several else "", point) for title, point in zip(titles, points, strict=True)]
    return [where + line for where, point in named for line in _told(point)]


def _told(point: PointSummary) -> list[str]:
    counts, told = point.counts, []
    if counts.given_up:
        told.append(
            f"given up {count(counts.given_up)} of {count(counts.records)} as asked, not in the latencies"
        )
    if counts.cut_off and point.load.get("drain") == "cut":
        told.append(
            f"cut off {count(counts.cut_off)} of {count(counts.records)} at the end, as asked (--drain cut)"
        )
    if point.stop_reason == "errors":
        told.append(f"stopped: the failed share, {percent(counts.failed_share)}, went above --stop-on-errors")
    if point.stop_reason == "saturated":
        told.append("stopped: the server fell behind the arrivals (--stop-on-saturation)")
    return told


def spike_lines(points: Sequence[PointSummary], titles: Sequence[str], shown: tuple[str, str]) -> list[str]:
    """A table of the phases of each spike, with the time to recover under it; empty without a spike.

    Args:
        points: load points.
        titles: a title for each of them.
        shown: two percentiles, by name.
    """
    lines: list[str] = []
    for title, point in zip(titles, points, strict=True):
        if point.spike is not None:
            lines += [title] if len(points) > 1 else []
            lines += [f"  {line}" for line in _phases(point.spike, shown)]
            lines.append(f"  {_recovery(point.spike)}")
    return lines


def _phases(spike: Spike, shown: tuple[str, str]) -> list[str]:
    phases = (spike.before, spike.during, spike.after)
    keys = [key for key in _LATENCIES if any(key in phase.stats for phase in phases)]
    both = "/".join(dict.fromkeys(shown))
    header = ["phase", "requests", *(f"{_LATENCIES[key]} {both} ms" for key in keys), "failed"]
    rows = [
        [
            phase.name,
            count(phase.requests),
            *(_pair(phase, key, shown) for key in keys),
            count(phase.failed),
        ]
        for phase in phases
    ]
    return table(header, rows, "<" + ">" * (len(header) - 1))


def _pair(phase: Group, key: str, shown: tuple[str, str]) -> str:
    found = phase.stats.get(key)
    names = dict.fromkeys(shown)
    return " / ".join(ABSENT if found is None else number(found.percentiles.get(name)) for name in names)


def _recovery(spike: Spike) -> str:
    if spike.judged is None:
        return f"time to recover: not known ({spike.reason})"
    percentile, _, metric = spike.judged.partition("_")
    name = f"{percentile} {_LATENCIES[metric]}"
    usual = f"{number(spike.before_ms)} ms before"
    if spike.recovery_s is None:
        return f"{name}, {usual}: {spike.reason}"
    if spike.recovery_s == 0.0:
        return f"{name}, {usual}: back within 10 % as soon as the spike was over"
    return f"{name}, {usual}: back within 10 % {number(spike.recovery_s, 1)} s after the spike"

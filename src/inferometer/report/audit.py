"""Prompt lengths as three sides count them, where they differ: one line a pair of counts."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.audit import Bin, Drift
from inferometer.metrics.summary import PointSummary
from inferometer.report.text import count

_LEAST_SHARE = 0.01  # of the prompt; the template of a chat is a few tokens
_LEAST_TOKENS = 32


def drift_notes(points: Sequence[PointSummary]) -> list[str]:
    """The histogram of the point that drifts most, for each pair of counts that differ noticeably."""
    most: dict[tuple[str, str], tuple[float, Drift]] = {}
    for point in points:
        for drift in point.input_drift:
            key, size = (drift.side, drift.against), abs(drift.mean)
            if _noticeable(drift, point) and size >= most.get(key, (0.0, drift))[0]:
                most[key] = size, drift
    names = {"asked": "asked for", "client": "counted by the client"}
    return [
        f"prompt tokens counted by the {side}, less those {names[against]}: {_shown(drift)}"
        for (side, against), (_, drift) in most.items()
    ]


def _noticeable(drift: Drift, point: PointSummary) -> bool:
    """More than a chat template would add, or any drift of our own count."""
    if drift.side == "client":
        return True
    total = point.tokens.input_client or point.tokens.input_target or 0.0
    mean = total / point.counts.ok if point.counts.ok else 0.0
    worst = max(abs(edge) for part in drift.bins for edge in (part.low, part.high))
    return worst > _LEAST_TOKENS or abs(drift.mean) > _LEAST_SHARE * mean


def _shown(drift: Drift) -> str:
    parts = ", ".join(f"{_range(part)} in {count(part.requests)}" for part in drift.bins)
    return f"mean {drift.mean:+.1f}; {parts} requests"


def _range(part: Bin) -> str:
    return f"{part.low:+d}" if part.low == part.high else f"{part.low:+d} to {part.high:+d}"

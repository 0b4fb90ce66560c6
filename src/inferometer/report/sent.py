"""Lines about what went out with the prompts: bytes, and tokens that the server makes of pictures."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.summary import PointSummary
from inferometer.report.text import number, percent

_MB = 1e6


def picture_lines(points: Sequence[PointSummary]) -> list[str]:
    """What pictures took of the requests, and how many tokens each of them is; nothing for requests of text alone."""
    sent = [point.pictures for point in points if point.pictures is not None]
    if not sent:
        return []
    total = sum(each.sent_bytes for each in sent)
    share = percent(sum(each.picture_bytes for each in sent) / total) if total else percent(0)
    lines = [f"bytes sent: {_sizes(points)}{_mb(total)} in all, {share} of it pictures"]
    counted = [each for each in sent if each.tokens_each is not None]
    if counted:
        tokens = sum((each.tokens_each or 0.0) * each.number for each in counted)
        mean = number(tokens / sum(each.number for each in counted), 1)
        lines.append(
            f"prompt tokens beyond the text, as the server counts them: {mean} a picture, chat template included"
        )
    return lines


def _sizes(points: Sequence[PointSummary]) -> str:
    """Median and largest request of those load points that have pictures."""
    stats = [
        p.stats["request_bytes"] for p in points if p.pictures is not None and "request_bytes" in p.stats
    ]
    if not stats:
        return ""
    medians = [stat.percentiles.get("p50") for stat in stats]
    known = sorted(_mb(median) for median in medians if median is not None)
    middle = " to ".join(dict.fromkeys((known[0], known[-1]))) + " a request (p50), " if known else ""
    return f"{middle}at most {_mb(max(stat.max for stat in stats))}, "


def _mb(size: float) -> str:
    return f"{number(size / _MB)} MB"

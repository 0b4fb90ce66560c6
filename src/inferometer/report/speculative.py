"""Speculative decoding: what was drafted, and how much of it was accepted, one row a load point."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.percentiles import Stat
from inferometer.metrics.speculative import Speculative
from inferometer.metrics.summary import PointSummary
from inferometer.report.text import ABSENT, count, number, percent, table

_HEADER = ("load", "accepted", "length", "drafts", "draft tok", "accepted tok", "tok/step", "from")


def speculative_lines(points: Sequence[PointSummary], titles: Sequence[str]) -> list[str]:
    """A row for each load point in which speculation was seen, places of the draft below; empty when none was.

    Args:
        points: the load points.
        titles: what they are called, in the same order.
    """
    shown = [
        (title, point.speculative)
        for title, point in zip(titles, points, strict=True)
        if point.speculative is not None
    ]
    if not shown:
        return []
    several = len(points) > 1
    lines = table(_HEADER, [_row(title, found) for title, found in shown], "<" + ">" * 6 + "<")
    lines += [line for title, found in shown for line in _places(title if several else "", found)]
    told = dict.fromkeys(note for _, found in shown for note in found.notes)
    lines += [
        "accepted: of the draft tokens; length: tokens per checked draft, the model's own included; tok/step: mean of "
        "the requests, from the stream",
        *told,
    ]
    return lines


def _row(title: str, found: Speculative) -> list[str]:
    return [
        title,
        percent(found.acceptance_rate),
        number(found.acceptance_length),
        count(found.drafts),
        count(found.draft_tokens),
        count(found.accepted_tokens),
        _mean(found.tokens_per_step),
        found.source,
    ]


def _mean(stat: Stat | None) -> str:
    return ABSENT if stat is None else number(stat.mean)


def _places(title: str, found: Speculative) -> list[str]:
    if not found.per_position:
        return []
    shares = ", ".join(f"{place}: {percent(share)}" for place, share in enumerate(found.per_position, 1))
    return [f"accepted by place in the draft{f', {title}' if title else ''}: {shares}"]

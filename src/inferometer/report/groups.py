"""Tables of the groups of a load point: turns of sessions, models of a mix."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.groups import Group
from inferometer.metrics.summary import PointSummary
from inferometer.report.text import ABSENT, count, number, percent, table

HEADINGS = {"turn": "Turns of sessions", "model": "Models"}
# With several load points each turn on its own would fill the screen.
_IN_SHORT = ("first turn", "later turns")


def group_tables(
    points: Sequence[PointSummary], titles: Sequence[str], shown: tuple[str, str]
) -> list[tuple[str, list[str]]]:
    """A heading and the lines of a table for each kind of group that the load points have.

    Args:
        points: the load points.
        titles: what they are called, in the same order.
        shown: names of the two percentiles of the table; once where they are the same.
    """
    kinds = dict.fromkeys(kind for point in points for kind in point.groups)
    return [(HEADINGS.get(kind, kind), _table(kind, points, titles, shown)) for kind in kinds]


def _table(
    kind: str, points: Sequence[PointSummary], titles: Sequence[str], shown: tuple[str, str]
) -> list[str]:
    several = len(points) > 1
    both = "/".join(dict.fromkeys(shown))
    latencies = ("TTFT", "TPOT", "E2EL")
    header = [*(["load"] if several else []), kind, "requests", *(f"{name} {both} ms" for name in latencies)]
    header += ["cached", "failed"]
    rows = []
    for point, title in zip(points, titles, strict=True):
        for group in _shown(kind, point.groups.get(kind, []), several):
            cells = [_pair(group, f"{name.lower()}_ms", shown) for name in latencies]
            own = [group.name, count(group.requests), *cells, percent(_cached(group)), count(group.failed)]
            rows.append([*([title] if several else []), *own])
    return table(header, rows, "<" * (1 + several) + ">" * (len(header) - 1 - several))


def _shown(kind: str, groups: Sequence[Group], several: bool) -> list[Group]:
    """Turn 1 is the first turn, so it is not told twice; neither is the only later turn."""
    if kind != "turn":
        return list(groups)
    each = [group for group in groups if group.name not in (*_IN_SHORT, "turn 1")]
    short = [group for group in groups if group.name in _IN_SHORT]
    return short if several or len(each) < 2 else [*short, *each]


def _cached(group: Group) -> float | None:
    """The share of prompt tokens that came from the server's cache."""
    if group.cached_tokens is None or not group.input_tokens:
        return None
    return group.cached_tokens / group.input_tokens


def _pair(group: Group, key: str, shown: tuple[str, str]) -> str:
    stat = group.stats.get(key)
    names = dict.fromkeys(shown)
    return " / ".join(ABSENT if stat is None else number(stat.percentiles.get(name)) for name in names)

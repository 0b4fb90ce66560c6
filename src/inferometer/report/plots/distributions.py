"""Which share of requests is how fast: distributions of the latencies, a line a load, and their tails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inferometer.metrics.latency import Floats
from inferometer.report.plots.loads import Limits, Load
from inferometer.report.plots.model import Axis, Chart, Draw, Series
from inferometer.report.plots.sizes import CDF_POINTS, CDF_TAIL, evenly, ranks
from inferometer.report.plots.terms import GAPS, METRIC_NAMES, REQUESTS, joined
from inferometer.report.plots.throughput import limit_marks
from inferometer.report.words import Words

METRICS = ("ttft", "tpot", "itl", "e2el")
_MOST_LINES = 12
_THINNED = Words(
    f"Exact values at up to {CDF_POINTS} places of each line, the last {CDF_TAIL} values among them.",
    f"每条线最多取 {CDF_POINTS} 个位置的精确值，包含最大的 {CDF_TAIL} 个值。",
)
_TAIL = Words(
    "Share of values at least as large; both axes on log scales, so that one in a thousand is as easy to see as one in "
    "ten.",
    "大于等于该值的比例；两轴均为对数，千分之一与十分之一同样清楚。",
)


@dataclass(frozen=True, slots=True)
class Sampled:
    """A distribution at some of its values.

    Attributes:
        x: rising, above 0.
        upto: percent of all values that are at most x.
        beyond: percent that are at least x.
        count: values that it is made of; None where another tool does not say.
        hidden: values of 0, which have no place on a log scale; they count in the shares.
        stated: whether it is made of percentiles that another tool reported.
    """

    x: Floats
    upto: Floats
    beyond: Floats
    count: int | None
    hidden: int = 0
    stated: bool = False


def sampled(values: Floats) -> Sampled | None:
    """The distribution of the values that are not NaN; None without any above 0."""
    ordered = np.sort(values[~np.isnan(values)])
    count = len(ordered)
    hidden = int(np.searchsorted(ordered, 0.0, side="right"))
    if hidden == count:
        return None
    x = np.unique(ordered[ranks(count)])
    x = x[x > 0]
    upto = np.searchsorted(ordered, x, side="right") / count * 100.0
    beyond = (count - np.searchsorted(ordered, x, side="left")) / count * 100.0
    return Sampled(x, upto, beyond, count, hidden)


def stated(load: Load, metric: str) -> Sampled | None:
    """The percentiles that a load is reported with, where its requests are not known."""
    key = f"{metric}_ms"
    stat, other = load.points[0].stats.get(key), None if load.stated is None else load.stated.stats.get(key)
    found: dict[float, float] = {}
    if stat is not None:
        found = {float(name[1:]): value for name, value in stat.percentiles.items() if value is not None}
    elif other is not None:
        found = {float(name): value for name, value in other.percentiles.items()}
    found = {p: value for p, value in sorted(found.items()) if value > 0}
    if len(found) < 2:
        return None
    upto = np.fromiter(found, dtype=np.float64)
    count = stat.count if stat is not None else None if other is None else other.count
    return Sampled(np.fromiter(found.values(), dtype=np.float64), upto, 100.0 - upto, count, stated=True)


def distributions(lines: Sequence[tuple[Words, dict[str, Sampled]]], limits: Limits) -> tuple[Chart, ...]:
    """For each latency two charts: the distribution, and its tail.

    Args:
        lines: name of a load, and what is known of its latencies by name ("ttft"), the lightest load first.
        limits: drawn where they are on that latency.
    """
    charts = []
    for metric in METRICS:
        own = [(name, found[metric]) for name, found in lines if metric in found]
        if own:
            shown = [own[place] for place in evenly(len(own), _MOST_LINES)]
            charts.append(_chart(metric, shown, limits, left_out=len(own) - len(shown), tail=False))
            charts.append(_chart(metric, shown, limits, left_out=len(own) - len(shown), tail=True))
    return tuple(charts)


def _chart(
    metric: str, lines: Sequence[tuple[Words, Sampled]], limits: Limits, *, left_out: int, tail: bool
) -> Chart:
    name = METRIC_NAMES[metric]
    gaps = metric == "itl"
    share = Words("share of gaps", "间隔占比") if gaps else Words("share of requests", "请求占比")
    question = (
        Words(f"How slow is the slowest {name.en}?", f"最慢的{name.zh} 有多慢？")
        if tail
        else Words(
            f"What share of {'gaps' if gaps else 'requests'} meets which {name.en}?",
            f"多少请求达到怎样的{name.zh}？",
        )
    )
    series = [
        Series(
            name=load,
            x=found.x if tail or found.stated else np.append(found.x[:1], found.x),
            y=found.beyond if tail else found.upto if found.stated else np.append(0.0, found.upto),
            draw=_draw(found, tail=tail),
            shade=place / (len(lines) - 1) if len(lines) > 1 else None,
            n=found.count,
        )
        for place, (load, found) in enumerate(lines)
    ]
    return Chart(
        key=f"{metric}_{'tail' if tail else 'cdf'}",
        title=question,
        x=Axis(name, "ms", "log"),
        y=Axis(
            share, "%", "log" if tail and all((found.beyond > 0).all() for _, found in lines) else "linear"
        ),
        series=tuple(series),
        marks=tuple(limit_marks(limits, metric, "x", zone=not tail)),
        n=sum(found.count or 0 for _, found in lines),
        of=GAPS if gaps and not any(found.stated for _, found in lines) else REQUESTS,
        note=joined(_TAIL if tail else None, *_notes([found for _, found in lines], left_out)),
    )


def _draw(found: Sampled, *, tail: bool) -> Draw:
    """Steps where every value is drawn; points where a line would have no length, or would claim too much."""
    if found.stated or (tail and len(found.x) == 1):
        return "line-points"
    return "line" if tail or (found.count or 0) > CDF_POINTS else "steps"


def _notes(found: Sequence[Sampled], left_out: int) -> list[Words]:
    notes = []
    if any(each.stated for each in found):
        notes.append(
            Words(
                "Straight between the percentiles that were reported: single requests are not known.",
                "报告的百分位之间以直线相连：没有逐请求的数据。",
            )
        )
    if any((each.count or 0) > CDF_POINTS and not each.stated for each in found):
        notes.append(_THINNED)
    hidden = sum(each.hidden for each in found)
    if hidden:
        notes.append(
            Words(
                f"{hidden:,} values of 0 have no place on a log scale; they count in the shares.",
                f"{hidden:,} 个 0 值无法画在对数轴上，但计入占比。",
            )
        )
    if left_out:
        notes.append(Words(f"{left_out} loads in between are not drawn.", f"其间 {left_out} 个负载未画出。"))
    return notes

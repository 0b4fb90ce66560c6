"""Latency and throughput against the load: how far it may rise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from inferometer.metrics.capacity import Capacity
from inferometer.metrics.latency import Floats
from inferometer.metrics.summary import RunSummary
from inferometer.report.plots.loads import (
    Figure,
    Kind,
    Limits,
    Load,
    families,
    knee_of,
    limits_of,
    loads_of,
    met_up_to,
    shared_percentile,
)
from inferometer.report.plots.model import Axis, Chart, Mark, Role, Series
from inferometer.report.plots.terms import (
    ASKED,
    CONCURRENCY,
    METRIC_NAMES,
    OUTPUT_RATE,
    REQUEST_RATE,
    REQUESTS,
    joined,
    percentile_of,
)
from inferometer.report.plots.throughput import (
    ANSWERS,
    ROLES,
    TOKENS,
    column,
    drawn_latencies,
    intervals_note,
    knee_mark,
    latency_scale,
    limit_marks,
)
from inferometer.report.search import capacity_words
from inferometer.report.words import Words, same

_LOG_SPAN = 8.0
_SHOWN = ("p50", "p90", "p99")
_GOODPUT = "goodput_per_s"


class _Wanted(NamedTuple):
    """A figure of some loads, to be drawn."""

    loads: Sequence[Load]
    key: str
    name: Words
    role: Role
    shade: float | None = None
    right: bool = False


def over_load(summary: RunSummary, capacity: Capacity | None = None) -> tuple[Chart, ...]:
    """TTFT, TPOT (E2EL without a stream) and throughput against concurrency, and against rate.

    Args:
        summary: of a run.
        capacity: what a search for the largest load within limits found; it knows more than single loads.

    Returns:
        Those that have data; two loads at least.
    """
    loads = loads_of(summary) if summary.rows else []
    limits = limits_of([summary])
    charts: list[Chart | None] = []
    kinds: tuple[Kind, ...] = ("concurrency", "rate")
    for kind in kinds:
        own = [load for load in loads if load.kind == kind]
        if len({load.value for load in own}) < 2:
            continue
        metrics = drawn_latencies(own)
        marks = tuple(_load_marks(families(own), capacity))
        charts += [_latency(own, metric, limits, marks) for metric in metrics]
        charts.append(_throughput(own, marks))
    return tuple(chart for chart in charts if chart is not None)


def load_axis(loads: Sequence[Load]) -> Axis:
    """The axis of a kind of load, on a log scale where loads differ by more than a factor of 8."""
    values = [load.value for load in loads]
    wide = min(values) > 0 and max(values) / min(values) >= _LOG_SPAN
    if loads[0].kind == "concurrency":
        return Axis(CONCURRENCY, "", "log" if wide else "linear")
    sessions = bool(loads[0].row.load.get("sessions"))
    name = Words("session rate", "会话到达率") if sessions else Words("request rate", "请求率")
    return Axis(name, "1/s" if sessions else "req/s", "log" if wide else "linear")


def _latency(loads: Sequence[Load], metric: str, limits: Limits, marks: tuple[Mark, ...]) -> Chart | None:
    groups = families(loads)
    shown = _percentiles(loads, metric, limits, several=len(groups) > 1)
    wanted = [
        _Wanted(group, f"{metric}_ms.{p}", percentile_of(name, p) if name.en else same(p), role, shade)
        for (name, group), shade in zip(groups, _shades(len(groups)), strict=True)
        for p, role in zip(shown, ROLES, strict=False)
    ]
    series = tuple(_drawn(wanted))
    if not series:
        return None
    name = METRIC_NAMES[metric]
    return Chart(
        key=f"{metric}_over_{loads[0].kind}",
        title=Words(f"How does {name.en} grow with the load?", f"{name.zh} 如何随负载增长？"),
        x=load_axis(loads),
        y=Axis(name, "ms", latency_scale(series)),
        series=series,
        marks=(*limit_marks(limits, metric, "y", zone=False), *marks),
        n=sum(load.requests for load in loads),
        of=REQUESTS,
        note=joined(intervals_note(figure for each in wanted for figure in _figures(each))),
    )


def _throughput(loads: Sequence[Load], marks: tuple[Mark, ...]) -> Chart | None:
    groups = families(loads)
    tokens = any(load.figure(TOKENS) for load in loads)
    wanted = []
    for (name, group), shade in zip(groups, _shades(len(groups)), strict=True):
        if tokens:
            wanted.append(_Wanted(group, TOKENS, name if name.en else OUTPUT_RATE, "main", shade))
        if len(groups) == 1:
            wanted.append(_Wanted(group, ANSWERS, REQUEST_RATE, "second", None, tokens))
            wanted.append(_Wanted(group, _GOODPUT, Words("goodput", "有效吞吐"), "good", None, tokens))
        elif not tokens:
            wanted.append(_Wanted(group, ANSWERS, name, "main", shade))
    series = tuple(_drawn(wanted))
    if not series:
        return None
    requests = Axis(REQUEST_RATE, "req/s")
    asked = _asked(loads, right=tokens)
    return Chart(
        key=f"throughput_over_{loads[0].kind}",
        title=Words("How much more does more load bring?", "增加负载还能带来多少吞吐？"),
        x=load_axis(loads),
        y=Axis(OUTPUT_RATE, "tok/s") if tokens else requests,
        right=requests if tokens and len(groups) == 1 else None,
        series=(*series, *(asked if len(groups) == 1 else ())),
        marks=marks,
        n=sum(load.requests for load in loads),
        of=REQUESTS,
        note=joined(intervals_note(figure for each in wanted for figure in _figures(each))),
    )


def _asked(loads: Sequence[Load], *, right: bool) -> tuple[Series, ...]:
    """The rate that was asked for, on the axis of the requests; sessions are another number than requests."""
    if loads[0].kind != "rate" or loads[0].row.load.get("sessions"):
        return ()
    rates = column(sorted({load.value for load in loads}))
    return (Series(name=ASKED, x=rates, y=rates, draw="line", role="asked", right=right),)


def _percentiles(loads: Sequence[Load], metric: str, limits: Limits, *, several: bool) -> tuple[str, ...]:
    """Those that at least one load can show; one alone where there are several lines of each."""
    if several:
        one = shared_percentile(loads, metric, limits.statistics(metric))
        return () if one is None else (one,)
    found = tuple(p for p in _SHOWN if any(load.figure(f"{metric}_ms.{p}") for load in loads))
    return found or ("mean",)


def _shades(groups: int) -> list[float | None]:
    return [None] if groups == 1 else [group / (groups - 1) for group in range(groups)]


def _figures(wanted: _Wanted) -> list[Figure]:
    found = (load.figure(wanted.key) for load in wanted.loads)
    return [figure for figure in found if figure is not None]


def _drawn(wanted: Sequence[_Wanted]) -> Iterator[Series]:
    """Each figure over the load, NaN where a load cannot show it; none that no load can show."""
    for each in wanted:
        found = [load.figure(each.key) for load in each.loads]
        if not any(found):
            continue
        missing = Figure(np.nan, np.nan, np.nan, "none")
        rows = [figure or missing for figure in found]
        yield Series(
            name=each.name,
            x=column(load.value for load in each.loads),
            y=column(row.value for row in rows),
            low=_known(column(row.low for row in rows)),
            high=_known(column(row.high for row in rows)),
            labels=tuple(load.title for load in each.loads),
            draw="line-points",
            role=each.role,
            shade=each.shade,
            right=each.right,
            n=sum(load.requests for load, figure in zip(each.loads, found, strict=True) if figure),
        )


def _known(values: Floats) -> Floats | None:
    return None if np.isnan(values).all() else values


def _load_marks(groups: Sequence[tuple[Words, list[Load]]], capacity: Capacity | None) -> Iterator[Mark]:
    """Knee, and up to which load the limits are met; of one family of loads."""
    if len(groups) > 1:
        return
    loads = groups[0][1]
    knee, met = knee_of(loads), met_up_to(loads)
    if knee is not None:
        yield knee_mark(knee, knee.value)
    end = None if met is None else met.value
    upto = None if met is None else met.title
    if capacity is not None:
        end, upto = capacity.load, capacity_words(capacity)
    if end is not None and upto is not None:
        name = Words(f"SLO met up to {upto.en}", f"满足 SLO，直到{upto.zh}")
        yield Mark(name=name, kind="good", axis="x", start=None, end=end, zone=True)

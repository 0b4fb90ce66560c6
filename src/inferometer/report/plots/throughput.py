"""Throughput against latency, one point a load: where the knee is, what limits allow, and which loads nothing beats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from inferometer.metrics.latency import Floats
from inferometer.metrics.summary import RunSummary
from inferometer.report.plots.loads import (
    INTERVALS,
    Figure,
    Interval,
    Limits,
    Load,
    families,
    knee_of,
    limits_of,
    loads_of,
    shared_percentile,
)
from inferometer.report.plots.model import Axis, Chart, Mark, Role, Scale, Series
from inferometer.report.plots.sizes import scale_of
from inferometer.report.plots.terms import (
    METRIC_NAMES,
    OUTPUT_RATE,
    REQUEST_RATE,
    REQUESTS,
    joined,
    percentile_of,
)
from inferometer.report.words import Words, same

ROLES: tuple[Role, ...] = ("main", "second", "third")
TOKENS, ANSWERS = "output_throughput_per_s", "request_throughput_per_s"
PER_DEVICE = "output_throughput_per_device_per_s"
_FRONT = Words("Pareto front", "帕累托前沿")
_ALL_ON_FRONT = Words(
    "All of them are on the Pareto front: none beats another in both.",
    "所有点都在帕累托前沿上：没有一点在两方面都更好。",
)
_FRONT_NOTE = Words(
    "Pareto front: loads that no other one beats in both.", "帕累托前沿：没有其他负载在两方面都更好的点。"
)
_KNEE_NOTE = Words(
    "Knee: highest power, throughput / mean E2EL (Kleinrock 1979).",
    "拐点：功率最大处，吞吐 / 平均 E2EL（Kleinrock 1979）。",
)


class Line(NamedTuple):
    """Loads of one run that are joined to a line."""

    name: Words
    role: Role
    shade: float | None
    loads: list[Load]


class Spot(NamedTuple):
    """Where a load stands: its figures along both axes."""

    load: Load
    x: Figure
    y: Figure


def lines_of(runs: Sequence[tuple[str, RunSummary]]) -> list[Line]:
    """A line for each run, and for each family of loads in it; runs differ in role, families in shade.

    Args:
        runs: name (which one run alone does not need) and summary.
    """
    found = []
    for place, (name, summary) in enumerate(runs):
        groups = families(loads_of(summary)) if summary.rows else []
        for number, (family, loads) in enumerate(groups):
            shade = number / (len(groups) - 1) if len(groups) > 1 else None
            role: Role = ROLES[place] if place < len(ROLES) else "quiet"
            found.append(Line(_named(name, family), role, shade, loads))
    return found


def _named(run: str, family: Words) -> Words:
    if run and family.en:
        return Words(f"{run}: {family.en}", f"{run}：{family.zh}")
    return family if family.en else same(run)


def throughput_latency(runs: Sequence[tuple[str, RunSummary]]) -> tuple[Chart, ...]:
    """The runs over each other: throughput against TTFT, against TPOT (E2EL without a stream), and per user.

    Args:
        runs: name (empty for one run alone) and summary of each, the first in the first colour.

    Returns:
        Those that have data; one point a run is enough.
    """
    lines = lines_of(runs)
    limits = limits_of(summary for _, summary in runs)
    loads = [load for line in lines for load in line.loads]
    key = TOKENS if any(load.figure(TOKENS) for load in loads) else ANSWERS
    metrics = drawn_latencies(loads)
    charts = [_against(lines, key, metric, limits) for metric in metrics]
    charts.append(_per_user(lines))
    return tuple(chart for chart in charts if chart is not None)


def drawn_latencies(loads: Sequence[Load]) -> list[str]:
    """TTFT and TPOT where they are known, and E2EL where any load has no TTFT: its answers were not streamed."""
    found = [name for name in ("ttft", "tpot") if shared_percentile(loads, name)]
    ended = [load for load in loads if load.figure("e2el_ms.mean")]
    without = any(not load.figure("ttft_ms.mean") for load in ended)
    return [*found, "e2el"] if without or not found else found


def _against(lines: Sequence[Line], key: str, metric: str, limits: Limits) -> Chart | None:
    loads = [load for line in lines for load in line.loads]
    statistic = shared_percentile(loads, metric, limits.statistics(metric))
    if statistic is None:
        return None
    spots = [_spots(line, key, f"{metric}_ms.{statistic}") for line in lines]
    if not any(spots):
        return None
    name = percentile_of(METRIC_NAMES[metric], statistic)
    rate = OUTPUT_RATE if key == TOKENS else REQUEST_RATE
    front = front_of([spot for group in spots for spot in group], highest_y=False)
    knees, marks = _knees(lines, spots), limit_marks(limits, metric, "y")
    series = _drawn(lines, spots, front)
    return Chart(
        key=f"throughput_{metric}",
        title=Words(f"How much {name.en} does more throughput cost?", f"提高吞吐要付出多少{name.zh}？"),
        x=Axis(rate, "tok/s" if key == TOKENS else "req/s"),
        y=Axis(name, "ms", latency_scale(series)),
        series=series,
        marks=(*marks, *_floors(limits, key), *knees),
        n=sum(spot.load.requests for group in spots for spot in group),
        of=REQUESTS,
        note=joined(
            _statistic_note(statistic, metric, limited=statistic in limits.statistics(metric)),
            intervals_note(
                [spot.y for group in spots for spot in group] + [s.x for group in spots for s in group]
            ),
            _KNEE_NOTE if knees else None,
            _front_note(front, spots),
        ),
    )


def _per_user(lines: Sequence[Line]) -> Chart | None:
    """Speed that a user sees (1 / median TPOT) against throughput of a device, or of the whole service."""
    loads = [load for line in lines for load in line.loads]
    of_device = any(load.figure(PER_DEVICE) for load in loads)
    key = PER_DEVICE if of_device else TOKENS
    spots = []
    for line in lines:
        found = _spots(line, key, "tpot_ms.p50")
        spots.append([Spot(spot.load, _per_second(spot.y), spot.x) for spot in found if spot.y.value > 0])
    if not any(spots):
        return None
    front = front_of([spot for group in spots for spot in group], highest_y=True)
    rate = Words("output throughput per device", "单卡输出吞吐") if of_device else OUTPUT_RATE
    figures = [figure for group in spots for spot in group for figure in (spot.x, spot.y)]
    return Chart(
        key="per_user",
        title=Words("What does speed for each user cost in throughput?", "每个用户的速度要牺牲多少吞吐？"),
        x=Axis(Words("output tokens per second and user", "每用户每秒输出 token"), "tok/s"),
        y=Axis(rate, "tok/s"),
        series=_drawn(lines, spots, front),
        n=sum(spot.load.requests for group in spots for spot in group),
        of=REQUESTS,
        note=joined(
            Words("Per user: 1 / median TPOT.", "每用户：1 / TPOT 中位数。"),
            intervals_note(figures),
            _front_note(front, spots),
        ),
    )


def _per_second(figure: Figure) -> Figure:
    """Of ms per token, tokens per second; the interval turns round."""
    low = 1e3 / figure.high if figure.high > 0 else np.nan
    high = 1e3 / figure.low if figure.low > 0 else np.nan
    return Figure(1e3 / figure.value, low, high, figure.interval)


def _spots(line: Line, x_key: str, y_key: str) -> list[Spot]:
    found = [(load, load.figure(x_key), load.figure(y_key)) for load in line.loads]
    return [Spot(load, x, y) for load, x, y in found if x is not None and y is not None]


def _series(lines: Sequence[Line], spots: Sequence[Sequence[Spot]]) -> Iterable[Series]:
    for line, group in zip(lines, spots, strict=True):
        yield Series(
            name=line.name if line.name.en else Words("load points", "负载点"),
            x=column(spot.x.value for spot in group),
            y=column(spot.y.value for spot in group),
            low=_bounds(spot.y.low for spot in group),
            high=_bounds(spot.y.high for spot in group),
            x_low=_bounds(spot.x.low for spot in group),
            x_high=_bounds(spot.x.high for spot in group),
            labels=tuple(spot.load.title for spot in group),
            draw="line-points",
            role=line.role,
            shade=line.shade,
            n=sum(spot.load.requests for spot in group),
        )


def front_of(spots: Sequence[Spot], *, highest_y: bool) -> list[Spot]:
    """Those that no other one beats: more x, and less y (or more, with ``highest_y``); by rising x.

    Of spots at the same place one stays.
    """
    sign = -1.0 if highest_y else 1.0
    ordered = sorted(spots, key=lambda spot: (-spot.x.value, sign * spot.y.value))
    kept: list[Spot] = []
    for spot in ordered:
        if not kept or sign * spot.y.value < sign * kept[-1].y.value:
            kept.append(spot)
    return kept[::-1]


def _drawn(
    lines: Sequence[Line], spots: Sequence[Sequence[Spot]], front: Sequence[Spot]
) -> tuple[Series, ...]:
    return tuple(each for each in (*_series(lines, spots), *_front_series(front, spots)) if len(each.x))


def latency_scale(series: Iterable[Series]) -> Scale:
    """Log for latencies that differ much, so that the small ones can be read; linear where an interval reaches 0."""
    return scale_of(column for each in series for column in (each.y, each.low) if column is not None)


def _front_note(front: Sequence[Spot], spots: Sequence[Sequence[Spot]]) -> Words | None:
    if len(front) < 2:
        return None
    return _ALL_ON_FRONT if len(front) == sum(map(len, spots)) else _FRONT_NOTE


def _front_series(front: Sequence[Spot], spots: Sequence[Sequence[Spot]]) -> Iterable[Series]:
    """The front, where it is not simply the one line that is drawn."""
    drawn = [spot for group in spots for spot in group]
    if len(front) < 2 or (len(front) == len(drawn) and sum(map(bool, spots)) == 1):
        return
    yield Series(
        name=_FRONT,
        x=column(spot.x.value for spot in front),
        y=column(spot.y.value for spot in front),
        labels=tuple(spot.load.title for spot in front),
        draw="line",
        role="good",
        n=sum(spot.load.requests for spot in front),
    )


def _knees(lines: Sequence[Line], spots: Sequence[Sequence[Spot]]) -> list[Mark]:
    marks = []
    for line, group in zip(lines, spots, strict=True):
        knee = knee_of(line.loads)
        spot = next((spot for spot in group if spot.load is knee), None)
        if spot is not None:
            marks.append(knee_mark(spot.load, spot.x.value, line.name))
    return marks if len(marks) <= len(ROLES) else []


def knee_mark(load: Load, at: float, line: Words | None = None) -> Mark:
    """The knee at a place along x, with the load that it stands for."""
    of = Words(f", {line.en}", f"，{line.zh}") if line is not None and line.en else same("")
    name = Words(f"knee: {load.title.en}{of.en}", f"拐点：{load.title.zh}{of.zh}")
    return Mark(name=name, kind="knee", axis="x", start=at)


def limit_marks(limits: Limits, metric: str, axis: Literal["x", "y"], *, zone: bool = True) -> list[Mark]:
    """A line for each limit on a latency, and the zone within the strictest of them, if wanted."""
    own = limits.of(metric)
    marks = [Mark(name=same(f"SLO {text}"), kind="limit", axis=axis, start=at) for text, at in own]
    if own and zone:
        strictest = min(at for _, at in own)
        within = Words("within the SLO", "满足 SLO")
        marks.append(Mark(name=within, kind="good", axis=axis, start=None, end=strictest, zone=True))
    return marks


def _floors(limits: Limits, key: str) -> list[Mark]:
    """Limits on the throughput itself."""
    name = key.removesuffix("_per_s")
    return [
        Mark(name=same(f"SLO {limit.text}"), kind="limit", axis="x", start=limit.limit)
        for limit in limits.whole
        if limit.metric == name
    ]


def _statistic_note(statistic: str, metric: str, *, limited: bool) -> Words | None:
    """Why it is this one, where it is not the usual one."""
    if statistic == "p99":
        return None
    if limited:
        return Words(f"{statistic}, as the limit is on it.", f"SLO 针对 {statistic}。")
    if statistic == "mean":
        return Words("Mean: no percentile is known of all loads.", "平均值：不是所有负载都有百分位。")
    name = METRIC_NAMES[metric].en
    return Words(
        f"{name} {statistic}: not all loads have the requests that a higher percentile takes.",
        f"{name} {statistic}：并非所有负载都有足够请求计算更高的百分位。",
    )


def intervals_note(figures: Iterable[Figure]) -> Words | None:
    """What the intervals of these figures are of."""
    kinds: list[Interval] = list(dict.fromkeys(figure.interval for figure in figures))
    return joined(*(INTERVALS[kind] for kind in kinds if kind in INTERVALS))


def column(values: Iterable[float]) -> Floats:
    """Numbers as a column."""
    return np.fromiter(values, dtype=np.float64)


def _bounds(values: Iterable[float]) -> Floats | None:
    """The same, None where none is known."""
    found = column(values)
    return None if np.isnan(found).all() else found

"""The loads of a run, lightest first, with the figures and intervals that pictures over load are made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from inferometer.metrics.load_curve import read_curve_probe
from inferometer.metrics.power import power_curve, top_of
from inferometer.metrics.rows import Row
from inferometer.metrics.slo import PointLimit, RequestLimit, parse_slo
from inferometer.metrics.steady import Rate
from inferometer.metrics.summary import PointSummary, RunSummary
from inferometer.record.imported import ImportedPoint
from inferometer.record.prediction import PointPrediction
from inferometer.report.plots.terms import load_words
from inferometer.report.sweep import titled
from inferometer.report.words import Words

Kind = Literal["concurrency", "rate", "none"]
Interval = Literal["repeats", "predicted", "steady", "none"]

INTERVALS: dict[Interval, Words] = {
    "repeats": Words("Bars: 95 % interval over repeats.", "误差线：重复测量的 95 % 区间。"),
    "predicted": Words(
        "Bars: where 90 of 100 measurements are expected (simulated).",
        "误差线：预计 90 % 的实测落入的区间（仿真）。",
    ),
    "steady": Words(
        "Bars: 95 % interval of the steady window, as share of the throughput; it says nothing of how another run "
        "would differ.",
        "误差线：稳态区间内的 95 % 区间（按吞吐的比例）；不含重复测量之间的差异。",
    ),
}
_OF_THE_LOAD = (
    "max_concurrency",
    "request_rate",
    "num_prompts",
    "duration_s",
    "input_len",
    "output_len",
    "closed",
)
FEWEST_FOR_KNEE = 3
_REACHED = (
    "concurrency",
    "achieved rate",
)  # conditions that are not known where requests were too few to tell


class Figure(NamedTuple):
    """A figure of one load with its interval, NaN where there is none, and what that is of."""

    value: float
    low: float
    high: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Load:
    """One load, measured once or several times.

    Attributes:
        title: what it is called.
        kind: what ``value`` counts: requests (or sessions) at once, or per second; "none": a trace, or all at once.
        value: the load; NaN of kind "none".
        family: equal for loads that differ in the load alone.
        points: its load points.
        predicted: of a simulated load.
        stated: what another tool reported of it.
    """

    title: Words
    kind: Kind
    value: float
    family: tuple[object, ...]
    row: Row
    points: tuple[PointSummary, ...]
    predicted: PointPrediction | None = None
    stated: ImportedPoint | None = None

    @property
    def requests(self) -> int:
        """Successful requests of all repeats; of an imported load as it was told."""
        own = sum(point.counts.ok for point in self.points)
        return own or (self.stated.completed or 0 if self.stated else 0)

    def figure(self, key: str) -> Figure | None:
        """A figure by its key as in ``Row.estimates``: "output_throughput_per_s", "ttft_ms.p99"; None without it."""
        estimate = self.row.estimates.get(key)
        value = estimate.mean if estimate is not None else self._told(key)
        if value is None or not math.isfinite(value):
            return None
        if estimate is not None and estimate.low is not None and estimate.high is not None:
            return Figure(value, estimate.low, estimate.high, "repeats")
        return (
            self._predicted(key, value)
            or self._steady(key, value)
            or Figure(value, math.nan, math.nan, "none")
        )

    def _told(self, key: str) -> float | None:
        """Without an estimate: what its load points say (of a statistic the first), else the tool that measured."""
        metric, _, statistic = key.partition(".")
        point = self.points[0]
        if not statistic:
            own = [value for each in self.points if (value := each.values.get(metric)) is not None]
            if len(own) == len(self.points):
                return math.fsum(own) / len(own)
            return None if self.stated is None else self.stated.values.get(metric)
        stat = point.stats.get(metric)
        if stat is not None:
            return stat.mean if statistic == "mean" else stat.percentiles.get(statistic)
        other = None if self.stated is None else self.stated.stats.get(metric)
        if other is None:
            return None
        return other.mean if statistic == "mean" else other.percentiles.get(statistic.removeprefix("p"))

    def _predicted(self, key: str, value: float) -> Figure | None:
        metric, _, statistic = key.partition(".")
        for number in self.predicted.numbers if self.predicted else ():
            same = (number.metric, number.statistic) == (metric, statistic or "value")
            if same and number.low is not None and number.high is not None:
                return Figure(value, number.low, number.high, "predicted")
        return None

    def _steady(self, key: str, value: float) -> Figure | None:
        """The whole load point's throughput with the relative width of the interval in its steady window."""
        steady = self.points[0].steady
        name = key.removesuffix("_per_s")
        rate: Rate | None = getattr(steady, name, None) if name.endswith("_throughput") else None
        if rate is None or rate.precision is None or len(self.points) > 1:
            return None
        half = rate.precision * value
        return Figure(value, value - half, value + half, "steady")

    @property
    def reached(self) -> bool:
        """Whether there were requests enough to tell if the load was there at all: one does not make 64 at once."""
        judged = (c for point in self.points for c in point.verdict.conditions if c.name in _REACHED)
        return all(condition.ok is not None for condition in judged)

    @property
    def slo_met(self) -> bool | None:
        """Whether every limit on the whole load point is met by all repeats; None = not known, or no such limit."""
        results = [result.met for point in self.points for result in point.slo]
        if False in results:
            return False
        return None if not results or None in results else True


def loads_of(summary: RunSummary) -> list[Load]:
    """The loads of a run: closed loops, then rates, then the others, each kind from the lightest to the heaviest."""
    points = {point.index: point for point in summary.points}
    names = titled([row.load for row in summary.rows])
    found = [
        _load(summary, row, name, tuple(points[index] for index in row.points))
        for row, name in zip(summary.rows, names, strict=True)
    ]
    order = {"concurrency": 0, "rate": 1, "none": 2}
    return sorted(
        found, key=lambda load: (order[load.kind], math.inf if math.isnan(load.value) else load.value)
    )


def _load(summary: RunSummary, row: Row, name: str, points: tuple[PointSummary, ...]) -> Load:
    first = points[0].index
    kind, value = _kind(row)
    family = tuple((key, repr(each)) for key, each in sorted(row.load.items()) if key not in _OF_THE_LOAD)
    lengths = (row.load.get("input_len"), row.load.get("output_len"))
    return Load(
        title=load_words(name),
        kind=kind,
        value=value,
        family=(kind, *lengths, *family),
        row=row,
        points=points,
        predicted=None if summary.prediction is None else summary.prediction.of_point(first),
        stated=None if summary.imported is None else summary.imported.of_point(first),
    )


def _kind(row: Row) -> tuple[Kind, float]:
    rate, limit = row.load.get("request_rate"), row.load.get("max_concurrency")
    if row.load.get("trace"):
        return "none", math.nan
    if rate is not None and rate != "inf" and math.isfinite(float(rate)):
        return "rate", float(rate)
    return ("none", math.nan) if limit is None else ("concurrency", float(limit))


def families(loads: Sequence[Load]) -> list[tuple[Words, list[Load]]]:
    """Loads that differ in the load alone, in order of load, with a name that tells them from the others."""
    found: dict[tuple[object, ...], list[Load]] = {}
    for load in loads:
        found.setdefault(load.family, []).append(load)
    groups = list(found.values())
    if len(groups) == 1:
        return [(Words("", ""), groups[0])]
    names = [_family_name(group[0], [other[0] for other in groups]) for group in groups]
    return list(zip(names, groups, strict=True))


def _family_name(load: Load, all_of_them: Sequence[Load]) -> Words:
    """The lengths, where these differ, and the kind of load, where that does; else the load itself."""
    parts = []
    for field, word in (("input_len", "in"), ("output_len", "out")):
        if len({other.row.load.get(field) for other in all_of_them}) > 1:
            parts.append(f"{word} {load.row.load.get(field) or 'as in the data'}")
    if len({other.kind for other in all_of_them}) > 1:
        parts.append({"concurrency": "closed loop", "rate": "open loop", "none": load.title.en}[load.kind])
    named = load_words(", ".join(parts))
    return named if parts else load.title


def knee_of(loads: Sequence[Load]) -> Load | None:
    """The load of highest power among loads of one family; None where the curve does not bend where it was measured.

    Power is output throughput (request throughput where tokens are not known) / mean E2EL, see ``metrics.power``. On
    both sides there has to be a load with less of it by more than repeats may differ.
    """
    known = [load for load in loads if load.value > 0 and load.reached]
    if len(known) < FEWEST_FOR_KNEE:
        return None
    tokens = all(load.figure("output_throughput_per_s") for load in known)
    objective = "output-throughput" if tokens else "request-throughput"
    probes = [
        read_curve_probe(point, load.value, place, objective)
        for load in known
        for place, point in enumerate(load.points, start=1)
    ]
    power = power_curve(probes)
    best = power.best
    if best is None or top_of(power) is None:
        return None
    less = [load for load in power.loads if (gain := power.gain(best, load)).share + gain.half < 0.0]
    if not less or not min(less) < best < max(less):
        return None
    return next(load for load in known if load.value == best)


def shared_percentile(loads: Iterable[Load], metric: str, wanted: Iterable[str] = ()) -> str | None:
    """The percentile to draw: the first wanted one, else the highest, that every load with this metric can show."""
    known = [load for load in loads if load.figure(f"{metric}_ms.mean") or load.figure(f"{metric}_ms.p50")]
    if not known:
        return None
    for name in (*wanted, "p99", "p95", "p90", "p75", "p50"):
        if all(load.figure(f"{metric}_ms.{name}") for load in known):
            return name
    return "mean" if all(load.figure(f"{metric}_ms.mean") for load in known) else None


class Limits(NamedTuple):
    """Limits as they were written, taken apart."""

    each: tuple[RequestLimit, ...]
    whole: tuple[PointLimit, ...]

    def of(self, metric: str) -> list[tuple[str, float]]:
        """Text and ms of the limits on a latency."""
        own = [(limit.text, limit.limit_ms) for limit in self.each if limit.metric == metric]
        return own + [(limit.text, limit.limit) for limit in self.whole if limit.metric == metric]

    def statistics(self, metric: str) -> list[str]:
        """Those that limits on a latency are about."""
        return [limit.statistic for limit in self.whole if limit.metric == metric]


def limits_of(summaries: Iterable[RunSummary]) -> Limits:
    """The limits that the load points were judged by."""
    points = [point for summary in summaries for point in summary.points]
    texts = dict.fromkeys(
        text
        for point in points
        for text in (*(point.goodput.limits if point.goodput else ()), *(result.slo for result in point.slo))
    )
    each, whole = [], []
    for text in texts:
        limit = parse_slo(text)
        if isinstance(limit, RequestLimit):
            each.append(limit)
        else:
            whole.append(limit)
    return Limits(tuple(each), tuple(whole))


def met_up_to(loads: Sequence[Load]) -> Load | None:
    """The heaviest load of a family such that it and all lighter ones meet every limit; None without one."""
    last = None
    for load in loads:
        if load.slo_met is not True:
            break
        last = load
    return last

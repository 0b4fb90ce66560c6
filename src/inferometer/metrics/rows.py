"""Load points that measured the same load, put together: one row of a table each, with intervals of its figures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from inferometer.metrics.bootstrap import Part, half_width, part_of, statistic_of
from inferometer.metrics.latency import Floats
from inferometer.metrics.percentiles import percentile_name, samples_needed
from inferometer.metrics.series import Samples
from inferometer.metrics.verdict import Condition

_OWN_OF_A_POINT = ("index", "repeat", "seed")
_NEGLIGIBLE = 0.01  # a difference so small is none, however certain it is
# What repeats may differ in: a 3-repeat run is accepted by AscendCloud's users when QPS stays within 5 % and latency
# within 10 %.
THROUGHPUT_SPREAD, LATENCY_SPREAD = 0.05, 0.10
_COMPARED = (
    "request_throughput_per_s", "output_throughput_per_s", "ttft_ms.p50", "tpot_ms.p50", "e2el_ms.p50"
)  # fmt: skip
_THROUGHPUTS = ("output_throughput_per_s", "request_throughput_per_s")
_LATENCIES = ("ttft_ms.mean", "tpot_ms.mean", "e2el_ms.mean")


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of one load, over all of its repeats.

    Attributes:
        mean: of a throughput the mean of the repeats; of a latency its statistic over the requests of all repeats.
        low, high: 95 % interval; None for one repeat, which cannot know how another one would differ (what it can
            know, its steady window says).
        repeats: how many were measured.
        spread: standard deviation / mean of the repeats' own figures; None for one repeat.
    """

    mean: float
    low: float | None
    high: float | None
    repeats: int
    spread: float | None = None

    @property
    def half_width(self) -> float | None:
        """Half of the interval, what is written after +-."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2.0


class Differing(msgspec.Struct, frozen=True, kw_only=True):
    """A repeat whose figure disagrees with the others' by more than both their intervals.

    Attributes:
        repeat: which, counted from 1.
        key: of the figure.
        value, others: the figure of this repeat, and the mean of the others'.
    """

    repeat: int
    key: str
    value: float
    others: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One load, measured once or several times.

    Attributes:
        load: the load as asked, without what differs between its repeats.
        points: ``index`` of the load points, in the order in which they were measured.
        estimates: by key as in ``PointSummary.values``, and ``ttft_ms.mean``, ``ttft_ms.p99`` for statistics. A
            percentile that all repeats together have too few requests for is not in it.
        differing: repeats that disagree with the others.
    """

    load: dict[str, Any]
    points: list[int]
    estimates: dict[str, Estimate] = {}
    differing: list[Differing] = []


def rows_of(loads: Sequence[tuple[int, dict[str, Any]]]) -> list[Row]:
    """Rows in the order in which their first load point was measured.

    Args:
        loads: ``index`` and load of each measured load point.
    """
    found: dict[str, Row] = {}
    for index, load in loads:
        own = {name: value for name, value in load.items() if name not in _OWN_OF_A_POINT}
        found.setdefault(json.dumps(own, sort_keys=True), Row(load=own, points=[])).points.append(index)
    return list(found.values())


def measured_rows(
    points: Sequence[Samples], percentiles: Sequence[float], *, sort: bool = False
) -> list[Row]:
    """Rows with the figures of their load points.

    Throughputs, and TTFT, TPOT and E2EL as mean and percentiles. Intervals on two levels, between repeats and inside
    them: ``metrics.bootstrap.half_width``.

    Args:
        points: the measured load points.
        percentiles: those to show.
        sort: by load instead of by time, for load points that were measured in an order of chance.
    """
    known = {point.point: point for point in points}
    rows = rows_of([(point.point, point.load) for point in points])
    if sort:
        rows.sort(key=lambda row: _size(row.load))
    return [_filled(row, [known[index] for index in row.points], percentiles) for row in rows]


def repeat_conditions(rows: Sequence[Row]) -> Iterator[Condition]:
    """Whether repeats agree; nothing where no load was measured twice."""
    for name, keys, limit in (
        ("throughput of repeats", _THROUGHPUTS, THROUGHPUT_SPREAD),
        ("latency of repeats", _LATENCIES, LATENCY_SPREAD),
    ):
        spreads = [row.estimates[key].spread for row in rows for key in keys if key in row.estimates]
        known = [spread for spread in spreads if spread is not None]
        if known:
            yield Condition(
                name=name,
                level="warn",
                asked="standard deviation / mean over repeats, the worst load",
                measured=max(known),
                limit=limit,
                unit="share",
                ok=max(known) <= limit,
                next_step="measure longer (--num-prompts) or more often (--repeat), and see which repeat differs",
            )


def _size(load: dict[str, Any]) -> tuple[float, ...]:
    names = ("input_len", "output_len", "request_rate", "max_concurrency", "num_prompts")
    return tuple(float(load.get(name) or 0.0) for name in names)


def _filled(row: Row, points: Sequence[Samples], percentiles: Sequence[float]) -> Row:
    estimates: dict[str, Estimate] = {}
    differing: list[Differing] = []
    for key, p, samples in _figures(points, percentiles):
        parts = [part_of(sample, p) for sample in samples]
        whole = None if key in points[0].rates else statistic_of(np.concatenate(samples), p)
        estimates[key] = _estimate(parts, whole)
        if key in _COMPARED and len(parts) > 1:
            differing += _differing(parts, key)
    for unit, number in (("node", points[0].nodes), ("device", points[0].devices)):
        for side in ("input", "output", "total"):
            undivided = estimates.get(f"{side}_throughput_per_s")
            if number is not None and undivided is not None:
                estimates[f"{side}_throughput_per_{unit}_per_s"] = _divided(undivided, number)
    return msgspec.structs.replace(row, estimates=estimates, differing=differing)


def _figures(
    points: Sequence[Samples], percentiles: Sequence[float]
) -> Iterator[tuple[str, float | None, list[Floats]]]:
    """Key, percentile (None = the mean) and samples of each figure that every repeat has."""
    for key in points[0].rates:
        if all(key in point.rates for point in points):
            yield key, None, [point.rates[key] for point in points]
    for key in points[0].latencies:
        if not all(key in point.latencies for point in points):
            continue
        samples = [point.latencies[key] for point in points]
        yield f"{key}.mean", None, samples
        count = sum(len(sample) for sample in samples)
        for p in percentiles:
            if count >= samples_needed(p):
                yield f"{key}.{percentile_name(p)}", p, samples


def _estimate(parts: Sequence[Part], whole: float | None) -> Estimate:
    """The figure over all repeats: ``whole``, else the mean of theirs."""
    own = np.array([part.value for part in parts])
    mean = float(own.mean()) if whole is None else whole
    if len(parts) == 1:
        return Estimate(mean=mean, low=None, high=None, repeats=1)
    half = half_width(parts)
    spread = float(own.std(ddof=1) / own.mean()) if own.mean() else None
    return Estimate(mean=mean, low=mean - half, high=mean + half, repeats=len(parts), spread=spread)


def _differing(parts: Sequence[Part], key: str) -> Iterator[Differing]:
    """Repeats whose own interval lies beside that of all others together."""
    for place, part in enumerate(parts):
        others = [*parts[:place], *parts[place + 1 :]]
        together = sum(other.value for other in others) / len(others)
        apart = abs(part.value - together)
        if apart > max(half_width([part]) + half_width(others), _NEGLIGIBLE * abs(together)):
            yield Differing(repeat=place + 1, key=key, value=part.value, others=together)


def _divided(whole: Estimate, number: int) -> Estimate:
    return msgspec.structs.replace(
        whole,
        mean=whole.mean / number,
        low=None if whole.low is None else whole.low / number,
        high=None if whole.high is None else whole.high / number,
    )

"""Load points that measured the same load, put together: one row of a table each, with intervals of its figures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from inferometer.metrics.bootstrap import Interval, block_interval, repeats_interval
from inferometer.metrics.latency import Floats, PointData
from inferometer.metrics.percentiles import percentile_name, samples_needed
from inferometer.metrics.series import Series, latency_series, rate_series
from inferometer.metrics.verdict import Condition
from inferometer.spec import derive_seed

_OWN_OF_A_POINT = ("index", "repeat", "seed")
_CONFIDENCE = 0.95
_RESAMPLES = 300
_RESAMPLES_APART = 100  # where only the order of two intervals is asked for
_MOST_VALUES = 40_000  # above, what is left inside a repeat is small beside what is between them
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
        low, high: 95 % interval; None where it cannot be known.
        repeats: how many were measured. One repeat's interval holds what chance did inside the run ("within-run
            only"), and knows nothing of how another run would differ.
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
        value, others: the figure of this repeat, and of all others together.
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
    points: Sequence[PointData], percentiles: Sequence[float], *, sort: bool = False
) -> list[Row]:
    """Rows with the figures of their load points.

    Throughputs, and TTFT, TPOT and E2EL as mean and percentiles. Intervals: over repeats by hierarchical bootstrap
    (repeats, then blocks inside each), of one repeat by block bootstrap; see ``metrics.bootstrap``.

    Args:
        points: the measured load points.
        percentiles: those to show.
        sort: by load instead of by time, for load points that were measured in an order of chance.
    """
    known = {data.table.point.index: data for data in points}
    rows = rows_of([(data.table.point.index, data.table.point.load) for data in points])
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


def _filled(row: Row, points: Sequence[PointData], percentiles: Sequence[float]) -> Row:
    series = [*rate_series(points), *latency_series(points)]
    estimates: dict[str, Estimate] = {}
    differing: list[Differing] = []
    for one in series:
        for key, figure in _figures(one, percentiles):
            seed = derive_seed(row.points[0], f"interval of {key}")
            estimates[key] = _estimate(one.samples, figure, seed, len(points))
            if key in _COMPARED and len(points) > 1:
                differing += _differing(one.samples, figure, seed, key)
    for unit, number in (("node", points[0].nodes), ("device", points[0].devices)):
        for side in ("input", "output", "total"):
            whole = estimates.get(f"{side}_throughput_per_s")
            if number is not None and whole is not None:
                estimates[f"{side}_throughput_per_{unit}_per_s"] = _divided(whole, number)
    return msgspec.structs.replace(row, estimates=estimates, differing=differing)


class _Figure(msgspec.Struct, frozen=True):
    """A statistic of a sample: its mean, or a percentile."""

    percentile: float | None

    def __call__(self, values: Floats) -> float:
        if self.percentile is None:
            return float(values.sum() / len(values))
        # As numpy's percentile, without its 0.2 ms of preparation: a row asks for thousands.
        place = (len(values) - 1) * self.percentile / 100.0
        low = int(place)
        found = np.partition(values, (low, min(low + 1, len(values) - 1)))
        below, above = float(found[low]), float(found[min(low + 1, len(values) - 1)])
        return below + (above - below) * (place - low)


def _figures(series: Series, percentiles: Sequence[float]) -> Iterator[tuple[str, _Figure]]:
    if series.rate:
        yield series.key, _Figure(None)
        return
    yield f"{series.key}.mean", _Figure(None)
    count = sum(len(sample) for sample in series.samples)
    for p in percentiles:
        if count >= samples_needed(p):
            yield f"{series.key}.{percentile_name(p)}", _Figure(p)


def _estimate(samples: Sequence[Floats], figure: _Figure, seed: int, repeats: int) -> Estimate:
    interval = _interval(samples, figure, seed)
    own = np.array([figure(sample) for sample in samples])
    spread = float(own.std(ddof=1) / own.mean()) if len(own) > 1 and own.mean() else None
    return Estimate(
        mean=figure(np.concatenate(samples)),
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        repeats=repeats,
        spread=spread,
    )


def _interval(
    samples: Sequence[Floats], figure: _Figure, seed: int, resamples: int = _RESAMPLES
) -> Interval | None:
    count = sum(len(sample) for sample in samples)
    if len(samples) == 1:
        if count > _MOST_VALUES:
            return None
        return block_interval(samples[0], figure, seed=seed, confidence=_CONFIDENCE, resamples=resamples)
    if count > _MOST_VALUES:
        samples, figure = [np.array([figure(sample)]) for sample in samples], _Figure(None)
    return repeats_interval(samples, figure, seed=seed, confidence=_CONFIDENCE, resamples=resamples)


def _differing(samples: Sequence[Floats], figure: _Figure, seed: int, key: str) -> Iterator[Differing]:
    """Repeats whose own interval lies beside that of all others together."""
    for place, sample in enumerate(samples):
        others = [*samples[:place], *samples[place + 1 :]]
        own = _interval([sample], figure, seed, _RESAMPLES_APART)
        rest = _interval(others, figure, seed, _RESAMPLES_APART)
        if own is None or rest is None:
            continue
        value, together = figure(sample), figure(np.concatenate(others))
        apart = own.low > rest.high or own.high < rest.low
        if apart and abs(value - together) > _NEGLIGIBLE * abs(together):
            yield Differing(repeat=place + 1, key=key, value=value, others=together)


def _divided(whole: Estimate, number: int) -> Estimate:
    return msgspec.structs.replace(
        whole,
        mean=whole.mean / number,
        low=None if whole.low is None else whole.low / number,
        high=None if whole.high is None else whole.high / number,
    )

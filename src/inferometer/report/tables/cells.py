"""What cells are made of: statistics of samples, counts, rates; the same few in every style."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from inferometer.metrics.latency import Floats, Origin, PointData
from inferometer.metrics.percentiles import samples_needed
from inferometer.metrics.summary import PointSummary
from inferometer.report.tables.measured import Measured
from inferometer.report.tables.model import Cell

Values = Callable[[PointData], Floats]
Make = Callable[[Measured], Cell]
UNKNOWABLE = Cell("")
SECONDS = 1e-3  # of values in ms


def percentile_of(values: Values, p: float, scale: float = 1.0, origin: Origin = "sent") -> Make:
    """Percentile ``p`` (0 to 100), linear interpolation; the cell says when the sample is too small for it."""

    def make(row: Measured) -> Cell:
        sample = row.sample(values, origin)
        if not len(sample):
            return Cell(None)
        needed = samples_needed(p)
        return Cell(float(np.percentile(sample, p)) * scale, needed if len(sample) < needed else None)

    return make


def mean_of(values: Values, scale: float = 1.0, origin: Origin = "sent") -> Make:
    """Arithmetic mean."""
    return _statistic(values, np.mean, scale, origin)


def max_of(values: Values, scale: float = 1.0) -> Make:
    """The largest."""
    return _statistic(values, np.max, scale, "sent")


def min_of(values: Values, scale: float = 1.0) -> Make:
    """The smallest."""
    return _statistic(values, np.min, scale, "sent")


def rate_of(number: Callable[[PointData], float | None], scale: float = 1.0) -> Make:
    """A number that each load point has; the mean over repeats."""
    return lambda row: Cell(_scaled(row.mean(number), scale))


def total_of(number: Callable[[PointData], float | None], scale: float = 1.0, *, whole: bool = False) -> Make:
    """A number that each load point has; the sum over repeats."""

    def make(row: Measured) -> Cell:
        value = _scaled(row.sum(number), scale)
        return Cell(round(value) if whole and value is not None else value)

    return make


def count_of(number: Callable[[PointSummary], int]) -> Make:
    """Requests, all repeats together."""
    return lambda row: Cell(row.count(number))


def asked_of(part: str, name: str) -> Make:
    """A value of the spec; empty when it was not asked for, for then the server chose."""

    def make(row: Measured) -> Cell:
        value = row.asked(part, name)
        return Cell("" if value is None else value)

    return make


def label_of(name: str) -> Make:
    """What nobody but the user knows: the value of ``--label name=value``, else empty."""

    def make(row: Measured) -> Cell:
        text = row.meta.labels.get(name, "")
        return Cell(_number(text))

    return make


def concurrency(row: Measured) -> Cell:
    """The limit on requests in flight, as asked; empty without one."""
    asked = row.load.get("max_concurrency")
    return UNKNOWABLE if asked is None else Cell(asked)


def rate(row: Measured) -> Cell:
    """The request rate, as asked; empty in a closed loop."""
    return UNKNOWABLE if row.rate is None else Cell(row.rate)


def failed(row: Measured) -> Cell:
    """Requests that failed."""
    return Cell(row.count(lambda point: point.counts.failed))


def fail_share(row: Measured) -> Cell:
    """Failed / all that ended on their own."""
    bad, good = row.count(lambda p: p.counts.failed), row.count(lambda p: p.counts.ok)
    return Cell(bad / (bad + good) if bad + good else None)


def length(asked: str, measured: Values) -> Make:
    """Tokens per request: the length that was asked for, else the mean of what was counted."""

    def make(row: Measured) -> Cell:
        fixed = row.load.get(asked)
        if fixed is not None and len(set(row.sample(measured))) <= 1:
            return Cell(fixed)
        return mean_of(measured)(row)

    return make


def _statistic(values: Values, of: Callable[[Floats], np.floating], scale: float, origin: Origin) -> Make:
    def make(row: Measured) -> Cell:
        sample = row.sample(values, origin)
        return Cell(float(of(sample)) * scale if len(sample) else None)

    return make


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


def _number(text: str) -> int | float | str:
    """A label as a number, where it is written as one."""
    if re.fullmatch(r"[0-9]+", text):
        return int(text)
    return float(text) if re.fullmatch(r"[0-9]*\.[0-9]+", text) else text

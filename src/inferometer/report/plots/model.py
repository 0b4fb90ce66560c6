"""What a picture is before anything draws it: a question, axes with units, columns of numbers, and their n.

Everything that draws (the page's ECharts, matplotlib, the terminal) and everything that exports (CSV) reads these and
computes nothing. Columns are float64; NaN is a missing value and draws a gap, never a zero.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferometer.report.words import Words

Floats = NDArray[np.float64]
Role = Literal["main", "second", "third", "asked", "good", "bad", "quiet", "band"]
"""What a colour stands for; each drawing layer has one colour-blind-safe palette for them, light and dark.

"asked" is what was asked for beside what was achieved, "good" and "bad" answered within and beyond the limits (or ok
and failed), "quiet" context such as other load points. Series of several runs take "main", "second", "third" in order.
"""
Scale = Literal["linear", "log"]
Draw = Literal["line", "points", "line-points", "steps", "bars"]
"""How a series is drawn; a step keeps its y until the next x (``steps-after``, ECharts ``step: end``)."""


class Axis(msgspec.Struct, frozen=True):
    """An axis.

    Attributes:
        name: what is counted along it ("TTFT", "time since the load point began").
        unit: "ms", "s", "tokens", "tok/s", "req/s", "%"; empty for a plain number.
        scale: log is never used where a value may be 0.
    """

    name: Words
    unit: str
    scale: Scale = "linear"


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of equal length.

    Attributes:
        name: of the legend.
        x, y: where.
        low, high: interval of y, bars on points and a band around a line without them; None where there is none for the
            whole series, NaN for single values.
        x_low, x_high: interval of x.
        labels: of each element, shown where one points at it ("concurrency 16").
        draw: how.
        role: which colour.
        right: whether y belongs to the right-hand axis.
        shade: place in a family of like series, 0 to 1 (load points from the lightest to the heaviest); the role's
            colour varies along it. None = the role's own colour.
        n: how many requests (or what ``Chart.of`` says) the series is made of, where that is not ``len(x)``.
    """

    name: Words
    x: Floats
    y: Floats
    low: Floats | None = None
    high: Floats | None = None
    x_low: Floats | None = None
    x_high: Floats | None = None
    labels: tuple[Words, ...] = ()
    draw: Draw = "line"
    role: Role = "main"
    right: bool = False
    shade: float | None = None
    n: int | None = None


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A line, or a zone, over the whole chart.

    Attributes:
        name: "SLO 200 ms", "knee", "steady window".
        kind: "limit" a limit not to be crossed, "good" where limits are kept, "window" the steady window, "knee".
        axis: which axis its positions are of.
        start: where; of a zone, where it begins (None = where the chart does).
        end: where a zone ends (None with ``zone`` = where the chart does).
        zone: whether it is one.
    """

    name: Words
    kind: Literal["limit", "good", "window", "knee"]
    axis: Literal["x", "y", "right"]
    start: float | None
    end: float | None = None
    zone: bool = False


class Chart(msgspec.Struct, frozen=True, kw_only=True, tag="chart"):
    """Lines and points over two axes.

    Attributes:
        key: unique on a page, and the stem of exported files ("throughput_latency", "ttft_cdf").
        title: the question that the picture answers.
        x, y, right: axes.
        series: may be empty columns; a chart without any value is not made at all.
        marks: over them.
        n, of: how many of what it is made ("1,000", "requests").
        note: what a reader has to know: what was thinned out, what an interval is of.
        link: charts with the same link zoom together along x.
    """

    key: str
    title: Words
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    n: int
    of: Words
    right: Axis | None = None
    marks: tuple[Mark, ...] = ()
    note: Words | None = None
    link: str | None = None


class Gantt(msgspec.Struct, frozen=True, kw_only=True, tag="gantt"):
    """Requests over time, each on a lane that no other request holds meanwhile.

    Attributes:
        lane: from 0; as many lanes as requests were in flight, or waited in the client for a permit, at a time.
        index: of the request in its load point.
        planned, sent, first, last, end: s since the load point began; NaN where a request had none.
        ok: 1.0 or 0.0.
        label: status or the first words of the error, by request; empty = "ok" for all.
        first_name: what ``first`` is (TTFT needs a stream).
        n, of, link, note: see ``Chart``; a thinned one says so in its note.
    """

    key: str
    title: Words
    x: Axis
    lane: Floats
    index: Floats
    planned: Floats
    sent: Floats
    first: Floats
    last: Floats
    end: Floats
    ok: Floats
    n: int
    of: Words
    label: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    note: Words | None = None
    link: str | None = None


class Heat(msgspec.Struct, frozen=True, kw_only=True, tag="heat"):
    """A value over two lengths.

    Attributes:
        x_edges, y_edges: of the cells, one more than there are columns and rows.
        values: (rows, columns); NaN = nothing there.
        counts: (rows, columns) requests in each cell.
        value: what the colour means; ``low_is_good`` says which end is the good one.
    """

    key: str
    title: Words
    x: Axis
    y: Axis
    value: Axis
    x_edges: Floats
    y_edges: Floats
    values: Floats
    counts: Floats
    n: int
    of: Words
    low_is_good: bool = True
    note: Words | None = None


class ForestRow(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of a comparison.

    Attributes:
        name: the metric.
        middle, low, high: relative change in percent with its interval; None where it is not known.
        word: the verdict on it.
        text: the values behind it ("412 -> 903 ms, n 5+5").
    """

    name: Words
    middle: float | None
    low: float | None
    high: float | None
    word: Literal["better", "worse", "same", "unsure", "absent"]
    text: str = ""


class Forest(msgspec.Struct, frozen=True, kw_only=True, tag="forest"):
    """Changes with their intervals, one row a metric, and the zone of what counts as none."""

    key: str
    title: Words
    x: Axis
    rows: tuple[ForestRow, ...]
    threshold: float
    n: int
    of: Words
    note: Words | None = None


Plot = Chart | Gantt | Heat | Forest

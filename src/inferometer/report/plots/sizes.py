"""Fewer values than were measured, chosen so that a picture shows the same: extremes, tails and gaps stay."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from inferometer.metrics.latency import Floats, Ints
from inferometer.report.plots.model import Scale

LINE_POINTS = 600
CDF_POINTS = 400
CDF_TAIL = 20
SCATTER_POINTS = 2000


def extremes(y: Floats, most: int = LINE_POINTS) -> Ints:
    """Positions of at most ``most`` values that draw the same line: of each equal part its smallest and largest.

    The first and the last value stay, and one gap (NaN) of each part that has any.
    """
    count = len(y)
    if count <= most:
        return np.arange(count)
    kept = [0, count - 1]
    for part in np.array_split(np.arange(count), max((most - 2) // 3, 1)):
        values = y[part]
        missing = np.flatnonzero(np.isnan(values))
        kept += part[missing[:1]].tolist()
        if len(missing) < len(values):
            kept += [int(part[np.nanargmin(values)]), int(part[np.nanargmax(values)])]
    return np.unique(np.asarray(kept, dtype=np.int64))


def ranks(count: int, most: int = CDF_POINTS, tail: int = CDF_TAIL) -> Ints:
    """Positions in a sorted sample of at most ``most`` of its values, with the first and the last ``tail``.

    Half of the rest stand at equal distances of their share, half ever closer towards the largest, where a tail needs
    them.
    """
    if count <= most:
        return np.arange(count)
    inner = (most - tail) // 2
    even = np.linspace(0, count - 1, inner)
    near = count - np.geomspace(tail, count, most - tail - inner)
    kept = np.concatenate((np.rint(even), np.rint(near), np.arange(count - tail, count)))
    return np.unique(np.clip(kept, 0, count - 1).astype(np.int64))


def evenly(count: int, most: int) -> Ints:
    """At most ``most`` positions at equal distances, the first and the last among them."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.rint(np.linspace(0, count - 1, most)).astype(np.int64))


def bin_edges(
    start: float, end: float, count: int, *, each: int = 5, fewest: int = 12, most: int = 200
) -> Floats:
    """Edges of equal bins from ``start`` to ``end``, of which each has ``each`` of ``count`` events on the average.

    Never fewer than ``fewest`` nor more than ``most`` bins.
    """
    bins = min(max(count // each, fewest), most)
    return np.linspace(start, max(end, math.nextafter(start, math.inf)), bins + 1)


def scale_of(columns: Iterable[Floats], span: float = 20.0) -> Scale:
    """Log where the values differ by more than a factor of ``span`` and none is 0 or less; NaN says nothing."""
    known = np.concatenate([np.empty(0), *(column[~np.isnan(column)] for column in columns)])
    return "log" if len(known) and known.min() > 0 and known.max() > span * known.min() else "linear"


def middles(edges: Floats) -> Floats:
    """The middle of each bin."""
    return np.asarray((edges[:-1] + edges[1:]) / 2.0, dtype=np.float64)

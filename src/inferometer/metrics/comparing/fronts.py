"""Curves over load as figures: at equal SLO, the area under the front, the geometric mean over loads.

Each is worked out for every repeat by itself, so that repeats tell how sure it is, as for any other figure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from inferometer.metrics.bootstrap import Part
from inferometer.metrics.comparing.names import OUTPUT, Kind, kind_named, kind_of
from inferometer.metrics.comparing.sides import Side
from inferometer.metrics.comparing.units import Unit
from inferometer.metrics.slo import PointLimit

_AXES = ("max_concurrency", "request_rate")
_TPOT = "tpot_ms.p50"


class Curve(NamedTuple):
    """One repeat over the loads that it was measured at, in rising order; ``points`` are its figures at each."""

    loads: list[float]
    points: list[Mapping[str, Part]]


class AtSlo(NamedTuple):
    """What a repeat carries within the limits; ``why`` says why that is not known."""

    load: float | None
    output: float | None
    why: str = ""


def axis_of(sides: Sequence[Side], keys: Sequence[str]) -> str | None:
    """What is varied from load to load: ``max_concurrency`` or ``request_rate``; None if not just that."""
    for axis in _AXES:
        values = [side.loads[key].load.get(axis) for side in sides for key in keys]
        if all(isinstance(value, (int, float)) for value in values) and len(set(values)) > 1:
            return axis
    return None


def curves_of(side: Side, keys: Sequence[str], axis: str) -> list[Curve]:
    """The curve of each repeat that was measured at all of the loads."""
    by_repeat: dict[tuple[str, int], dict[str, Unit]] = {}
    for key in keys:
        for place, unit in enumerate(side.loads[key].units):
            identity = (unit.run, unit.repeat if unit.run else place)
            by_repeat.setdefault(identity, {})[key] = unit
    ordered = sorted(keys, key=lambda key: float(side.loads[key].load[axis]))
    return [
        Curve([float(side.loads[key].load[axis]) for key in ordered], [units[key].parts for key in ordered])
        for units in by_repeat.values()
        if len(units) == len(keys)
    ]


def at_slo(curve: Curve, limits: Sequence[PointLimit]) -> AtSlo:
    """The largest load within all limits, and the output throughput there, straight lines between load points.

    Unknown where the smallest load breaks a limit already, or the largest one still keeps all.
    """
    reach = math.inf
    for limit in limits:
        values = _limited(curve, limit)
        if values is None:
            return AtSlo(None, None, f"{limit.text}: not known at every load")
        over = values - limit.limit if limit.operator.startswith("<") else limit.limit - values
        if over[0] > 0.0:
            return AtSlo(None, None, f"{limit.text}: not met at the smallest load: measure smaller ones")
        broken = np.flatnonzero(over > 0.0)
        if len(broken):
            after = int(broken[0])
            share = over[after - 1] / (over[after - 1] - over[after])
            span = curve.loads[after] - curve.loads[after - 1]
            reach = min(reach, curve.loads[after - 1] + share * span)
    if math.isinf(reach):
        return AtSlo(None, None, "all limits are met at the largest load: measure larger ones")
    outputs = [part.value for part in _column(curve, OUTPUT)]
    output = float(np.interp(reach, curve.loads, outputs)) if len(outputs) == len(curve.loads) else None
    return AtSlo(reach, output)


def within_slo(
    curves: Sequence[Curve], limits: Sequence[PointLimit]
) -> tuple[dict[str, list[Part]], list[str]]:
    """The figures of ``at_slo`` by key, one part a repeat; none, and why, where one repeat does not tell."""
    reached = [at_slo(curve, limits) for curve in curves]
    why = list(dict.fromkeys(each.why for each in reached if each.why))
    if not reached:
        why = ["no run has all of the common loads, so none has a curve: measure them in one run"]
    elif not why and any(each.output is None for each in reached):
        why = ["output throughput at the limit: not known at every load"]
        return {"load_at_slo": [Part(each.load, 0.0, 0.0) for each in reached if each.load is not None]}, why
    if why:
        return {}, why
    loads = [Part(each.load, 0.0, 0.0) for each in reached if each.load is not None]
    outputs = [Part(each.output, 0.0, 0.0) for each in reached if each.output is not None]
    return {"load_at_slo": loads, "output_throughput_at_slo_per_s": outputs}, []


def limited_figure(limit: PointLimit) -> Kind:
    """The figure that a limit is on."""
    return kind_named(f"{limit.statistic}_{limit.metric}" if limit.statistic else limit.metric)


def area(curve: Curve) -> float | None:
    """Area under the front of output throughput over speed per user (1000 / median TPOT in ms), from 0/0.

    The hypervolume of the points that no other one beats in both (Zitzler & Thiele 1998): larger is better whatever one
    wants of the two. None with a missing figure.
    """
    outputs, tpots = _column(curve, OUTPUT), _column(curve, _TPOT)
    if len(outputs) < len(curve.loads) or len(tpots) < len(curve.loads) or min(t.value for t in tpots) <= 0.0:
        return None
    points = sorted(((1000.0 / t.value, o.value) for o, t in zip(outputs, tpots, strict=True)), reverse=True)
    total, height = 0.0, 0.0
    for speed, output in points:  # from the fastest user on: each step adds what is higher than all before
        if output > height:
            total += speed * (output - height)
            height = output
    return total


def geometric_means(curve: Curve, keys: Sequence[str]) -> dict[str, Part]:
    """The geometric mean of each figure over the loads, where all of them have it; shares are left out."""
    found = {}
    for key in keys:
        kind = kind_of(key)
        parts = _column(curve, key)
        if (
            kind is None
            or kind.absolute
            or len(parts) < len(curve.loads)
            or min(p.value for p in parts) <= 0.0
        ):
            continue
        n = len(parts)
        mean = math.exp(sum(math.log(p.value) for p in parts) / n)
        relative = sum((math.sqrt(p.variance) / p.value) ** 2 for p in parts) / n**2
        found[key] = Part(mean, relative * mean**2, sum(p.freedom for p in parts))
    return found


def _limited(curve: Curve, limit: PointLimit) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    parts = _column(curve, limited_figure(limit).key)
    return np.array([p.value for p in parts]) if len(parts) == len(curve.loads) else None


def _column(curve: Curve, key: str) -> list[Part]:
    return [point[key] for point in curve.points if key in point]

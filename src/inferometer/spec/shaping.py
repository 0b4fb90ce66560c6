"""What a load shape means for one load point: resolved values, the curve that follows, and how long it should last."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from inferometer.spec.curves import Curve, level_for_ever, ramp_over_arrivals, ramp_over_time, stairs
from inferometer.spec.shape import CLIMB_EVERY_S, RAMP_STEPS, Shape

if TYPE_CHECKING:
    from inferometer.spec.points import LoadPoint

LEAST_PART = 0.1  # of a rate: where a ramp that cannot begin at 0 begins
AFTERWARDS_S = 60.0  # a shape without a bound is followed by a minute of what was asked for
ROUNDS = 5  # of ``--waves``


class Bounds(NamedTuple):
    """What ends a load point."""

    num_prompts: int | None
    duration_s: float | None


def shape_fields(shape: Shape, bounds: Bounds, limit: int | None, rate: float | None) -> dict[str, Any]:
    """The fields of a ``LoadPoint`` that come from the shape, defaults filled in.

    Args:
        shape: what was asked for; free of contradictions (``shape_rules``).
        bounds: as asked for.
        limit: requests in flight; None = not limited.
        rate: requests per second; None = a closed loop.
    """
    fields: dict[str, Any] = {
        "burst": shape.burst,
        "waves": shape.waves,
        "drain": shape.drain,
        "stop_on_errors": shape.stop_on_errors,
        "stop_on_saturation": shape.stop_on_saturation,
        "cancel_share": shape.cancel_share,
        "cancel_within_s": shape.cancel_within_s,
        "spike": shape.spike,
        "spike_at_s": shape.spike_at_s,
        "spike_time_s": shape.spike_time_s,
    }
    if not shape.ramped:
        return fields
    target = float(limit or 1) if rate is None else rate
    begin = shape.ramp_from
    if shape.climb is not None:
        begin = shape.climb if begin is None else begin
        every_s = shape.climb_every_s or CLIMB_EVERY_S
        return fields | {"ramp": "climb", "ramp_from": begin, "climb": shape.climb, "climb_every_s": every_s}
    ramp, time_s = shape.ramp or "linear", shape.ramp_time_s or bounds.duration_s
    steps = (shape.ramp_steps or RAMP_STEPS) if ramp == "step" else None
    if begin is None and steps is not None:
        begin = target / steps if rate is not None else max(1.0, target / steps)
    elif begin is None and rate is None:
        begin = 1.0
    elif begin is None:
        begin = 0.0 if ramp == "linear" and time_s is not None else LEAST_PART * target
    return fields | {"ramp": ramp, "ramp_from": begin, "ramp_time_s": time_s, "ramp_steps": steps}


def usual_bounds(point: LoadPoint, count: int) -> Bounds:
    """The bounds of a load point for which none were given.

    Args:
        point: without bounds.
        count: requests of the same load without a shape.
    """
    if point.waves:
        return Bounds(ROUNDS * (point.max_concurrency or 1), None)
    timed = point.spike is not None or point.climb is not None or point.ramp_time_s is not None
    curve = point.curve if timed else None
    if curve is None:
        return Bounds(count, None)
    span_s = curve.end_s + AFTERWARDS_S
    return Bounds(None, span_s) if point.closed else Bounds(math.ceil(curve.area(span_s)), None)


@lru_cache(maxsize=64)
def curve_of(point: LoadPoint) -> Curve:
    """Rate, or requests in flight, over time.

    A ramp without a time goes over the requests of the load point; those have to be known.
    """
    target = float(point.max_concurrency or 1) if point.request_rate is None else point.request_rate
    curve = level_for_ever(target) if point.ramp is None else _ramp(point, target)
    if point.spike is None or point.spike_at_s is None or point.spike_time_s is None:
        return curve
    return curve.raised(point.spike, point.spike_at_s, point.spike_time_s)


def _ramp(point: LoadPoint, target: float) -> Curve:
    begin = point.ramp_from or 0.0
    if point.climb is not None:
        levels = [begin]
        while levels[-1] < target:
            levels.append(min(target, levels[-1] + point.climb))
        return stairs(levels if begin < target else [target], [point.climb_every_s or 0.0] * len(levels))
    if begin == target:
        return level_for_ever(target)
    if point.ramp == "step":
        steps = point.ramp_steps or 1
        levels = (
            [begin + (target - begin) * step / (steps - 1) for step in range(steps)]
            if steps > 1
            else [target]
        )
        if point.ramp_time_s is not None:
            return stairs(levels, [point.ramp_time_s / steps] * steps)
        return stairs(levels, [(point.num_prompts or 0) / steps / level for level in levels])
    form: Literal["linear", "exponential"] = "exponential" if point.ramp == "exponential" else "linear"
    if point.ramp_time_s is not None:
        return ramp_over_time(form, begin, target, point.ramp_time_s)
    return ramp_over_arrivals(form, begin, target, float(point.num_prompts or 1))


def mean_rate(point: LoadPoint) -> float | None:
    """Arrivals per second over the whole of an open-loop load point; None for a closed loop and for a trace."""
    rate = point.request_rate
    curve = point.curve if rate is not None else None
    if curve is None:
        return rate
    if point.num_prompts is not None:
        return point.num_prompts / curve.time_of(point.num_prompts)
    span_s = point.duration_s or curve.end_s + AFTERWARDS_S
    return curve.area(span_s) / span_s


def settled_s(point: LoadPoint) -> float:
    """From when on a load is as high as was asked for, in seconds from the epoch; 0 without a ramp."""
    return 0.0 if point.ramp is None else curve_of(replace(point, spike=None)).end_s


def shape_words(load: Mapping[str, Any]) -> tuple[str, str]:
    """A shape in words for a title: what stands before the load (``1 to ``), and what stands after its unit.

    Args:
        load: a load point as ``PointRecord.load`` holds it; one of an earlier version has no shape.
    """
    ramp, begin = load.get("ramp"), load.get("ramp_from") or 0.0
    words = []
    if ramp == "climb":
        words.append(f"climb {load['climb']:g} each {load['climb_every_s']:g} s")
    elif ramp == "step":
        words.append(f"in {load['ramp_steps']} steps")
    elif ramp is not None:
        words.append(str(ramp))
    after = f" {' '.join(words)}" if words else ""
    if load.get("burst", 1) > 1:
        after += f" in bursts of {load['burst']}"
    if load.get("spike") is not None:
        after += f", spike x{load['spike']:g}"
    if load.get("waves"):
        after += " in waves"
    if load.get("cancel_share"):
        after += f", {load['cancel_share'] * 100:g} % given up"
    return (f"{begin:g} to " if ramp is not None else ""), after

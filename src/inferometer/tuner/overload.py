"""Whether more came in than the server carried.

Then latencies grow for as long as one measures, and no percentile of them means anything.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from inferometer.metrics.concurrency import Window, holders, mean_in_flight
from inferometer.metrics.latency import NS_PER_S
from inferometer.record.tables import PointTable

_BEYOND_CHANCE = 3.0  # standard deviations of what a queue wanders by itself
_LEAST_SPREAD = 0.3  # of the gaps between arrivals, for those at a constant rate
_LEAST_GROWTH = 4.0  # requests
_FEWEST_ENDS = 20  # to reckon a rate from


class Overload(NamedTuple):
    """What piled up.

    Attributes:
        growth: by how many requests in flight grew over half of the load point.
        carried_per_s: completed per second meanwhile; None from too few.
    """

    growth: float
    carried_per_s: float | None


def overload_of(table: PointTable, burstiness: float) -> Overload | None:
    """What piled up at a load point of an open loop; None where in-flight did not grow beyond chance.

    In-flight is compared between the second and the last quarter of the arrivals. A queue below saturation wanders by
    about the square root of what comes and goes in between; growth beyond three times that is a trend.
    """
    start_ns, end_ns, _ = holders(table)
    if len(start_ns) < _FEWEST_ENDS:
        return None
    first_ns, last_ns = float(start_ns.min()), float(start_ns.max())
    quarter_ns = (last_ns - first_ns) / 4.0
    early = mean_in_flight(start_ns, end_ns, Window(first_ns + quarter_ns, first_ns + 2 * quarter_ns))
    late = mean_in_flight(start_ns, end_ns, Window(last_ns - quarter_ns, last_ns))
    if early is None or late is None:
        return None
    spread = max(_LEAST_SPREAD, 1.0 / math.sqrt(burstiness))
    chance = _BEYOND_CHANCE * spread * math.sqrt(len(start_ns) / 2.0)
    growth = late - early
    if growth <= max(chance, _LEAST_GROWTH) and table.point.stop_reason != "saturated":
        return None
    ended = np.sort(end_ns[(end_ns > first_ns + quarter_ns) & (end_ns <= last_ns)])
    span_s = float(np.ptp(ended)) / NS_PER_S if len(ended) >= _FEWEST_ENDS else 0.0
    return Overload(growth, (len(ended) - 1) / span_s if span_s > 0 else None)

"""How the output rate went over a load point: few numbers, enough for a small picture in a list or a terminal."""

from __future__ import annotations

import numpy as np

from inferometer.metrics.curves import output_curve
from inferometer.metrics.latency import PointData

PARTS = 40
_DIGITS = 3


def output_course(data: PointData) -> list[float]:
    """Output tokens per second, by arrival, in equal parts of the time from the first send to the last end.

    Empty when the tokens of a successful request are not known, or none succeeded.
    """
    sent_ns, end_ns = data.column("sent_ns"), data.end_ns
    if not len(sent_ns) or np.isnan(sent_ns).all() or np.isnan(end_ns).all():
        return []
    start, end = float(np.nanmin(sent_ns)), float(np.nanmax(end_ns))
    curve = output_curve(data) if end > start else None
    if curve is None:
        return []
    rates = curve.rates(np.linspace(start, end, PARTS + 1))
    return [round(float(rate), _DIGITS) for rate in rates]

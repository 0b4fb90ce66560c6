"""A spike of load and the recovery after it: latencies before, during and after, and how long it takes to be back."""

from __future__ import annotations

import msgspec
import numpy as np

from inferometer.metrics.groups import Group, grouped
from inferometer.metrics.latency import NS_PER_S, Bools, Floats, PointData
from inferometer.metrics.percentiles import percentile_name, samples_needed
from inferometer.spec import LoadPoint

_RECOVERED = 1.10  # of the percentile before the spike
_JUDGED = (99.0, 95.0, 90.0, 75.0, 50.0)
_AT_ONCE = 1024  # windows
_WINDOWS = 5  # after the spike, at least, for the percentile by which the recovery is judged


class Spike(msgspec.Struct, frozen=True, kw_only=True):
    """A spike of load and what became of it.

    Attributes:
        factor: the load rose to so many times itself.
        at_s: when it began, from the epoch of the load point.
        time_s: how long it lasted.
        before: requests planned before it, those of a ramp left out.
        during: requests planned in it.
        after: requests planned after it.
        judged: metric and percentile of the recovery ("p90_ttft_ms"); None when there are too few requests.
        before_ms: its value before the spike.
        recovery_s: time from the end of the spike until the percentile of the requests that follow is within 10 % of
            what it was before, 0 if it never left; None when it did not come back, or is not known.
        reason: why ``recovery_s`` is None; empty otherwise.
    """

    factor: float
    at_s: float
    time_s: float
    before: Group
    during: Group
    after: Group
    judged: str | None
    before_ms: float | None
    recovery_s: float | None
    reason: str


def spike_of(data: PointData, percentiles: tuple[float, ...]) -> Spike | None:
    """The spike of a load point; None where none was asked for.

    Args:
        data: latencies from the headline origin.
        percentiles: which to show.
    """
    load = data.table.point.load
    if load.get("spike") is None:
        return None
    factor, at_s, time_s = (float(load[name]) for name in ("spike", "spike_at_s", "spike_time_s"))
    planned_s = data.table.number("planned_ns") / NS_PER_S
    begin_s = LoadPoint.from_dict(load).settled_s
    masks = {
        "before": (planned_s >= begin_s) & (planned_s < at_s),
        "during": (planned_s >= at_s) & (planned_s < at_s + time_s),
        "after": planned_s >= at_s + time_s,
    }
    before, during, after = grouped(data, masks, percentiles)
    metric = "ttft_ms" if not np.isnan(data.ttft_ms).all() else "e2el_ms"
    recovery = _recovery(data, metric, (masks["before"], masks["after"]), at_s + time_s)
    return Spike(
        factor=factor,
        at_s=at_s,
        time_s=time_s,
        before=before,
        during=during,
        after=after,
        judged=recovery[0],
        before_ms=recovery[1],
        recovery_s=recovery[2],
        reason=recovery[3],
    )


def _recovery(
    data: PointData, metric: str, masks: tuple[Bools, Bools], end_s: float
) -> tuple[str | None, float | None, float | None, str]:
    """Judged percentile, its value before, time to recover, and why there is none.

    The highest percentile that the requests before can carry, and of which those after make at least five windows. A
    window is as many consecutive requests as the percentile needs; recovered at the first request of the first
    window, of those that begin at any request, whose percentile is back.
    """
    values = getattr(data, metric)
    before, after = (values[mask[data.ok]] for mask in masks)
    before, known = before[~np.isnan(before)], ~np.isnan(after)
    planned_s = data.column("planned_ns")[masks[1][data.ok]][known] / NS_PER_S
    order = np.argsort(planned_s, kind="stable")
    after, planned_s = after[known][order], planned_s[order]
    p = next(
        (
            p
            for p in _JUDGED
            if len(before) >= samples_needed(p) and len(after) >= _WINDOWS * samples_needed(p)
        ),
        None,
    )
    if p is None:
        least = samples_needed(_JUDGED[-1])
        return None, None, None, f"needs {least} requests before the spike and {_WINDOWS * least} after it"
    name, size = f"{percentile_name(p)}_{metric}", samples_needed(p)
    usual_ms = float(np.percentile(before, p))
    first = _first_back(after, size, p, _RECOVERED * usual_ms)
    if first is None:
        return name, usual_ms, None, "it had not come back within 10 % when the load point ended"
    return name, usual_ms, 0.0 if first == 0 else float(planned_s[first] - end_s), ""


def _first_back(values: Floats, size: int, p: float, limit: float) -> int | None:
    """Where the first run of ``size`` values begins whose p-th percentile is within a limit; None without one."""
    windows = np.lib.stride_tricks.sliding_window_view(values, size)
    for begin in range(0, len(windows), _AT_ONCE):  # all windows in one would take ``size`` times the memory
        back = np.flatnonzero(np.percentile(windows[begin : begin + _AT_ONCE], p, axis=1) <= limit)
        if len(back):
            return begin + int(back[0])
    return None

"""A spike of load and the recovery after it: latencies before, during and after, and how long it takes to be back."""

from __future__ import annotations

import msgspec
import numpy as np

from inferometer.metrics.latency import NS_PER_S, Bools, Floats, PointData
from inferometer.metrics.percentiles import Stat, percentile_name, samples_needed, stat
from inferometer.spec import LoadPoint

_RECOVERED = 1.10  # of the percentile before the spike
_JUDGED = (99.0, 95.0, 90.0, 75.0, 50.0)
_WINDOWS = 5  # after the spike, at least, for the percentile by which the recovery is judged


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that were planned in one part of the load point.

    Attributes:
        requests: how many, failed ones and those given up too.
        ok: how many of them succeeded.
        stats: TTFT, TPOT and E2EL of the successful ones, by key; as in ``PointSummary.stats``.
    """

    requests: int
    ok: int
    stats: dict[str, Stat]


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
    before: Phase
    during: Phase
    after: Phase
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
    masks = (
        (planned_s >= begin_s) & (planned_s < at_s),
        (planned_s >= at_s) & (planned_s < at_s + time_s),
        planned_s >= at_s + time_s,
    )
    before, during, after = (_phase(data, mask, percentiles) for mask in masks)
    metric = "ttft_ms" if not np.isnan(data.ttft_ms).all() else "e2el_ms"
    recovery = _recovery(data, metric, (masks[0], masks[2]), at_s + time_s)
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


def _phase(data: PointData, mask: Bools, percentiles: tuple[float, ...]) -> Phase:
    mine = mask[data.ok]
    samples = {"ttft_ms": data.ttft_ms, "tpot_ms": data.tpot_ms, "e2el_ms": data.e2el_ms}
    stats = {key: stat(sample[mine], percentiles) for key, sample in samples.items()}
    return Phase(
        requests=int(mask.sum()),
        ok=int(mine.sum()),
        stats={key: found for key, found in stats.items() if found is not None},
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
    rolling = np.percentile(np.lib.stride_tricks.sliding_window_view(after, size), p, axis=1)
    back: Floats = np.flatnonzero(rolling <= _RECOVERED * usual_ms).astype(np.float64)
    if not len(back):
        return name, usual_ms, None, "it had not come back within 10 % when the load point ended"
    first = int(back[0])
    return name, usual_ms, 0.0 if first == 0 else float(planned_s[first] - end_s), ""

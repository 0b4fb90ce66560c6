"""Conditions on loads that change: the curve was followed, all of it; and on load points that were stopped early."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from inferometer.metrics.concurrency import holders
from inferometer.metrics.counts import cut_off_rows, given_up_rows
from inferometer.metrics.evidence import Evidence
from inferometer.metrics.latency import NS_PER_S, Floats
from inferometer.metrics.verdict import Condition
from inferometer.schedule.permits import levels_at, permit_edges
from inferometer.spec import LoadPoint, load_title
from inferometer.spec.curves import Curve

_PARTS = 10  # of the arrivals, each judged by itself
_LEAST_IN_PART = 10
_RATE_TOLERANCE = 0.01
_LATE_MS = 2.0
_CONCURRENCY_SHARE = 0.95
_SIGMAS = 4.0  # of the share of requests that are given up
_MOMENTS = 5000  # at which the permits and what is in flight are compared
_WHY_STOPPED = {
    "errors": (
        "the failed share went above --stop-on-errors, so no more was sent",
        "find the cause of the failures; the numbers cover only what was sent until then",
    ),
    "saturated": (
        "requests piled up, so no more was sent",
        "the server carries less than this rate: latencies grow with the time that the load lasts, and say little",
    ),
}


def sends_late(e: Evidence) -> str:
    """What to do where fewer requests were in flight than there could be; in virtual time no client is ever late.

    Where more requests fail than succeed, the failures are the reason, however fast the client is.
    """
    if e.table.point.virtual or e.counts.failed > e.counts.ok:
        return "see the failures: a request that is refused is hardly in flight"
    return "use a less busy or faster client machine: it was slow to send again"


def curve_of_load(e: Evidence) -> Curve | None:
    """The curve of the load point; None for a load that stays as it is."""
    load = e.table.point.load
    shaped = load.get("ramp") is not None or load.get("spike") is not None
    return LoadPoint.from_dict(load).curve if shaped else None


def stopped_early(e: Evidence) -> Condition | None:
    """The load point was not stopped by its own rules."""
    why = _WHY_STOPPED.get(e.table.point.stop_reason or "")
    if why is None:
        return None
    return Condition(
        name="stopped early",
        level="warn",
        asked=why[0],
        measured=_elapsed_s(e),
        limit=None,
        unit="s",
        ok=False,
        next_step=why[1],
    )


def _elapsed_s(e: Evidence) -> float | None:
    """Until the last send."""
    sent_ns = e.table.number("sent_ns")
    return None if np.isnan(sent_ns).all() else float(np.nanmax(sent_ns)) / NS_PER_S


def shape_complete(e: Evidence) -> Condition | None:
    """The load point lasted until the curve had come to its end.

    One that time ended did, whenever its last request was due: rates may be low, and answers long.
    """
    curve = curve_of_load(e)
    reason = e.table.point.stop_reason
    if curve is None or not curve.end_s or reason in _WHY_STOPPED:
        return None
    load = LoadPoint.from_dict(e.table.point.load)
    if load.ramp is not None and load.ramp_time_s is None and load.climb is None and load.spike is None:
        return None  # it goes over the requests, whatever their times
    asked_s = min(curve.end_s, load.duration_s or curve.end_s)
    timed = reason == "duration" or (reason == "complete" and load.num_prompts is None)
    lasted_s = asked_s if timed else _elapsed_s(e)
    # The last request of a curve may be due a little before its end.
    ok = None if lasted_s is None else lasted_s >= (1.0 - 0.05) * asked_s
    return Condition(
        name="shape",
        level="warn",
        asked=f"requests until the end of the {'spike' if load.spike is not None else 'ramp'}",
        measured=lasted_s,
        limit=asked_s,
        unit="s",
        ok=ok,
        next_step="no request was sent"
        if ok is None
        else "the load point ended before its shape did: give more --num-prompts, or --duration",
    )


def given_up_as_asked(e: Evidence) -> Condition | None:
    """As large a share of the requests was given up as was asked for, but for chance."""
    share = float(e.table.point.load.get("cancel_share") or 0.0)
    sent = ~np.isnan(e.table.number("sent_ns")) & ~cut_off_rows(e.table)
    requests = int(sent.sum())
    if not share or not requests:
        return None
    measured = float((sent & given_up_rows(e.table)).sum()) / requests
    least = share - _SIGMAS * math.sqrt(share * (1.0 - share) / requests)
    return Condition(
        name="given up",
        level="warn",
        asked=f"{share * 100:g} % of the requests given up by the client",
        measured=measured,
        limit=max(0.0, least),
        unit="share",
        ok=measured >= least,
        next_step="answers had ended before their clients left: a part of an answer is counted in chunks, one for each "
        "token, and theirs have several; give --cancel-within, shorter than answers take"
        if e.table.point.load.get("cancel_within_s") is None
        else "answers had ended before their clients left: give a shorter --cancel-within",
    )


def rate_followed(e: Evidence) -> Condition | None:
    """Each tenth of the arrivals went out at the rate of the schedule; None with too few to say.

    The mean over a whole ramp would hide a peak that was not reached.
    """
    arrivals = ~(e.table.number("turn") > 0)
    planned_ns = np.sort(e.table.number("planned_ns")[arrivals])
    sent_ns = e.table.number("sent_ns")[arrivals]
    if np.isnan(sent_ns).any() or len(sent_ns) < _PARTS * _LEAST_IN_PART:
        return None
    planned, sent = _worst_part(planned_ns, np.sort(sent_ns))
    late_ms = abs(sent.length_s - planned.length_s) * 1e3
    off = abs(sent.per_s / planned.per_s - 1.0) if planned.per_s else 0.0
    unit = "sessions/s" if e.table.point.load.get("sessions") else "req/s"
    return Condition(
        name="achieved rate",
        level="hard",
        asked=f"{load_title(e.table.point.load)}, each tenth of the requests within 1 % of the schedule's own rate",
        measured=sent.per_s,
        limit=planned.per_s,
        unit=unit,
        ok=off <= _RATE_TOLERANCE or late_ms <= _LATE_MS,
        next_step="spread the load over more --workers, use a faster client machine, or ask for a lower rate"
        if e.table.point.load.get("max_concurrency") is None
        else "--max-concurrency may hold requests back: raise it, or ask for a lower rate",
    )


class _Part:
    """Consecutive arrivals: how long they took, and their rate."""

    def __init__(self, times_ns: Floats) -> None:
        self.length_s = float(times_ns[-1] - times_ns[0]) / NS_PER_S
        self.per_s = (len(times_ns) - 1) / self.length_s if self.length_s > 0 else 0.0


def _worst_part(planned_ns: Floats, sent_ns: Floats) -> tuple[_Part, _Part]:
    """The tenth in which the rate was missed by most, as planned and as sent."""
    ends = np.linspace(0, len(planned_ns) - 1, _PARTS + 1).astype(int)
    pairs = [
        (_Part(planned_ns[low : high + 1]), _Part(sent_ns[low : high + 1]))
        for low, high in pairwise(ends.tolist())
    ]
    return max(pairs, key=lambda pair: abs(pair[1].length_s - pair[0].length_s) / max(pair[0].length_s, 1e-9))


def curve_held(e: Evidence, curve: Curve) -> Condition:
    """As many requests, or sessions, were in flight as the curve asked for, until a worker had begun its last."""
    held = _held(e, curve)
    return Condition(
        name="concurrency",
        level="hard",
        asked=f"{load_title(e.table.point.load)}, 95 % of it held",
        measured=None if held is None else held[0],
        limit=None if held is None else _CONCURRENCY_SHARE * held[1],
        unit="sessions" if e.table.point.load.get("sessions") else "requests",
        ok=None if held is None else held[0] >= _CONCURRENCY_SHARE * held[1],
        next_step="too few requests to follow the curve: give more --num-prompts, or --duration"
        if held is None
        else sends_late(e),
    )


def _held(e: Evidence, curve: Curve) -> tuple[float, float] | None:
    """Time-weighted means of what was in flight, the curve being the most that counts, and of the curve."""
    start_ns, end_ns, worker = holders(e.table)
    lasts = [start_ns[worker == each].max() for each in np.unique(worker)]
    if not lasts or min(lasts) <= 0:
        return None
    at_ns = np.linspace(0.0, float(min(lasts)), _MOMENTS)
    begun = np.searchsorted(np.sort(start_ns), at_ns, "right")
    ended = np.searchsorted(np.sort(end_ns), at_ns, "right")
    asked = np.fromiter(levels_at(permit_edges(curve), iter(at_ns.astype(int).tolist())), float)
    return float(np.minimum(begun - ended, asked).mean()), float(asked.mean())


def rounds_full(e: Evidence) -> Condition:
    """Whole rounds began together: each round had all its requests in flight once its last one was sent.

    Requests that had ended by then, or begun late, are missing from the batch that the server could make.
    """
    asked = int(e.table.point.load.get("max_concurrency") or 1)
    start_ns, end_ns, _ = holders(e.table)
    rounds = len(start_ns) // asked
    whole = np.argsort(start_ns, kind="stable")[: rounds * asked]  # rounds do not overlap
    starts, ends = start_ns[whole].reshape(rounds, asked), end_ns[whole].reshape(rounds, asked)
    measured = None
    if rounds:
        measured = float((ends >= starts.max(axis=1, keepdims=True)).sum(axis=1).mean())
    return Condition(
        name="concurrency",
        level="hard",
        asked=f"rounds of {asked} in flight together, 95 % of it held",
        measured=measured,
        limit=_CONCURRENCY_SHARE * asked,
        unit="requests",
        ok=None if measured is None else measured >= _CONCURRENCY_SHARE * asked,
        next_step=f"there was no whole round of {asked}: --num-prompts {5 * asked} or more"
        if measured is None
        else "answers were so short that some had ended before the round was sent: ask for longer ones",
    )

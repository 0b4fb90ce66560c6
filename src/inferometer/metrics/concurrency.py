"""How many requests were in flight: time-weighted mean, peak, and the plateau of a closed loop."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from inferometer.metrics.latency import NS_PER_S, Floats
from inferometer.record.tables import PointTable
from inferometer.schedule import Shard
from inferometer.spec import LoadPoint


class Window(NamedTuple):
    """A span of time, in ns from the point's epoch."""

    start_ns: float
    end_ns: float


def spans(table: PointTable) -> tuple[Floats, Floats]:
    """Send and end of every request that was sent, failed ones too.

    A request whose end is not known counts as in flight until the last known moment of the point.
    """
    sent = ~np.isnan(table.number("sent_ns"))
    start, end = table.number("sent_ns")[sent], table.number("end_ns")[sent]
    if not len(start):
        return start, end
    known = np.concatenate((start, end[~np.isnan(end)]))
    return start, np.where(np.isnan(end), known.max(), end)


def has_sessions(table: PointTable) -> bool:
    """Whether requests were turns of sessions, be it that no later turn was ever due."""
    return bool(((table.number("turn") > 0) | (table.number("turns_left") > 0)).any())


def holders(table: PointTable) -> tuple[Floats, Floats, Floats]:
    """Start, end and worker of what holds a permit: a request, or a session from its first send to its last end.

    A session that was to go on when the load point ended holds its permit until the last known moment: its user was
    thinking. Records are in order of ``index``, in which the turns of a session follow one another.
    """
    turn, turns_left, worker = (table.number(name) for name in ("turn", "turns_left", "worker"))
    if not has_sessions(table):
        return *spans(table), worker[~np.isnan(table.number("sent_ns"))]
    firsts = np.flatnonzero(~(turn > 0))
    start = np.fmin.reduceat(table.number("sent_ns"), firsts)
    end = np.fmax.reduceat(table.number("end_ns"), firsts)
    known = ~np.isnan(start)
    lasts = np.append(firsts[1:], len(turn)) - 1
    goes_on = (turns_left[lasts] > 0) & (table.text("status")[lasts] == "ok")
    moment = np.fmax.reduce(np.concatenate((start, end)), initial=0.0)
    return start[known], np.where(np.isnan(end) | goes_on, moment, end)[known], worker[firsts][known]


def mean_in_flight(start: Floats, end: Floats, window: Window) -> float | None:
    """Time-weighted mean of the number of spans that cover the window's moments; None for an empty window."""
    length = window.end_ns - window.start_ns
    if not length > 0:
        return None
    covered = np.clip(end, *window) - np.clip(start, *window)
    return float(covered.sum() / length)


def peak_in_flight(start: Floats, end: Floats) -> int | None:
    """Largest number of spans that overlap; a span that ends as another starts does not overlap it."""
    if not len(start):
        return None
    moment = np.concatenate((start, end))
    change = np.concatenate((np.ones(len(start)), -np.ones(len(end))))
    order = np.lexsort((change, moment))
    return int(np.cumsum(change[order]).max())


def concurrency_mean(table: PointTable) -> float | None:
    """Time-weighted mean of requests in flight, from the first send to the last end of the point."""
    start, end = spans(table)
    return mean_in_flight(start, end, Window(float(start.min()), float(end.max()))) if len(start) else None


def concurrency_peak(table: PointTable) -> int | None:
    """Most requests in flight at one moment."""
    return peak_in_flight(*spans(table))


def held_ns(table: PointTable) -> Window:
    """While the load was what was asked for: from the end of a ramp, else 0, until a spike, else for ever.

    After a spike the server is busy with what the spike has left.
    """
    load, spike_at_s = table.point.load, table.point.load.get("spike_at_s")
    begin_s = 0.0 if load.get("ramp") is None else LoadPoint.from_dict(load).settled_s
    return Window(begin_s * NS_PER_S, math.inf if spike_at_s is None else float(spike_at_s) * NS_PER_S)


def plateau(table: PointTable, asked: int) -> Window | None:
    """The part of a closed loop in which ``asked`` requests, or sessions, should be under way.

    It starts when every worker had begun as many of them as it holds permits, not before a ramp has ended, and ends
    when a worker had begun its last, from when on its permits go back unused, or with a spike. None when there is no
    such time.
    """
    start_ns, _, worker = holders(table)
    starts, ends = [], []
    for w in range(table.point.workers):
        permits = len(Shard(w, table.point.workers).slots(asked))
        own = np.sort(start_ns[worker == w])
        if permits and len(own) <= permits:
            return None
        if permits:
            starts.append(float(own[permits - 1]))
            ends.append(float(own[-1]))
    held = held_ns(table)
    window = Window(max(*starts, held.start_ns), min(*ends, held.end_ns))
    return window if window.end_ns > window.start_ns else None


def plateau_concurrency(table: PointTable, asked: int) -> float | None:
    """Time-weighted mean of requests, or sessions, under way on the plateau; None when there is no plateau."""
    window = plateau(table, asked)
    start, end, _ = holders(table)
    return None if window is None else mean_in_flight(start, end, window)

"""How well the load generator kept up: lateness of sends and reads, achieved rate, CPU."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from inferometer.metrics.latency import NS_PER_MS, NS_PER_S, Floats
from inferometer.record.tables import PointTable

_BURST_NS = 2e6  # requests due within this time of each other are one burst
_BURST_MS_PER_REQUEST = 0.1  # the pace at which a closed loop hands out its first permits


class Rate(NamedTuple):
    """Dispatch as planned and as done: requests per second, and how long the span from first to last took."""

    planned_per_s: float
    achieved_per_s: float
    planned_span_s: float
    achieved_span_s: float


def send_lag_ms(table: PointTable) -> Floats:
    """How much later than planned each request was sent, in ms; those never sent left out."""
    lag_ms = (table.number("sent_ns") - table.number("planned_ns")) / NS_PER_MS
    return lag_ms[~np.isnan(lag_ms)]


def own_lag_ms(table: PointTable) -> Floats:
    """The part of ``send_lag_ms`` that the generator alone answers for.

    Waiting for a permit is the doing of the asked concurrency limit and shows in the achieved rate;
    connecting is the doing of network and server.
    """
    return _due_and_lag(table)[1]


def late_ms(table: PointTable) -> Floats:
    """``own_lag_ms`` without the time that a burst takes to be written.

    What is due at one instant cannot leave in one: all requests at rate inf, or those whose permits came free
    together because answers of equal length ended in one step of the server.
    """
    due_ns, lag_ms = _due_and_lag(table)
    ordered = np.sort(due_ns)
    together = np.searchsorted(ordered, due_ns, "right") - np.searchsorted(
        ordered, due_ns - _BURST_NS, "left"
    )
    return np.clip(lag_ms - _BURST_MS_PER_REQUEST * (together - 1), 0.0, None)


def _due_and_lag(table: PointTable) -> tuple[Floats, Floats]:
    """When each request that was sent was due, in ns, and its ``own_lag_ms``."""
    sent, planned = table.number("sent_ns"), table.number("planned_ns")
    due = np.fmax(planned, table.number("queued_ns"))
    connecting = table.number("connect_end_ns") - np.fmax(due, table.number("connect_start_ns"))
    lag_ns = sent - due - np.clip(np.nan_to_num(connecting), 0.0, None)
    known = ~np.isnan(lag_ns)
    return due[known], np.clip(lag_ns[known] / NS_PER_MS, 0.0, None)


def receive_lag_ms(table: PointTable) -> Floats:
    """Our read - kernel receive time of every chunk that has both, in ms."""
    lag_ms = np.asarray(table.chunks["lag_ns"], dtype=np.float64) / NS_PER_MS
    return lag_ms[~np.isnan(lag_ms)]


def dispatch_rate(table: PointTable) -> Rate | None:
    """The rate of the schedule beside the rate of the sends; None with fewer than two of either.

    The schedule's own rate is the measure, not the number that was asked for: a Poisson schedule of few
    requests differs from its mean by chance, and that is no fault of the generator.
    """
    planned, sent = table.number("planned_ns"), table.number("sent_ns")
    sent = sent[~np.isnan(sent)]
    if len(planned) < 2 or len(sent) < 2:
        return None
    planned_s = float(np.ptp(planned)) / NS_PER_S
    sent_s = float(np.ptp(sent)) / NS_PER_S
    if planned_s <= 0 or sent_s <= 0:
        return None
    return Rate((len(planned) - 1) / planned_s, (len(sent) - 1) / sent_s, planned_s, sent_s)


def cpu_share(table: PointTable) -> float | None:
    """CPU seconds per second of the busiest worker; None when no worker reported."""
    return max((h.cpu_s / h.wall_s for h in table.point.health if h.wall_s > 0), default=None)

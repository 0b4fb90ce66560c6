"""How well the load generator kept up: lateness of sends and reads, achieved rate, CPU, the clock."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from inferometer.metrics.latency import NS_PER_MS, NS_PER_S, Floats
from inferometer.record.tables import PointTable, Telemetry
from inferometer.record.types import ClientHealth

_BURST_NS = 2e6  # requests due within this time of each other are one burst
_BURST_MS_PER_REQUEST = 0.1  # the pace at which a closed loop hands out its first permits
_LEAST_SAMPLES = 5  # of a second each, before a percentile of them is asked for


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
    return due_and_lag(table)[1]


def late_ms(table: PointTable) -> Floats:
    """``own_lag_ms`` without the time that a burst takes to be written.

    What is due at one instant cannot leave in one: all requests at rate inf, or those whose permits came free
    together because answers of equal length ended in one step of the server. Workers write at the same time, so
    only what the same worker had to write is allowed for.
    """
    due_ns, lag_ms, worker = due_and_lag(table)
    late = np.empty(len(lag_ms))
    for each in np.unique(worker):
        own = worker == each
        late[own] = np.clip(lag_ms[own] - _BURST_MS_PER_REQUEST * _before(due_ns[own]), 0.0, None)
    return late


def _before(due_ns: Floats) -> Floats:
    """How many others were due at the same time as each request, or up to 2 ms before it."""
    ordered = np.sort(due_ns)
    upto = np.searchsorted(ordered, due_ns, "right")
    together = upto - np.searchsorted(ordered, due_ns - _BURST_NS, "left")
    return np.asarray(together - 1, dtype=np.float64)


def due_and_lag(table: PointTable) -> tuple[Floats, Floats, Floats]:
    """When each request that was sent was due, in ns, its ``own_lag_ms``, and its worker."""
    sent, planned = table.number("sent_ns"), table.number("planned_ns")
    due = np.fmax(planned, table.number("queued_ns"))
    connecting = table.number("connect_end_ns") - np.fmax(due, table.number("connect_start_ns"))
    lag_ns = sent - due - np.clip(np.nan_to_num(connecting), 0.0, None)
    known = ~np.isnan(lag_ns)
    return due[known], np.clip(lag_ns[known] / NS_PER_MS, 0.0, None), table.number("worker")[known]


def own_lag_ms_by_worker(table: PointTable) -> dict[int, Floats]:
    """``own_lag_ms`` of the requests of each worker that sent any."""
    _, lag_ms, worker = due_and_lag(table)
    return {int(each): lag_ms[worker == each] for each in np.unique(worker)}


def receive_lag_ms(table: PointTable) -> Floats:
    """Our read - kernel receive time of every chunk that has both, in ms."""
    lag_ms = np.asarray(table.chunks["lag_ns"], dtype=np.float64) / NS_PER_MS
    return np.asarray(lag_ms[~np.isnan(lag_ms)])


def receive_lag_ms_by_worker(table: PointTable) -> dict[int, Floats]:
    """``receive_lag_ms`` of the chunks that each worker read."""
    lag_ms = np.asarray(table.chunks["lag_ns"], dtype=np.float64) / NS_PER_MS
    known = ~np.isnan(lag_ms)
    request = np.asarray(table.chunks["request"], dtype=np.float64)[known]
    worker = table.number("worker")[np.searchsorted(table.number("index"), request)]
    return {int(each): lag_ms[known][worker == each] for each in np.unique(worker)}


def dispatch_rate(table: PointTable) -> Rate | None:
    """The rate of the schedule beside the rate of the sends; None with fewer than two of either.

    The schedule's own rate is the measure, not the number that was asked for: a Poisson schedule of few
    requests differs from its mean by chance, and that is no fault of the generator. Later turns of a session are
    no arrivals.
    """
    arrivals = ~(table.number("turn") > 0)
    planned, sent = table.number("planned_ns")[arrivals], table.number("sent_ns")[arrivals]
    sent = sent[~np.isnan(sent)]
    if len(planned) < 2 or len(sent) < 2:
        return None
    planned_s = float(np.ptp(planned)) / NS_PER_S
    sent_s = float(np.ptp(sent)) / NS_PER_S
    if planned_s <= 0 or sent_s <= 0:
        return None
    return Rate((len(planned) - 1) / planned_s, (len(sent) - 1) / sent_s, planned_s, sent_s)


def kernel_clock(table: PointTable) -> bool | None:
    """Whether all receive times are the kernel's; None when no worker reported."""
    health = table.point.health
    return all(h.receive_clock == "kernel" for h in health) if health else None


def stamped_share(table: PointTable) -> float | None:
    """The part of the chunks that has a kernel receive time; None when there are no chunks."""
    lag_ns = np.asarray(table.chunks["lag_ns"], dtype=np.float64)
    return float(np.isfinite(lag_ns).mean()) if len(lag_ns) else None


def longest_turn_ms(table: PointTable) -> float | None:
    """The longest time that a worker was away from its sockets, busy or woken late; None when one does not know."""
    longest = []
    for health in table.point.health:
        if health.poll_late_max_s is None:
            return None
        longest.append(max(health.loop_turn_max_s, health.poll_late_max_s) * 1e3)
    return max(longest, default=None)


def cpu_share(table: PointTable) -> float | None:
    """CPU seconds per second of the busiest worker; None when no worker reported."""
    return max((h.cpu_s / h.wall_s for h in table.point.health if h.wall_s > 0), default=None)


def busy_cpu_share(table: PointTable, telemetry: Telemetry) -> float | None:
    """The share of a core that 95 of 100 seconds of the busiest worker stayed below; None when none reported.

    Its mean over the load point where there are fewer than five samples of a second.
    """
    return max(
        (_busy_cpu_share(table, telemetry, h) for h in table.point.health if h.wall_s > 0), default=None
    )


def _busy_cpu_share(table: PointTable, telemetry: Telemetry, health: ClientHealth) -> float:
    source = (table.point.index, f"client/{health.worker}")
    share, span_s = (telemetry.series(*source, name)[1] for name in ("cpu_share", "span_s"))
    share = share[span_s >= 1.0]  # the last sample is of what was left of a second
    return float(np.percentile(share, 95)) if len(share) >= _LEAST_SAMPLES else health.cpu_s / health.wall_s


def wait_share_of(health: ClientHealth) -> float | None:
    """Part of the time that a worker was ready to run and had no core; None where the system does not tell."""
    waited_s = health.run_queue_wait_s
    return None if waited_s is None or not health.wall_s > 0 else waited_s / health.wall_s


def wait_share(table: PointTable) -> float | None:
    """``wait_share_of`` the worker that waited most."""
    shares = [wait_share_of(health) for health in table.point.health]
    return max((share for share in shares if share is not None), default=None)


def clock_error_ms(table: PointTable) -> float | None:
    """Bound of what converting a kernel stamp can be off, of the worst worker; None when none knows it."""
    known = [h.clock_error_ns for h in table.point.health if h.clock_error_ns is not None]
    return max(known) / NS_PER_MS if known else None

"""The client-health strip: how each worker of the load generator did, in a few numbers."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from inferometer.metrics import generator
from inferometer.metrics.latency import NS_PER_MS, Floats
from inferometer.metrics.percentiles import percentile
from inferometer.record.tables import PointTable, Telemetry
from inferometer.record.types import ClientHealth

_BARS = 40  # of the course over time; an hour has one for every 90 s


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """Some delays in three numbers, ms; a percentile is None when too few values carry it, all are without any."""

    p50: float | None
    p99: float | None
    max: float | None


class WorkerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How one worker did over the load point; None where it is not known.

    Attributes:
        cpu: the core that it was pinned to.
        cpu_share: CPU time / wall time.
        cpu_over_time: the same in equal parts of the point, the highest sample of each.
        run_queue_wait_share: time ready to run but without a core / wall time.
        involuntary_switches_per_s: times that something else took its core.
        send_lag_ms: due to first byte written, waiting for a permit and connecting left out, per request.
        receive_lag_ms: our read - kernel receive time, per chunk.
        loop_turn_p99_ms: what 99 % of the loop's turns did not exceed before looking at the sockets again.
        poll_late_max_ms: the latest that a wait came back.
        in_flight_peak: the most of some four looks a second.
        clock_error_ms: bound of what converting a kernel time can be off.
        clock_drift_ms: by how much the wall clock moved against the monotonic one.
        realtime: whether it had a real-time priority, up to the end.
    """

    worker: int
    cpu: int | None
    cpu_share: float | None
    cpu_over_time: list[float]
    run_queue_wait_share: float | None
    context_switches_per_s: float | None
    involuntary_switches_per_s: float | None
    send_lag_ms: Lag
    receive_lag_ms: Lag
    loop_turns: int | None
    loop_turn_p99_ms: float | None
    loop_turn_max_ms: float | None
    poll_late_max_ms: float | None
    backlog_peak_bytes: int
    backlog_peak_age_s: float
    in_flight_peak: int | None
    rss_peak_bytes: int | None
    clock_error_ms: float | None
    clock_drift_ms: float | None
    realtime: bool | None = None


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """How the load generator itself did; the worst of its workers, and each of them.

    Attributes:
        workers: how many reported.
        receive_clock: "kernel" only if all of them had kernel times; "virtual" for a simulated load point, which no
            client measured; None where none reported.
    """

    workers: int
    workers_asked: int
    receive_clock: Literal["kernel", "user", "virtual"] | None
    cpu_share: float | None
    run_queue_wait_share: float | None
    send_lag_ms: Lag
    receive_lag_ms: Lag
    clock_error_ms: float | None
    each: list[WorkerHealth]


def client_health(table: PointTable, telemetry: Telemetry) -> Client:
    """The strip of one load point."""
    send, receive = generator.own_lag_ms_by_worker(table), generator.receive_lag_ms_by_worker(table)
    return Client(
        workers=len(table.point.health),
        workers_asked=table.point.workers,
        receive_clock=_receive_clock(table),
        cpu_share=generator.cpu_share(table),
        run_queue_wait_share=generator.wait_share(table),
        send_lag_ms=_lag(generator.own_lag_ms(table)),
        receive_lag_ms=_lag(generator.receive_lag_ms(table)),
        clock_error_ms=generator.clock_error_ms(table),
        each=[
            _worker(
                health,
                (_lag(send.get(health.worker)), _lag(receive.get(health.worker))),
                _over_time(telemetry, table.point.index, health.worker),
            )
            for health in table.point.health
        ],
    )


def _receive_clock(table: PointTable) -> Literal["kernel", "user", "virtual"] | None:
    if table.point.virtual:
        return "virtual"
    kernel = generator.kernel_clock(table)
    return None if kernel is None else "kernel" if kernel else "user"


def _worker(health: ClientHealth, lags: tuple[Lag, Lag], cpu_over_time: list[float]) -> WorkerHealth:
    send, receive = lags
    return WorkerHealth(
        worker=health.worker,
        cpu=health.cpu,
        cpu_share=_per(health.cpu_s, health.wall_s),
        cpu_over_time=cpu_over_time,
        run_queue_wait_share=generator.wait_share_of(health),
        context_switches_per_s=_per(health.context_switches, health.wall_s),
        involuntary_switches_per_s=_per(health.involuntary_switches, health.wall_s),
        send_lag_ms=send,
        receive_lag_ms=receive,
        loop_turns=health.loop_turns,
        loop_turn_p99_ms=_times(health.loop_turn_p99_s, 1e3),
        loop_turn_max_ms=_times(health.loop_turn_max_s or None, 1e3),
        poll_late_max_ms=_times(health.poll_late_max_s, 1e3),
        backlog_peak_bytes=health.backlog_peak_bytes,
        backlog_peak_age_s=health.backlog_peak_age_s,
        in_flight_peak=health.in_flight_peak,
        rss_peak_bytes=health.rss_peak_bytes,
        clock_error_ms=_times(health.clock_error_ns, 1 / NS_PER_MS),
        clock_drift_ms=_times(health.clock_drift_ns, 1 / NS_PER_MS),
        realtime=health.realtime,
    )


def _lag(lag_ms: Floats | None) -> Lag:
    if lag_ms is None or not len(lag_ms):
        return Lag(p50=None, p99=None, max=None)
    return Lag(p50=percentile(lag_ms, 50), p99=percentile(lag_ms, 99), max=float(lag_ms.max()))


def _over_time(telemetry: Telemetry, point: int, worker: int) -> list[float]:
    _, share = telemetry.series(point, f"client/{worker}", "cpu_share")
    return [float(part.max()) for part in np.array_split(share, min(len(share), _BARS) or 1) if len(part)]


def _per(value: float | None, wall_s: float) -> float | None:
    return None if value is None or not wall_s > 0 else value / wall_s


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor

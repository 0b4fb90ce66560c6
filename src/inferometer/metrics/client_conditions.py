"""Conditions on the load generator: it sent when it should, read when it could, and had CPU to spare.

Each is a function from the evidence of one load point to a ``Condition``, or to None when it does not apply.
"""

from __future__ import annotations

import math

import numpy as np

from inferometer.metrics import generator
from inferometer.metrics import shape_conditions as shapes
from inferometer.metrics.concurrency import has_sessions, plateau_concurrency
from inferometer.metrics.evidence import Evidence
from inferometer.metrics.latency import NS_PER_MS
from inferometer.metrics.percentiles import highest_percentile, percentile_name
from inferometer.metrics.verdict import Condition
from inferometer.spec import load_title

_SEND_LAG_FLOOR_MS = 2.0
_SEND_LAG_OF_TTFT = 0.01
_WORST_SEND_LAG = 10.0  # times the limit of the p99
_RECEIVE_LAG_MS = 1.0
_RATE_TOLERANCE = 0.01
_CONCURRENCY_SHARE = 0.95
_STAMPED_SHARE = 0.999
_CPU_SHARE = 0.85
_WAIT_SHARE = 0.05
_BLURRED_FEW = 10
_BLURRED_SHARE = 0.001
_BLUR_NS = 500_000
_CLOCK_ERROR_MS = 0.1


def all_workers_reported(e: Evidence) -> Condition:
    """Every worker of the load generator came to the end of the load point."""
    asked, reported = e.table.point.workers, len(e.table.point.health)
    return Condition(
        name="workers",
        level="hard",
        asked="workers that came to the end of the load point",
        measured=reported,
        limit=asked,
        unit="workers",
        ok=reported == asked,
        next_step="a worker ended before its time, and its part of the load with it: see the notes in run.json",
    )


def sent_in_time(e: Evidence) -> Condition:
    """The generator sent 99 of 100 requests when they were due.

    With fewer than 1,000 requests, the highest percentile that has ten values beyond it: one short stall is
    all of the p99 of 64 requests, of which no percentile above the judged one is shown.
    """
    lag_ms, limit = generator.late_ms(e.table), _send_lag_limit_ms(e)
    p = highest_percentile(len(lag_ms))
    measured = float(np.percentile(lag_ms, p)) if len(lag_ms) else None
    return Condition(
        name="send lag",
        level="hard",
        asked=f"{percentile_name(p)} of the generator's own lateness",
        measured=measured,
        limit=limit,
        unit="ms",
        ok=None if measured is None else measured <= limit,
        next_step="no request was sent"
        if measured is None
        else "use a less busy or faster client machine, or a lower load",
    )


def never_very_late(e: Evidence) -> Condition | None:
    """Not even the latest send was far behind its time."""
    lag_ms, limit = generator.late_ms(e.table), _WORST_SEND_LAG * _send_lag_limit_ms(e)
    if not len(lag_ms):
        return None
    latest = float(lag_ms.max())
    return Condition(
        name="latest send",
        level="warn",
        asked="the generator's worst lateness",
        measured=latest,
        limit=limit,
        unit="ms",
        ok=latest <= limit,
        next_step="look for other work on the client machine",
    )


def load_reached(e: Evidence) -> Condition | None:
    """The asked rate, or that of a trace, was achieved, or the asked concurrency held.

    There is nothing to reach when all is sent at once.
    """
    load = e.table.point.load
    if load.get("trace"):
        planned_ns = e.table.number("planned_ns")
        together = len(planned_ns) > 1 and planned_ns.min() == planned_ns.max()
        return None if together else _rate_reached(e, load_title(load), None)
    rate, limit = load.get("request_rate"), load.get("max_concurrency")
    if load.get("waves"):
        return shapes.rounds_full(e)
    curve = shapes.curve_of_load(e)
    if curve is not None and rate is None:
        return shapes.curve_held(e, curve)
    if curve is not None and (followed := shapes.rate_followed(e)) is not None:
        return followed
    if rate is not None and rate != "inf" and math.isfinite(float(rate)):
        asked = f"{float(rate):g} {_arrivals_per_s(e)}" if curve is None else load_title(load)
        return _rate_reached(e, asked, limit)
    return None if limit is None else _concurrency_reached(e, int(limit))


def read_in_time(e: Evidence) -> Condition:
    """Receive times come from the kernel, or the reads were quick enough to stand for them.

    A kernel that was asked for its times and gave them for only a part of the chunks is no kernel clock.
    """
    kernel, stamped = generator.kernel_clock(e.table), generator.stamped_share(e.table)
    if kernel and (stamped is None or stamped >= _STAMPED_SHARE):
        return Condition(
            name="receive clock",
            level="hard",
            asked="kernel receive times",
            measured=None,
            limit=None,
            unit="",
            ok=True,
            next_step="",
        )
    measured = _read_lag_ms(e, stamped)
    step = "lower the load per worker, or run the client where kernel receive times exist (Linux)"
    asked = "p99 without kernel receive times"
    if kernel and stamped is not None:
        asked = f"p99, as only {stamped:.2%} of the chunks have a kernel receive time"
    return Condition(
        name="receive lag",
        level="hard",
        asked=asked,
        measured=measured,
        limit=_RECEIVE_LAG_MS,
        unit="ms",
        ok=None if measured is None else measured <= _RECEIVE_LAG_MS,
        next_step=step if measured is not None else f"lateness of reads is not known: {step}",
    )


def _read_lag_ms(e: Evidence, stamped: float | None) -> float | None:
    """What 99 of 100 reads were not later than; None where neither kernel times nor the loop's turns tell."""
    if stamped:
        lag_ns = np.nan_to_num(np.asarray(e.table.chunks["lag_ns"], dtype=np.float64))
        # With 0 for those that are not known it is the least that the p99 can be.
        least_ms = float(np.percentile(lag_ns, 99)) / NS_PER_MS
        if stamped >= _STAMPED_SHARE or least_ms > _RECEIVE_LAG_MS:
            return least_ms
    # A read is at most a turn of the loop or a late wake-up behind: short ones prove the limit, long ones nothing.
    turn_ms = generator.longest_turn_ms(e.table)
    return turn_ms if turn_ms is not None and turn_ms <= _RECEIVE_LAG_MS else None


def chunk_times_known(e: Evidence) -> Condition | None:
    """Receive times stand for single chunks; not where several chunks met one late read.

    The kernel keeps the time of the last segment of a read, and without kernel times a read has only its own, so a
    client that was held up knows of the chunks before only within how long that was. Ten chunks are never too many:
    no percentile is shown that fewer values lie beyond.
    """
    blurred, blur_ns = e.data.column("blurred_chunks"), e.data.column("blur_max_ns")
    chunks = len(e.data.output_chunks.row)
    if not chunks or np.isnan(blurred).all():
        return None
    share = float(blurred[blur_ns > _BLUR_NS].sum()) / chunks
    limit = max(_BLURRED_SHARE, _BLURRED_FEW / chunks)
    worst_ms = float(np.nanmax(blur_ns)) / 1e6 if not np.isnan(blur_ns).all() else 0.0
    return Condition(
        name="chunk times",
        level="hard",
        asked="output chunks whose time is not known to within 0.5 ms",
        measured=share,
        limit=limit,
        unit="share",
        ok=share <= limit,
        next_step=f"the client was held up for up to {worst_ms:,.1f} ms (stopped, or on a busy core): "
        f"give it a core of its own{_or_priority(e)} and measure again",
    )


def cpu_to_spare(e: Evidence) -> Condition:
    """No worker was near the end of its core, not even in its busiest seconds.

    A mean would let a busy minute hide behind the quiet end of a load point, when its last answers come in. Where
    kernel times keep the chunk times right even then (``chunk_times_known``), a closed loop still sends its next
    request when the worker gets to it: the throughput would be the client's, not the server's.
    """
    share = generator.busy_cpu_share(e.table, e.telemetry)
    return Condition(
        name="client CPU",
        level="hard",
        asked="p95 of the CPU of the busiest worker, second by second, share of a core",
        measured=share,
        limit=_CPU_SHARE,
        unit="share",
        ok=None if share is None else share <= _CPU_SHARE,
        next_step="no worker reported its CPU time"
        if share is None
        else "spread the load over more --workers, use a faster client machine, or a lower load",
    )


def had_its_core(e: Evidence) -> Condition | None:
    """No worker had to wait for a core that something else was using."""
    if not e.table.point.health:
        return None
    share = generator.wait_share(e.table)
    return Condition(
        name="client host busy",
        level="warn",
        asked="time that the worst worker waited for a core",
        measured=share,
        limit=_WAIT_SHARE,
        unit="share",
        ok=None if share is None else share <= _WAIT_SHARE,
        next_step="this system does not tell"
        if share is None
        else f"stop other work on the client machine, or keep the server off the client's cores{_or_priority(e)}",
    )


def _or_priority(e: Evidence) -> str:
    """Another way out for workers that were ordinary tasks, because the system or the user wanted them to be."""
    if all(health.realtime is not False for health in e.table.point.health):
        return ""
    return ", or permit its workers a real-time priority (ulimit -r 1, CAP_SYS_NICE)"


def clock_converted(e: Evidence) -> Condition | None:
    """Kernel receive times were put on the monotonic axis exactly enough; nothing to convert without them."""
    error_ms = generator.clock_error_ms(e.table)
    if error_ms is None:
        return None
    return Condition(
        name="clock error",
        level="hard",
        asked="bound of the error of converted kernel times",
        measured=error_ms,
        limit=_CLOCK_ERROR_MS,
        unit="ms",
        ok=error_ms <= _CLOCK_ERROR_MS,
        next_step="the wall clock moved against the monotonic one, or the client was held up while it read them: "
        "stop what sets the clock, give the client a core of its own, and measure again",
    )


def clock_steady(e: Evidence) -> Condition:
    """The wall clock was not set while kernel times were converted with it."""
    health = e.table.point.health
    clock_steps = sum(h.clock_steps for h in health) if health else None
    return Condition(
        name="clock",
        level="hard",
        asked="no step of the wall clock",
        measured=clock_steps,
        limit=0,
        unit="steps",
        ok=None if clock_steps is None else clock_steps == 0,
        next_step="no worker reported on its clock"
        if clock_steps is None
        else "stop whatever sets the clock (NTP step, virtual machine resume) and measure again",
    )


def _send_lag_limit_ms(e: Evidence) -> float:
    ttft_ms = e.data.ttft_ms[~np.isnan(e.data.ttft_ms)]
    of_ttft = _SEND_LAG_OF_TTFT * float(np.median(ttft_ms)) if len(ttft_ms) else 0.0
    return max(_SEND_LAG_FLOOR_MS, of_ttft)


def _rate_reached(e: Evidence, asked: str, limit: int | None) -> Condition:
    rate = generator.dispatch_rate(e.table)
    lower = "--trace-speed" if e.table.point.load.get("trace") else "rate"
    step = f"spread the load over more --workers, use a faster client machine, or ask for a lower {lower}"
    if limit is not None:
        step = f"the concurrency limit of {limit} may hold requests back: raise it, or ask for a lower rate"
    ok = None
    if rate is not None:
        late_ms = (rate.achieved_span_s - rate.planned_span_s) * 1e3
        # A few requests within a few ms cannot keep 1 %: there the limit of the send lag decides.
        ok = abs(rate.achieved_per_s / rate.planned_per_s - 1.0) <= _RATE_TOLERANCE or (
            abs(late_ms) <= _SEND_LAG_FLOOR_MS and not _arrivals_unsent(e)
        )
        step = f"{_missed_by(e, rate, late_ms)}: {step}"
    return Condition(
        name="achieved rate",
        level="hard",
        asked=f"{asked}, within 1 % of the schedule's own rate",
        measured=None if rate is None else rate.achieved_per_s,
        limit=None if rate is None else rate.planned_per_s,
        unit=_arrivals_per_s(e),
        ok=ok,
        next_step=step if rate is not None else "fewer than two requests were sent",
    )


def _missed_by(e: Evidence, rate: generator.Rate, late_ms: float) -> str:
    """By how much the schedule was missed, in words."""
    share = rate.achieved_per_s / rate.planned_per_s - 1.0
    unsent = _arrivals_unsent(e)
    told = f"{abs(share) * 100:.1f} % {'less' if share < 0 else 'more'} than the schedule"
    if abs(late_ms) >= 1.0:
        told += f", the last send {abs(late_ms):,.0f} ms {'behind' if late_ms > 0 else 'ahead'}"
    return f"{told}, {unsent:,} never sent" if unsent else told


def _arrivals_per_s(e: Evidence) -> str:
    """What a rate counts."""
    return "sessions/s" if e.table.point.load.get("sessions") else "req/s"


def _arrivals_unsent(e: Evidence) -> int:
    """Arrivals that were never sent: requests, or first turns of sessions."""
    return int(np.isnan(e.table.number("sent_ns")[~(e.table.number("turn") > 0)]).sum())


def _concurrency_reached(e: Evidence, asked: int) -> Condition:
    held = plateau_concurrency(e.table, asked)
    sessions = has_sessions(e.table)
    limit = _CONCURRENCY_SHARE * asked
    return Condition(
        name="concurrency",
        level="hard",
        asked=f"{asked} {'sessions at once' if sessions else 'in flight'}, 95 % of it held",
        measured=held,
        limit=limit,
        unit="sessions" if sessions else "requests",
        ok=None if held is None else held >= limit,
        next_step=f"too few {'sessions' if sessions else 'requests'} to hold {asked} in flight: "
        f"--num-prompts {5 * asked} or more"
        if held is None
        else shapes.sends_late(e),
    )

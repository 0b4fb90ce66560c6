"""How well the generator itself keeps up: the evidence that a busy client did not bend the result.

Nothing is measured per event. The reactor counts its turns (``inferometer.client.turns``); once a second the meter
takes those counts, asks the system what this process has used, and gives one sample for the journal.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from inferometer.client.reactor import Reactor
from inferometer.client.turns import BUCKETS, Turns
from inferometer.loadgen.backlog import Backlog
from inferometer.loadgen.priority import is_realtime
from inferometer.record.types import ClientHealth, HealthSample

SAMPLE_NS = 1_000_000_000


class Usage(NamedTuple):
    """What a process has used since it began."""

    cpu_s: float
    voluntary_switches: int
    involuntary_switches: int


class Readers(NamedTuple):
    """Where the meter learns what this process uses; the files of /proc as text, None where there are none.

    Attributes:
        usage: CPU time and context switches, getrusage(2).
        schedstat: /proc/self/schedstat: ns on a core, ns ready but waiting for one, times put on one
            (Linux, Documentation/scheduler/sched-stats).
        statm: /proc/self/statm: pages of memory, all and resident (proc_pid_statm(5)).
        page_bytes: size of a page.
        realtime: whether it has a real-time priority.
    """

    usage: Callable[[], Usage]
    schedstat: Callable[[], str | None]
    statm: Callable[[], str | None]
    page_bytes: int
    realtime: Callable[[], bool | None] = lambda: None


class Place(NamedTuple):
    """Whose health it is: the load point, the worker, and the core that it is pinned to."""

    point: int = 0
    worker: int = 0
    cpu: int | None = None


ALONE = Place()


def _usage() -> Usage:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Usage(time.process_time(), used.ru_nvcsw, used.ru_nivcsw)


def _reader(path: Path) -> Callable[[], str | None]:
    return path.read_text if path.exists() else lambda: None


def this_process() -> Readers:
    """Readers of the process that calls."""
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    return Readers(
        _usage,
        _reader(Path("/proc/self/schedstat")),
        _reader(Path("/proc/self/statm")),
        page_bytes,
        is_realtime,
    )


class _Moment(NamedTuple):
    """What had been used at one moment."""

    at_ns: int
    usage: Usage
    waited_s: float | None


class HealthMeter:
    """Measures this process from its making to ``close``.

    Life cycle: made at the start of a load point; ``sample`` some four times a second; once more with ``last`` and
    then ``close`` at its end. What reactor and backlog have counted is taken from them and set back, so that each
    sample is of its own span.

    Args:
        now_ns: monotonic time of the start.
        reactor: what it has counted so far belongs to earlier points.
        place: whose health it is.
        readers: what the process uses; of this process when absent.
    """

    def __init__(
        self, now_ns: int, reactor: Reactor, place: Place = ALONE, readers: Readers | None = None
    ) -> None:
        self._place = place
        self._readers = readers or this_process()
        self._resent = reactor.resent
        reactor.offset.restart()
        self._offset_ns = reactor.offset.offset_ns
        reactor.turns = Turns()
        self._sum = Turns()
        self._backlog_bytes = self._backlog_age_ns = 0
        self._in_flight_peak = 0
        self._rss_peak = self._rss_bytes()
        self._start = self._last = self._moment(now_ns)

    def sample(
        self, now_ns: int, reactor: Reactor, backlog: Backlog, *, last: bool = False
    ) -> HealthSample | None:
        """What happened since the previous sample; None when that is less than a second ago.

        Args:
            now_ns: monotonic time.
            reactor: the transport.
            backlog: what waits to be decoded.
            last: whether the point has ended, and what is left of a second is a sample too.
        """
        self._in_flight_peak = max(self._in_flight_peak, reactor.in_flight)
        span_ns = now_ns - self._last.at_ns
        if span_ns < SAMPLE_NS and not (last and span_ns > 0):
            return None
        turns, backlog_bytes, backlog_age_ns = self._take(reactor, backlog)
        before, self._last = self._last, self._moment(now_ns)
        used, span_s, rss_bytes = self._last.usage, span_ns / 1e9, self._rss_bytes()
        if rss_bytes is not None:
            self._rss_peak = max(self._rss_peak or 0, rss_bytes)
        waited_s = _difference(self._last.waited_s, before.waited_s)
        return HealthSample(
            point=self._place.point,
            worker=self._place.worker,
            at_ns=now_ns,
            span_s=span_s,
            cpu_share=(used.cpu_s - before.usage.cpu_s) / span_s,
            run_queue_wait_share=None if waited_s is None else waited_s / span_s,
            voluntary_switches_per_s=(used.voluntary_switches - before.usage.voluntary_switches) / span_s,
            involuntary_switches_per_s=(used.involuntary_switches - before.usage.involuntary_switches)
            / span_s,
            loop_turns_per_s=turns.count / span_s,
            loop_turn_p99_s=_seconds(turn_ns(turns, 0.99)),
            loop_turn_max_s=_seconds(turns.busy_max_ns if turns.count else None),
            poll_late_max_s=_seconds(turns.late_max_ns if turns.count else None),
            receive_lag_max_s=_seconds(turns.lag_max_ns or None),
            send_lag_max_s=_seconds(turns.send_lag_max_ns or None),
            backlog_peak_bytes=backlog_bytes,
            backlog_peak_age_s=backlog_age_ns / 1e9,
            in_flight_requests=reactor.in_flight,
            rss_bytes=rss_bytes,
        )

    def close(self, now_ns: int, reactor: Reactor, backlog: Backlog) -> ClientHealth:
        """What was measured over the whole load point."""
        self._take(reactor, backlog)
        start, end = self._start, self._moment(now_ns)
        voluntary = end.usage.voluntary_switches - start.usage.voluntary_switches
        involuntary = end.usage.involuntary_switches - start.usage.involuntary_switches
        offset, kernel = reactor.offset, bool(reactor.kernel_stamps)
        return ClientHealth(
            receive_clock="kernel" if kernel else "user",
            worker=self._place.worker,
            cpu=self._place.cpu,
            cpu_s=end.usage.cpu_s - start.usage.cpu_s,
            wall_s=(now_ns - start.at_ns) / 1e9,
            run_queue_wait_s=_difference(end.waited_s, start.waited_s),
            context_switches=voluntary + involuntary,
            involuntary_switches=involuntary,
            backlog_peak_bytes=self._backlog_bytes,
            backlog_peak_age_s=self._backlog_age_ns / 1e9,
            in_flight_peak=self._in_flight_peak,
            loop_turns=self._sum.count,
            loop_turn_p99_s=_seconds(turn_ns(self._sum, 0.99)),
            loop_turn_max_s=self._sum.busy_max_ns / 1e9,
            poll_late_max_s=self._sum.late_max_ns / 1e9,
            rss_peak_bytes=self._rss_peak,
            resent=reactor.resent - self._resent,
            keep_alive=reactor.keep_alive,
            clock_offset_drift_ns=offset.drift_max_ns,
            clock_drift_ns=offset.offset_ns - self._offset_ns,
            clock_error_ns=offset.error_ns if kernel else None,
            clock_steps=offset.steps,
            realtime=self._readers.realtime(),
        )

    def _take(self, reactor: Reactor, backlog: Backlog) -> tuple[Turns, int, int]:
        """The counts of the span that ends here; they go into those of the whole point."""
        turns, reactor.turns = reactor.turns, Turns()
        _add(self._sum, turns)
        peak_bytes, peak_age_ns = backlog.peak_bytes, backlog.peak_age_ns
        backlog.peak_bytes = backlog.peak_age_ns = 0
        self._backlog_bytes = max(self._backlog_bytes, peak_bytes)
        self._backlog_age_ns = max(self._backlog_age_ns, peak_age_ns)
        return turns, peak_bytes, peak_age_ns

    def _moment(self, at_ns: int) -> _Moment:
        usage, text = self._readers.usage(), self._readers.schedstat()
        ran_ns, waited_ns, _ = (int(part) for part in text.split()) if text else (0, 0, 0)
        # A kernel that does not count says that the process never ran.
        return _Moment(at_ns, usage, waited_ns / 1e9 if ran_ns else None)

    def _rss_bytes(self) -> int | None:
        text = self._readers.statm()
        return int(text.split()[1]) * self._readers.page_bytes if text else None


def turn_ns(turns: Turns, share: float) -> float | None:
    """The time that this share of the turns did not exceed, in ns; None when there was no turn.

    Linear inside a bucket, so that its upper edge stands for all turns in it; never more than the longest turn.
    """
    wanted, below = share * turns.count, 0
    for bucket, count in enumerate(turns.busy_ns):
        if count and below + count >= wanted:
            low, high = (1 << bucket) >> 1, 1 << bucket
            return min(low + (high - low) * (wanted - below) / count, float(turns.busy_max_ns))
        below += count
    return None


def _add(whole: Turns, part: Turns) -> None:
    whole.count += part.count
    for bucket in range(BUCKETS):
        whole.busy_ns[bucket] += part.busy_ns[bucket]
    whole.busy_max_ns = max(whole.busy_max_ns, part.busy_max_ns)
    whole.lag_max_ns = max(whole.lag_max_ns, part.lag_max_ns)
    whole.late_max_ns = max(whole.late_max_ns, part.late_max_ns)
    whole.send_lag_max_ns = max(whole.send_lag_max_ns, part.send_lag_max_ns)


def _difference(end: float | None, start: float | None) -> float | None:
    return None if end is None or start is None else end - start


def _seconds(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e9

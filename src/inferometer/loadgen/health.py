"""How well the generator itself keeps up: the evidence that a busy client did not bend the result."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import NamedTuple

from inferometer.client.reactor import Reactor
from inferometer.loadgen.backlog import Backlog
from inferometer.record.types import ClientHealth

_SCHEDSTAT = Path("/proc/self/schedstat")


class _Usage(NamedTuple):
    cpu_s: float
    run_queue_wait_s: float | None
    context_switches: int


def _usage() -> _Usage:
    used = resource.getrusage(resource.RUSAGE_SELF)
    # Second field: nanoseconds spent runnable but waiting for a core (Linux, Documentation/scheduler/sched-stats).
    wait_s = int(_SCHEDSTAT.read_text().split()[1]) / 1e9 if _SCHEDSTAT.exists() else None
    return _Usage(time.process_time(), wait_s, used.ru_nvcsw + used.ru_nivcsw)


class HealthMeter:
    """Measures this process from its making to ``close``.

    Args:
        now_ns: monotonic time of the start.
        reactor: what it has counted so far belongs to earlier points.
    """

    def __init__(self, now_ns: int, reactor: Reactor) -> None:
        self._start_ns = now_ns
        self._resent = reactor.resent
        self._clock_steps = reactor.offset.steps
        self._usage = _usage()
        self._turn_max_ns = 0

    def turn(self, busy_ns: int) -> None:
        """One loop turn kept the process busy for so long before it looked at its sockets again."""
        self._turn_max_ns = max(self._turn_max_ns, busy_ns)

    def close(self, now_ns: int, reactor: Reactor, backlog: Backlog) -> ClientHealth:
        """What was measured."""
        used = _usage()
        waited_s = None
        if used.run_queue_wait_s is not None and self._usage.run_queue_wait_s is not None:
            waited_s = used.run_queue_wait_s - self._usage.run_queue_wait_s
        return ClientHealth(
            receive_clock="kernel" if reactor.kernel_stamps else "user",
            cpu_s=used.cpu_s - self._usage.cpu_s,
            wall_s=(now_ns - self._start_ns) / 1e9,
            run_queue_wait_s=waited_s,
            context_switches=used.context_switches - self._usage.context_switches,
            backlog_peak_bytes=backlog.peak_bytes,
            backlog_peak_age_s=backlog.peak_age_ns / 1e9,
            loop_turn_max_s=self._turn_max_ns / 1e9,
            resent=reactor.resent - self._resent,
            keep_alive=reactor.keep_alive,
            clock_offset_drift_ns=reactor.offset.drift_max_ns,
            clock_steps=reactor.offset.steps - self._clock_steps,
        )

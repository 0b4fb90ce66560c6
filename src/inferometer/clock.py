"""Clocks: integer nanoseconds on one monotonic axis, passed as an argument to whatever needs time."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Protocol


class Clock(Protocol):
    """A source of monotonic time."""

    def now_ns(self) -> int:
        """Nanoseconds on a monotonic axis whose zero means nothing."""
        ...


class AnchoredClock(Clock, Protocol):
    """A clock that also tells what its axis means on the wall."""

    def realtime_ns(self) -> int:
        """Nanoseconds since 1970."""
        ...


class MonotonicClock:
    """CLOCK_MONOTONIC, the axis of every time stamp in a run folder."""

    # The function itself and no method around it: this is called for every read of the load generator.
    now_ns = staticmethod(time.monotonic_ns)

    def realtime_ns(self) -> int:
        """Nanoseconds since 1970 (CLOCK_REALTIME), only to anchor or convert kernel stamps."""
        return time.clock_gettime_ns(time.CLOCK_REALTIME)


class VirtualClock:
    """A clock that moves only when told to; for tests and for the simulator.

    Args:
        start_ns: its first moment.
        realtime_ns: of that moment, since 1970.
    """

    def __init__(self, start_ns: int = 0, realtime_ns: int = 0) -> None:
        self._now_ns = start_ns
        self._origin_ns = realtime_ns - start_ns

    def now_ns(self) -> int:
        """Nanoseconds of virtual time."""
        return self._now_ns

    def realtime_ns(self) -> int:
        """Nanoseconds since 1970, as if virtual time went by on the wall."""
        return self._origin_ns + self._now_ns

    def advance_ns(self, step_ns: int) -> None:
        """Move time forward by ``step_ns`` (>= 0)."""
        if step_ns < 0:
            raise ValueError(f"a clock cannot go back: step_ns={step_ns}")
        self._now_ns += step_ns


def utc_now() -> datetime:
    """The wall-clock time in UTC, for names and labels only, never for durations."""
    return datetime.now(timezone.utc)

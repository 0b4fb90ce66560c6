"""Steps on the wall clock: each begins when the one before it should have ended, however late we are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from inferometer.clock import Clock
from inferometer.simulator.engine import Engine, StepResult
from inferometer.timerfd import MonotonicTimer, available


class Alarm(Protocol):
    """Calls back once when a point on the clock's axis is reached."""

    def set(self, deadline_ns: int, callback: Callable[[], None]) -> None:
        """Call ``callback`` at ``deadline_ns``, or at the next turn of the loop when that has passed."""
        ...

    def close(self) -> None:
        """Give the timer back; a call that is due no longer comes."""
        ...


class TimerfdAlarm:
    """A Linux timerfd: exact to some ten microseconds, where event-loop timers round to milliseconds.

    Raises:
        OSError: the kernel has no timer left.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer = MonotonicTimer()
        self._callback: Callable[[], None] | None = None
        loop.add_reader(self._timer.fd, self._expired)

    def set(self, deadline_ns: int, callback: Callable[[], None]) -> None:
        """See :class:`Alarm`."""
        self._callback = callback
        self._timer.arm(deadline_ns)

    def close(self) -> None:
        """See :class:`Alarm`."""
        self._loop.remove_reader(self._timer.fd)
        self._timer.close()
        self._callback = None

    def _expired(self) -> None:
        if self._timer.drain() and self._callback is not None:
            self._callback()


class LoopAlarm:
    """The event loop's own timer, for systems without timerfd; exact to about a millisecond."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._handle: asyncio.TimerHandle | None = None

    def set(self, deadline_ns: int, callback: Callable[[], None]) -> None:
        """See :class:`Alarm`."""
        wait_s = max(0, deadline_ns - self._clock.now_ns()) / 1e9
        self._handle = self._loop.call_later(wait_s, callback)

    def close(self) -> None:
        """See :class:`Alarm`."""
        if self._handle is not None:
            self._handle.cancel()


def best_alarm(loop: asyncio.AbstractEventLoop, clock: Clock) -> Alarm:
    """The most exact alarm of this platform on the axis of CLOCK_MONOTONIC."""
    return TimerfdAlarm(loop) if available() else LoopAlarm(loop, clock)


class StepLoop:
    """Drives an engine in real time.

    Args:
        engine: what is stepped.
        clock: the axis of all deadlines.
        alarm: wakes the loop at the end of each step.
        deliver: takes the tokens of a step when it ends, with the moment at which it should have ended (ns).
    """

    def __init__(
        self, engine: Engine, clock: Clock, alarm: Alarm, deliver: Callable[[StepResult, int], None]
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._alarm = alarm
        self._deliver = deliver
        self._step: StepResult | None = None  # the step under way
        self._deadline_ns = 0

    def wake(self) -> None:
        """Something was queued: begin a step now unless one is under way."""
        if self._step is None:
            self._begin(self._clock.now_ns())

    def _begin(self, start_ns: int) -> bool:
        """Begin the step of ``start_ns``; False when the engine has nothing to do then."""
        step = self._engine.step(start_ns / 1e9)
        self._step = step
        if step is None:
            return False
        self._deadline_ns = start_ns + round(step.duration_s * 1e9)
        self._alarm.set(self._deadline_ns, self._end)
        return True

    def _end(self) -> None:
        if self._step is None:
            return
        self._deliver(self._step, self._deadline_ns)
        if not self._begin(self._deadline_ns) and self._engine.num_waiting:
            # What came in between the end of the step and this late call.
            self._begin(self._clock.now_ns())

"""Steps on the wall clock: each begins when the one before it should have ended, however late we are."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from math import ceil
from typing import NamedTuple, Protocol

from inferometer.clock import Clock
from inferometer.simulator.instance.instance import Instance, Step
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


class Delivery(NamedTuple):
    """The tokens of a step, on their way to the clients.

    Attributes:
        due_ns: when they are to be sent.
        step: what made them.
        made: how many each of ``step.emitted`` made.
    """

    due_ns: int
    step: Step
    made: list[int]


class Witness(Protocol):
    """Sees steps begin."""

    def began(self, step: Step) -> None:
        """``step`` began; its sequences are in the state of its end."""
        ...

    def idle(self) -> None:
        """Nothing is to be computed now."""
        ...


class StepLoop:
    """Drives an instance in real time.

    Every time is the one that it would have in virtual time: a step begins when the one before it should have ended,
    or when a request arrived, however late this is noticed. A backlog is caught up step by step.

    Args:
        instance: what is stepped.
        clock: the axis of all deadlines.
        alarm: wakes the loop.
        deliver: takes the tokens of a step when they are due.
        reply_ns: between the end of a step and the sending of its tokens.
        witness: told of each step, for a log.
    """

    def __init__(
        self,
        instance: Instance,
        clock: Clock,
        alarm: Alarm,
        deliver: Callable[[Delivery], None],
        *,
        reply_ns: int = 0,
        witness: Witness | None = None,
    ) -> None:
        self._instance = instance
        self._clock = clock
        self._alarm = alarm
        self._deliver = deliver
        self._reply_ns = reply_ns
        self._witness = witness
        self._end_ns: int | None = None  # of the step under way
        self._deliveries: deque[Delivery] = deque()

    def wake(self) -> None:
        """Something was queued: begin a step as soon as it may, unless one is under way."""
        if self._end_ns is None:
            self._go_on(self._clock.now_ns())

    def _expired(self) -> None:
        now_ns = self._clock.now_ns()
        if self._deliveries and self._deliveries[0].due_ns <= now_ns:
            self._deliver(self._deliveries.popleft())
        if self._end_ns is not None and self._end_ns > now_ns:
            self._set_alarm(self._end_ns)
        else:
            self._end_ns = None
            self._go_on(now_ns)

    def _go_on(self, now_ns: int) -> None:
        """Begin the step that is due; without one, wait until it is."""
        instance = self._instance
        while (at_ns := instance.next_ns()) is not None and at_ns <= now_ns:
            step = instance.step(at_ns)
            if step is not None:
                self._begin(step)
                return
        if self._witness is not None:
            self._witness.idle()
        self._set_alarm(None if at_ns is None else ceil(at_ns))

    def _begin(self, step: Step) -> None:
        self._end_ns = end_ns = ceil(step.end_ns)
        made = [sequence.made for sequence in step.emitted]
        self._deliveries.append(Delivery(end_ns + self._reply_ns, step, made))
        self._set_alarm(end_ns)
        if self._witness is not None:
            self._witness.began(step)

    def _set_alarm(self, at_ns: int | None) -> None:
        """At ``at_ns``, or earlier for what is to be delivered before."""
        if self._deliveries:
            due_ns = self._deliveries[0].due_ns
            at_ns = due_ns if at_ns is None else min(at_ns, due_ns)
        if at_ns is not None:
            self._alarm.set(at_ns, self._expired)

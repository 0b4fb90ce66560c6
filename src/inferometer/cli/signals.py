"""Ctrl-C and SIGTERM become a request to stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from inferometer.clock import MonotonicClock
from inferometer.loadgen.stop import StopSignal

_STDERR = 2
_SAME_PRESS_NS = 200_000_000  # timeout(1) and supervisors signal the process and then its group


@contextmanager
def stopping(stop: StopSignal, grace_s: float, first: str | None = None) -> Iterator[None]:
    """While it lasts, Ctrl-C and SIGTERM ask ``stop`` and tell the person what happens next.

    A third Ctrl-C is a KeyboardInterrupt, for when nothing looks at ``stop`` yet. Does nothing outside of the
    main thread, where Python delivers no signals.

    Args:
        stop: what is asked.
        grace_s: how long requests in flight have.
        first: what is said at the first press, where no requests are in flight.
    """
    clock, last_ns = MonotonicClock(), 0

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal last_ns
        now_ns = clock.now_ns()
        if now_ns - last_ns < _SAME_PRESS_NS:
            return
        last_ns = now_ns
        if stop.level == 2:
            raise KeyboardInterrupt
        stop.request()
        text = "\nstopping at once" + ("; what was measured is kept\n" if first is None else "\n")
        if stop.level == 1:
            draining = f"draining requests in flight, up to {grace_s:g} s; press Ctrl-C again to stop at once"
            text = f"\nstopping: {first or draining}\n"
        os.write(_STDERR, text.encode())  # print() may not be entered twice, which a signal can do

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""A timer on CLOCK_MONOTONIC as a file descriptor (timerfd_create(2)); Python has it only from 3.13."""

from __future__ import annotations

import ctypes
import os
import sys
import time

_TFD_TIMER_ABSTIME = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("it_interval", _Timespec), ("it_value", _Timespec))


def available() -> bool:
    """Whether this platform has such timers."""
    return sys.platform.startswith("linux")


class MonotonicTimer:
    """Becomes readable at an absolute time, exact to some ten microseconds. Linux only.

    Attributes:
        fd: the descriptor to watch.

    Raises:
        OSError: the kernel has no timer left.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._spec = _Itimerspec()
        self._address = ctypes.byref(self._spec)
        self._armed_ns = 0

    def arm(self, at_ns: int) -> None:
        """Become readable at ``at_ns`` (> 0; at once if that has passed)."""
        if at_ns == self._armed_ns:
            return
        value = self._spec.it_value
        value.tv_sec, value.tv_nsec = divmod(at_ns, 1_000_000_000)
        if self._libc.timerfd_settime(self.fd, _TFD_TIMER_ABSTIME, self._address, None) < 0:
            raise OSError(ctypes.get_errno(), f"timerfd_settime({at_ns} ns) failed")
        self._armed_ns = at_ns

    def drain(self) -> bool:
        """Take note of the expiry; False when it was armed anew between expiry and this call."""
        self._armed_ns = 0
        try:
            os.read(self.fd, 8)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Close the descriptor; whoever watches it must have stopped."""
        os.close(self.fd)

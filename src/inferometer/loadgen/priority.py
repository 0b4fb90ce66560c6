"""What the kernel grants a worker, so that on waking it need not wait for whoever has its core.

Short time slices, always: Linux gives the core to the task with the earliest virtual deadline, and a task that asks for
short slices has early deadlines; its share of the core stays the same. Needs no privilege. ``sched_setattr(2)``: since
Linux 6.12 the field ``sched_runtime`` is the slice of an ordinary task; older kernels ignore it.

A real-time priority, the lowest, while a load point runs and where it is permitted (CAP_SYS_NICE, or ``ulimit -r 1``;
``sched(7)``): beside a server that takes all cores, slices alone leave a worker waiting for tens of milliseconds. It
takes no more of the core than before, for it sleeps whenever nothing has arrived; one that has not slept for
``AWAKE_LIMIT_US`` (``RLIMIT_RTTIME``, ``getrlimit(2)``) is an ordinary task again for the rest of the load point.
A better niceness would not do: by default (``sched_autogroup_enabled``) it counts only inside one's own session.

Who runs the tool under a scheduling class of his choice, or at a niceness above 0, keeps that.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
import sys

SLICE_NS = 100_000  # the least that the kernel takes
AWAKE_LIMIT_US = 200_000
_NUMBERS = {"x86_64": 314, "aarch64": 274}
# struct sched_attr, first version: size, policy, flags, nice, priority, runtime, deadline, period
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")
_SCHED_OTHER = 0


def take_short_slices() -> bool:
    """Ask for slices of ``SLICE_NS`` for this process; False where that cannot be asked for."""
    number = _NUMBERS.get(platform.machine())
    if number is None or not sys.platform.startswith("linux") or os.sched_getscheduler(0) != _SCHED_OTHER:
        return False
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    wanted = _ATTRIBUTES.pack(_ATTRIBUTES.size, _SCHED_OTHER, 0, nice, 0, SLICE_NS, 0, 0)
    return bool(ctypes.CDLL(None).syscall(number, 0, wanted, 0) == 0)


def go_realtime() -> bool:
    """Take the lowest real-time priority until ``go_ordinary``, or until awake for too long; False when refused."""
    if not sys.platform.startswith("linux") or os.sched_getscheduler(0) != _SCHED_OTHER:
        return False
    if os.getpriority(os.PRIO_PROCESS, 0) > 0:
        return False
    # The limit comes first: there is no moment at which a worker that hangs could keep its core.
    signal.signal(signal.SIGXCPU, lambda *_: go_ordinary())
    hard = resource.getrlimit(resource.RLIMIT_RTTIME)[1]
    soft = AWAKE_LIMIT_US if hard == resource.RLIM_INFINITY else min(AWAKE_LIMIT_US, hard)
    resource.setrlimit(resource.RLIMIT_RTTIME, (soft, hard))
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
    except OSError:
        return False
    return True


def go_ordinary() -> None:
    """Give the real-time priority back, if this process has it."""
    if is_realtime():
        os.sched_setscheduler(0, _SCHED_OTHER, os.sched_param(0))
        take_short_slices()


def is_realtime() -> bool | None:
    """Whether this process has a real-time priority; None where there is no such thing."""
    if not sys.platform.startswith("linux"):
        return None
    return os.sched_getscheduler(0) in (os.SCHED_RR, os.SCHED_FIFO)

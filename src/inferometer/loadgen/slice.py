"""A short time slice for a worker, so that on waking it need not wait for the slice of whoever has its core.

Linux gives the core to the task with the earliest virtual deadline, and a task that asks for short slices has early
deadlines; its share of the core stays the same. Needs no privilege. ``sched_setattr(2)``: since Linux 6.12 the field
``sched_runtime`` is the slice of an ordinary task; older kernels ignore it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

SLICE_NS = 100_000  # the least that the kernel takes
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

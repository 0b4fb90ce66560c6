"""Receive times: the kernel's own stamps on the monotonic axis, or the best that user space can do.

``SO_TIMESTAMPNS`` delivers, with each ``recvmsg``, the CLOCK_REALTIME at which the last segment of the read
reached the host (socket(7)). The two clocks are steered against each other, so the offset is sampled all
through a run and each stamp is converted with the newest sample.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence

SO_TIMESTAMPNS = 35
ANCILLARY_BYTES = 64
RESAMPLE_NS = 10_000_000
# NTP steers a clock by at most 500 ppm; a larger change between two samples is a step of the clock.
STEP_NS = 1_000_000

_timespec = struct.Struct("qq")
_unpack_stamp, _STAMP_BYTES = _timespec.unpack, _timespec.size
_SOL_SOCKET = socket.SOL_SOCKET


class ClockOffset:
    """CLOCK_REALTIME minus CLOCK_MONOTONIC, sampled through the run.

    Attributes:
        offset_ns: the newest sample.
        bracket_max_ns: the longest that a reading of both clocks took; a sample is at most half of it off.
        drift_max_ns: largest change between two samples that was not a step.
        slew_max_ns: the largest of these changes, as far as it fell into the age of a sample in use.
        steps: number of changes larger than ``STEP_NS``.
    """

    def __init__(
        self,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        realtime_ns: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_REALTIME),
    ) -> None:
        self._monotonic_ns = monotonic_ns
        self._realtime_ns = realtime_ns
        self.restart()

    def restart(self) -> None:
        """Take a sample, and count bracket, drift and steps from it on."""
        self.bracket_max_ns = self.drift_max_ns = self.slew_max_ns = self.steps = 0
        self.offset_ns, self.sampled_ns = self._sample()

    @property
    def error_ns(self) -> int:
        """Bound of what converting a stamp can be off: half the widest bracket, and the drift in 10 ms."""
        return (self.bracket_max_ns + 1) // 2 + self.slew_max_ns

    def refresh(self, now_ns: int) -> None:
        """Take a new sample if the newest is older than 10 ms."""
        if now_ns - self.sampled_ns < RESAMPLE_NS:
            return
        offset_ns, sampled_ns = self._sample()
        change_ns, gap_ns = abs(offset_ns - self.offset_ns), max(sampled_ns - self.sampled_ns, RESAMPLE_NS)
        if change_ns > STEP_NS:
            self.steps += 1
        else:
            self.drift_max_ns = max(self.drift_max_ns, change_ns)
            # The loop looks for a new sample before it reads: samples lie further apart than 10 ms while there is
            # nothing to receive, up to the loop's longest wait. A clock is steered evenly (adjtimex(2)), so of the
            # change over such a gap only the part of 10 ms can be in a stamp.
            self.slew_max_ns = max(self.slew_max_ns, -(-change_ns * RESAMPLE_NS // gap_ns))
        self.offset_ns, self.sampled_ns = offset_ns, sampled_ns

    def _sample(self) -> tuple[int, int]:
        """The tightest of three bracketed readings: (offset, monotonic time of the reading)."""
        best: tuple[int, int, int] | None = None
        for _ in range(3):
            before = self._monotonic_ns()
            real = self._realtime_ns()
            after = self._monotonic_ns()
            reading = (after - before, real - (before + after) // 2, after)
            best = reading if best is None or reading < best else best
        assert best is not None
        self.bracket_max_ns = max(self.bracket_max_ns, best[0])
        return best[1], best[2]


def enable_kernel_stamps(sock: socket.socket) -> bool:
    """Ask the kernel to stamp what ``sock`` receives; False where the platform has no such stamps."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


def kernel_stamp_ns(ancillary: Sequence[tuple[int, int, bytes]], offset_ns: int) -> int | None:
    """The receive time on the monotonic axis, from the ancillary data of one ``recvmsg``; None if absent."""
    for level, kind, data in ancillary:
        if kind == SO_TIMESTAMPNS and level == _SOL_SOCKET and len(data) >= _STAMP_BYTES:
            stamp: tuple[int, int] = _unpack_stamp(data[:_STAMP_BYTES])
            return stamp[0] * 1_000_000_000 + stamp[1] - offset_ns
    return None

"""Kernel stamps on the monotonic axis, while the clocks are steered or stepped."""

from __future__ import annotations

import socket
import struct

from inferometer.client.stamps import SO_TIMESTAMPNS, ClockOffset, kernel_stamp_ns


class TwoClocks:
    def __init__(self) -> None:
        self.mono_ns = 1_000_000_000
        self.offset_ns = 5_000_000_000

    def monotonic_ns(self) -> int:
        self.mono_ns += 50  # reading a clock takes time
        return self.mono_ns

    def realtime_ns(self) -> int:
        self.mono_ns += 50
        return self.mono_ns + self.offset_ns


def test_the_offset_is_found_and_followed() -> None:
    clocks = TwoClocks()
    offset = ClockOffset(clocks.monotonic_ns, clocks.realtime_ns)
    assert abs(offset.offset_ns - clocks.offset_ns) <= 50
    clocks.offset_ns += 3_000
    offset.refresh(clocks.mono_ns)  # too early
    assert offset.drift_max_ns == 0
    clocks.mono_ns += 20_000_000
    offset.refresh(clocks.mono_ns)
    assert abs(offset.offset_ns - clocks.offset_ns) <= 50
    assert 2_900 <= offset.drift_max_ns <= 3_100
    assert offset.steps == 0


def test_a_step_of_the_clock_is_counted() -> None:
    clocks = TwoClocks()
    offset = ClockOffset(clocks.monotonic_ns, clocks.realtime_ns)
    clocks.offset_ns -= 2_000_000_000
    clocks.mono_ns += 20_000_000
    offset.refresh(clocks.mono_ns)
    assert (offset.steps, offset.drift_max_ns) == (1, 0)


def test_a_stamp_is_converted_and_other_ancillary_data_is_left_alone() -> None:
    stamp = struct.pack("qq", 7, 250)
    other = (socket.SOL_SOCKET, 99, stamp)
    assert (
        kernel_stamp_ns([other, (socket.SOL_SOCKET, SO_TIMESTAMPNS, stamp)], 1_000_000_000) == 6_000_000_250
    )
    assert kernel_stamp_ns([other], 0) is None

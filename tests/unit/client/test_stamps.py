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


def test_the_error_of_a_conversion_is_bounded_by_the_reading_and_the_drift() -> None:
    clocks = TwoClocks()
    offset = ClockOffset(clocks.monotonic_ns, clocks.realtime_ns)
    assert (offset.bracket_max_ns, offset.error_ns) == (100, 50)
    clocks.offset_ns += 3_000
    clocks.mono_ns += 20_000_000
    offset.refresh(clocks.mono_ns)
    assert (offset.bracket_max_ns, offset.drift_max_ns) == (100, 3_000)
    assert 1_500 <= offset.error_ns - 50 <= 1_501  # no sample in use was older than 10 ms: half of the change


def test_a_clock_that_is_steered_while_nothing_is_received_bends_no_stamp() -> None:
    clocks = TwoClocks()
    offset = ClockOffset(clocks.monotonic_ns, clocks.realtime_ns)
    clocks.offset_ns += 125_000  # 500 ppm over 250 ms
    clocks.mono_ns += 250_000_000
    offset.refresh(clocks.mono_ns)
    assert (offset.drift_max_ns, offset.steps) == (125_000, 0)
    assert 5_000 <= offset.error_ns - 50 <= 5_001
    clocks.offset_ns += 6_000  # steered harder, and watched
    clocks.mono_ns += 10_000_000
    offset.refresh(clocks.mono_ns)
    assert 5_990 <= offset.error_ns - 50 <= 6_001


def test_a_reading_that_was_interrupted_counts_only_if_no_other_of_it_was_tight() -> None:
    clocks, stalls = TwoClocks(), [0, 0, 0, 40_000, 0, 0, 30_000, 40_000, 30_001]

    def realtime_ns() -> int:
        clocks.mono_ns += stalls.pop(0)
        return clocks.realtime_ns()

    offset = ClockOffset(clocks.monotonic_ns, realtime_ns)
    clocks.mono_ns += 20_000_000
    offset.refresh(clocks.mono_ns)
    assert offset.bracket_max_ns == 100
    clocks.mono_ns += 20_000_000
    offset.refresh(clocks.mono_ns)
    assert offset.bracket_max_ns == 30_100
    assert abs(offset.offset_ns - clocks.offset_ns) <= offset.error_ns


def test_a_restart_forgets_what_was_counted() -> None:
    clocks = TwoClocks()
    offset = ClockOffset(clocks.monotonic_ns, clocks.realtime_ns)
    for change_ns in (3_000, 2_000_000_000):
        clocks.offset_ns += change_ns
        clocks.mono_ns += 20_000_000
        offset.refresh(clocks.mono_ns)
    offset.restart()
    assert (offset.steps, offset.drift_max_ns, offset.bracket_max_ns, offset.error_ns) == (0, 0, 100, 50)
    assert offset.offset_ns == clocks.offset_ns


def test_a_stamp_is_converted_and_other_ancillary_data_is_left_alone() -> None:
    stamp = struct.pack("qq", 7, 250)
    other = (socket.SOL_SOCKET, 99, stamp)
    assert (
        kernel_stamp_ns([other, (socket.SOL_SOCKET, SO_TIMESTAMPNS, stamp)], 1_000_000_000) == 6_000_000_250
    )
    assert kernel_stamp_ns([other], 0) is None

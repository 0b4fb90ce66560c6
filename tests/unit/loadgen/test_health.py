"""The meter on a virtual clock: samples of their own span, sums of the whole point, absence where nothing is known."""

from __future__ import annotations

from typing import Any

import pytest

from inferometer.client.stamps import ClockOffset
from inferometer.client.turns import BUCKETS, Turns
from inferometer.loadgen.backlog import Backlog
from inferometer.loadgen.health import HealthMeter, Place, Readers, Usage, turn_ns

SECOND = 1_000_000_000
START = 5 * SECOND


class Machine:
    """What the system would say of the process, and the transport as far as the meter looks at it."""

    def __init__(self, proc: bool = True) -> None:
        self.usage = Usage(1.0, 100, 10)
        self.waited_ns = 0
        self.resident_pages = 1000
        self.turns = Turns()
        self.in_flight = 0
        self.resent = 7  # of an earlier point
        self.keep_alive = True
        self.kernel_stamps: bool | None = True
        self.clock_ns = 0
        self.realtime_ahead_ns = 900
        self.realtime = True
        self.offset = ClockOffset(self._tick, lambda: self._tick() + self.realtime_ahead_ns)
        self.readers = Readers(
            lambda: self.usage,
            lambda: f"123456 {self.waited_ns} 42\n" if proc else None,
            lambda: f"9000 {self.resident_pages} 800 1 0 700 0\n" if proc else None,
            4096,
            lambda: self.realtime,
        )

    def _tick(self) -> int:
        self.clock_ns += 50  # reading a clock takes time
        return self.clock_ns

    def use(self, cpu_s: float = 0.0, voluntary: int = 0, involuntary: int = 0, waited_ns: int = 0) -> None:
        self.usage = Usage(
            self.usage.cpu_s + cpu_s,
            self.usage.voluntary_switches + voluntary,
            self.usage.involuntary_switches + involuntary,
        )
        self.waited_ns += waited_ns

    def meter(self, now_ns: int = START) -> Any:
        transport: Any = self
        return HealthMeter(now_ns, transport, Place(3, 1, 6), self.readers)


def empty_backlog() -> Backlog:
    return Backlog(lambda exchange: iter(()), lambda exchange, decoded: None)  # type: ignore[arg-type,return-value]


def test_a_sample_a_second_of_what_happened_in_it() -> None:
    machine, backlog = Machine(), empty_backlog()
    machine.turns.turn(99)  # before the point
    meter = machine.meter()
    machine.use(cpu_s=0.25, voluntary=400, involuntary=20, waited_ns=30_000_000)
    for _ in range(200):
        machine.turns.turn(1000)
    machine.turns.lag_max_ns, machine.turns.late_max_ns, machine.turns.send_lag_max_ns = 4000, 5000, 6000
    machine.in_flight, machine.resident_pages = 12, 2000
    backlog.peak_bytes, backlog.peak_age_ns = 3000, 40_000_000
    assert meter.sample(START + SECOND - 1, machine, backlog) is None
    sample = meter.sample(START + 2 * SECOND, machine, backlog)
    assert sample is not None
    assert (sample.point, sample.worker, sample.at_ns, sample.span_s) == (3, 1, START + 2 * SECOND, 2.0)
    assert sample.cpu_share == 0.125
    assert sample.run_queue_wait_share == 0.015
    assert (sample.voluntary_switches_per_s, sample.involuntary_switches_per_s) == (200, 10)
    assert sample.loop_turns_per_s == 100
    assert (sample.loop_turn_p99_s, sample.loop_turn_max_s) == (1e-6, 1e-6)
    assert (sample.receive_lag_max_s, sample.poll_late_max_s, sample.send_lag_max_s) == (4e-6, 5e-6, 6e-6)
    assert (sample.backlog_peak_bytes, sample.backlog_peak_age_s) == (3000, 0.04)
    assert (sample.in_flight_requests, sample.rss_bytes) == (12, 2000 * 4096)

    machine.in_flight = 3
    second = meter.sample(START + 3 * SECOND, machine, backlog)
    assert second is not None
    assert (second.cpu_share, second.run_queue_wait_share, second.loop_turns_per_s) == (0.0, 0.0, 0.0)
    unknown = (
        second.loop_turn_p99_s,
        second.loop_turn_max_s,
        second.receive_lag_max_s,
        second.send_lag_max_s,
    )
    assert unknown == (None, None, None, None), "nothing happened, so nothing took 0 s"
    assert second.backlog_peak_bytes == 0


def test_the_point_has_the_sum_of_its_spans() -> None:
    machine, backlog = Machine(), empty_backlog()
    meter = machine.meter()
    machine.turns.turn(1000)
    machine.in_flight = 50
    backlog.peak_bytes, backlog.peak_age_ns = 900, 1_000_000
    assert meter.sample(START + 1, machine, backlog) is None, "but 50 in flight were seen"
    machine.use(cpu_s=0.5, voluntary=5, involuntary=2, waited_ns=10_000_000)
    machine.resident_pages = 5000
    assert meter.sample(START + SECOND, machine, backlog) is not None
    machine.resident_pages, machine.in_flight = 1200, 0
    machine.turns.turn(64_000)
    machine.turns.late_max_ns = 8_000
    machine.resent = 9
    backlog.peak_bytes = 800
    last = meter.sample(START + SECOND + SECOND // 2, machine, backlog, last=True)
    assert last is not None
    assert last.span_s == 0.5
    machine.realtime_ahead_ns = 1000
    machine.clock_ns += SECOND
    machine.offset.refresh(machine.clock_ns)
    done = meter.close(START + 2 * SECOND, machine, backlog)
    assert (done.worker, done.cpu, done.receive_clock) == (1, 6, "kernel")
    assert (done.cpu_s, done.wall_s, done.run_queue_wait_s) == (0.5, 2.0, 0.01)
    assert (done.context_switches, done.involuntary_switches) == (7, 2)
    assert (done.loop_turns, done.loop_turn_max_s, done.poll_late_max_s) == (2, 64e-6, 8e-6)
    assert (done.backlog_peak_bytes, done.backlog_peak_age_s) == (900, 0.001)
    assert (done.in_flight_peak, done.rss_peak_bytes, done.resent) == (50, 5000 * 4096, 2)
    # A reading takes 100 ns, so it is at most 50 ns off; the clocks moved by 100 ns in a second, by 1 in 10 ms.
    assert (done.clock_error_ns, done.clock_drift_ns, done.clock_steps) == (51, 100, 0)
    assert done.realtime is True


def test_no_wait_came_back_late_is_known_and_not_missing() -> None:
    machine, backlog = Machine(), empty_backlog()
    meter = machine.meter()
    machine.turns.turn(0)
    sample = meter.sample(START + SECOND, machine, backlog)
    assert (sample.loop_turn_max_s, sample.poll_late_max_s) == (0.0, 0.0)
    assert meter.close(START + 2 * SECOND, machine, backlog).poll_late_max_s == 0.0


def test_the_last_sample_needs_a_span() -> None:
    machine = Machine()
    meter = machine.meter()
    assert meter.sample(START, machine, empty_backlog(), last=True) is None


def test_what_the_platform_does_not_tell_is_absent() -> None:
    machine, backlog = Machine(proc=False), empty_backlog()
    machine.kernel_stamps = False
    meter = machine.meter()
    sample = meter.sample(START + SECOND, machine, backlog)
    assert (sample.run_queue_wait_share, sample.rss_bytes) == (None, None)
    done = meter.close(START + SECOND, machine, backlog)
    assert (done.run_queue_wait_s, done.rss_peak_bytes, done.clock_error_ns) == (None, None, None)
    assert (done.receive_clock, done.loop_turn_p99_s) == ("user", None)


def test_a_kernel_that_does_not_count_waits_says_zero_and_is_not_believed() -> None:
    machine = Machine()
    machine.readers = machine.readers._replace(schedstat=lambda: "0 0 0\n")
    done = machine.meter().close(START + SECOND, machine, empty_backlog())
    assert done.run_queue_wait_s is None


def turns(*busy_ns: int) -> Turns:
    counted = Turns()
    for each in busy_ns:
        counted.turn(each)
    return counted


@pytest.mark.parametrize(
    ("counted", "share", "expected"),
    [
        (turns(), 0.99, None),
        (turns(700), 0.99, 700),  # the edge would be 1024: never more than the longest
        (turns(*[600] * 4, 100_000), 0.5, 512 + 512 * 2.5 / 4),
        (turns(*[600] * 4, 100_000), 0.8, 1024),  # all of a bucket: its upper edge
        (turns(*[600] * 4, 100_000), 0.9, 65536 + 65536 / 2),
        (turns(0, 0), 0.5, 0),
    ],
)
def test_a_share_of_the_turns_from_the_histogram(
    counted: Turns, share: float, expected: float | None
) -> None:
    assert turn_ns(counted, share) == (expected if expected is None else pytest.approx(expected))


def test_a_turn_of_an_hour_has_a_bucket_too() -> None:
    hour = turns(3600 * SECOND)
    assert hour.busy_ns[BUCKETS - 1] == 1
    assert turn_ns(hour, 0.99) <= 3600 * SECOND  # type: ignore[operator]

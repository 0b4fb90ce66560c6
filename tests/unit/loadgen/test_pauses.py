"""Rests between load points, on a clock that moves only when somebody sleeps."""

import pytest

from inferometer.clock import VirtualClock
from inferometer.loadgen.pauses import pausing, rest
from inferometer.loadgen.progress import NullObserver
from inferometer.loadgen.stop import StopSignal


class Watching(NullObserver):
    def __init__(self):
        self.told = []

    def on_progress(self, progress):
        self.told.append(progress)


def resting(seconds, interrupted_at_s=None):
    clock, stop, watching = VirtualClock(), StopSignal(), Watching()

    def sleep(span_s):
        clock.advance_ns(round(span_s * 1e9))
        if interrupted_at_s is not None and clock.now_ns() >= interrupted_at_s * 1e9:
            stop.request()

    told = pausing(2, 4, "concurrency 16", seconds)
    return rest(seconds, told, watching, stop, clock, sleep), watching.told


def test_a_rest_lasts_as_long_as_was_asked_and_is_told_of():
    rested_s, told = resting(1.05)
    assert rested_s == pytest.approx(1.05)
    assert [progress.elapsed_s for progress in told] == pytest.approx([0, 0.3, 0.6, 0.9])
    assert {(progress.kind, progress.point, progress.limit_s) for progress in told} == {("pause", 2, 1.05)}


def test_a_rest_ends_when_the_user_wants_it():
    rested_s, _ = resting(60, interrupted_at_s=2)
    assert rested_s == pytest.approx(2.0)

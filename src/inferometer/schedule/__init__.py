"""WHEN to send: planned offsets of an open loop, or the permits of a closed loop."""

from inferometer.schedule.arrivals import arrival_offsets_ns
from inferometer.schedule.loops import ClosedLoop, OpenLoop, Planned, Schedule, make_schedule

__all__ = ["ClosedLoop", "OpenLoop", "Planned", "Schedule", "arrival_offsets_ns", "make_schedule"]

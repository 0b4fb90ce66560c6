"""What a step computes: one strategy for each kind of engine, over one queue, one running set and one pool."""

from __future__ import annotations

from inferometer.simulator.instance.schedulers.batch import Batch, Floor, Scheduler, shape_of
from inferometer.simulator.instance.schedulers.chunked import Chunked
from inferometer.simulator.instance.schedulers.order import Queue
from inferometer.simulator.instance.schedulers.prefill_first import PrefillFirst
from inferometer.simulator.instance.schedulers.static import Static

__all__ = [
    "Batch",
    "Chunked",
    "Floor",
    "PrefillFirst",
    "Queue",
    "Scheduler",
    "Static",
    "make_scheduler",
    "shape_of",
]


def make_scheduler(floor: Floor) -> Scheduler:
    """The scheduler that the limits of ``floor`` name."""
    match floor.limits.scheduler:
        case "chunked":
            return Chunked(floor)
        case "prefill-first":
            return PrefillFirst(floor)
        case "static":
            return Static(floor)

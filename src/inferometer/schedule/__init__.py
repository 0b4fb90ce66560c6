"""WHEN to send: planned offsets of an open loop, or the permits of a closed loop; and which worker sends what."""

from inferometer.schedule.arrivals import arrival_offsets_ns, shaped_offsets_ns
from inferometer.schedule.loops import ClosedLoop, OpenLoop, Planned, Schedule, planned_offsets_ns
from inferometer.schedule.making import make_schedule
from inferometer.schedule.permits import ShapedLoop, WaveLoop
from inferometer.schedule.replay import pack_offsets, unpack_offsets
from inferometer.schedule.shards import WHOLE, Shard, owner_of

__all__ = [
    "WHOLE",
    "ClosedLoop",
    "OpenLoop",
    "Planned",
    "Schedule",
    "ShapedLoop",
    "Shard",
    "WaveLoop",
    "arrival_offsets_ns",
    "make_schedule",
    "owner_of",
    "pack_offsets",
    "planned_offsets_ns",
    "shaped_offsets_ns",
    "unpack_offsets",
]

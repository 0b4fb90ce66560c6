"""From a load point to its schedule."""

from __future__ import annotations

from inferometer.schedule.loops import ClosedLoop, OpenLoop, Schedule, planned_offsets_ns
from inferometer.schedule.permits import ShapedLoop, WaveLoop
from inferometer.schedule.replay import unpack_offsets
from inferometer.schedule.shards import WHOLE, Shard
from inferometer.spec import LoadPoint


def make_schedule(point: LoadPoint, shard: Shard = WHOLE, recorded: bytes = b"") -> Schedule:
    """The schedule of a load point, or of one worker's share of it.

    ``num_prompts`` and ``duration_s`` both bound it, whichever comes first; recorded arrivals are bounded already.

    Args:
        point: the load point.
        shard: whose share.
        recorded: all arrivals of a replayed trace, as ``pack_offsets`` writes them.
    """
    if point.trace:
        return OpenLoop(unpack_offsets(recorded), None, shard)
    until_ns = None if point.duration_s is None else round(point.duration_s * 1e9)
    if point.request_rate is None:
        return _closed_loop(point, until_ns, shard)
    return OpenLoop(planned_offsets_ns(point), point.max_concurrency, shard)


def _closed_loop(point: LoadPoint, until_ns: int | None, shard: Shard) -> Schedule:
    permits, curve = point.max_concurrency or 1, point.curve
    if point.waves:
        if shard.workers > 1:
            raise ValueError("rounds that wait for each other cannot be shared by workers")
        return WaveLoop(permits, point.num_prompts, until_ns)
    if curve is not None:
        return ShapedLoop(curve, point.num_prompts, until_ns, shard)
    return ClosedLoop(permits, point.num_prompts, until_ns, shard)

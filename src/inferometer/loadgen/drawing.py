"""The requests of a load point, as they are drawn from the data when it begins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from inferometer.loadgen.plan import planned_turns
from inferometer.loadgen.sessions import without_later_turns
from inferometer.record.types import PointRecord
from inferometer.schedule import pack_offsets
from inferometer.spec import LoadPoint, RunSpec
from inferometer.workload import Request, RowFeed


class Drawn(NamedTuple):
    """What a load point sends.

    Attributes:
        requests: in the order in which they are sent; drawn as they are asked for.
        salt: what their made text follows from, beside the seed.
        recorded: all arrivals of a replayed trace, see ``schedule.pack_offsets``.
        converses: whether requests may have later turns. Those of a warm-up have none, which could take as long as
            what it precedes.
    """

    requests: Iterator[Request]
    salt: str
    recorded: bytes
    converses: bool


def draw(spec: RunSpec, feed: RowFeed, what: tuple[LoadPoint, PointRecord, str]) -> Drawn:
    """Draw the requests of a load point, and note in its record what they are.

    The run's own name is part of the salt: the same command run twice must not find its prompts in the cache of a
    server that has kept running.

    Args:
        spec: what was asked for.
        feed: the data of the run.
        what: the load point, its record, and the name of the run.

    Raises:
        DataError: see ``RowFeed.take``.
    """
    point, record, run_id = what
    same = spec.sweep.same_prompts
    again = f"-{record.sitting}" if record.sitting else ""  # what was sent of it before may be in a cache
    salt = run_id if same else f"{run_id}-{point.index}{again}"
    requests = feed.take(point, salt)
    converses = spec.sessions.wanted and point.kind != "warmup"
    if spec.sessions.wanted and not converses:
        requests = map(without_later_turns, requests)
    info = feed.info()
    if info is not None:
        record.dataset = {**msgspec.to_builtins(info), "salt": salt, "seed": point.seed}
        if same:
            record.dataset["same_prompts"] = True
    record.repeated_prompts = feed.repeated + feed.reused
    if converses:
        record.planned_requests = planned_turns(spec, point, record.planned_requests, feed)
    return Drawn(requests, salt, pack_offsets(feed.offsets_ns(point)), converses)

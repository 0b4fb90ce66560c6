"""One load point from what its workers say of their shares. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from inferometer.record.types import PointRecord, StopReason

# From the most harmless to the gravest: the reason of a load point is the gravest of its shares'.
_GRAVITY: tuple[StopReason, ...] = (
    "complete",
    "duration",
    "errors",
    "saturated",
    "data",
    "interrupted",
    "unreachable",
    "disk",
    "lost",
)


def merge_shares(shares: Sequence[PointRecord]) -> PointRecord:
    """Add up the shares of a load point.

    Requests are summed, the end is the latest known, the reason to stop is the gravest, health is listed by worker:
    that of a worker which was lost counts as none, however much of it has come.
    Everything else is common to all shares and taken from the first.

    Args:
        shares: one a worker, at least one.
    """
    first = shares[0]
    ends = [share.end_ns for share in shares if share.end_ns is not None]
    epochs = [share.epoch_ns for share in shares if share.epoch_ns is not None]
    reasons = [share.stop_reason for share in shares if share.stop_reason is not None]
    return msgspec.structs.replace(
        first,
        dispatched=sum(share.dispatched for share in shares),
        repeated_prompts=max(share.repeated_prompts for share in shares),
        epoch_ns=min(epochs, default=None),
        end_ns=max(ends, default=None),
        stop_reason=max(reasons, key=_GRAVITY.index, default=None),
        health=sorted(
            (h for share in shares if share.stop_reason != "lost" for h in share.health),
            key=lambda h: h.worker,
        ),
    )


def lost_share(point: PointRecord, dispatched: int) -> PointRecord:
    """The share of a worker that ended before its time.

    What was in flight is lost with it; what had finished had been sent.

    Args:
        point: the point as the worker was asked for it.
        dispatched: requests of it that are known to have been sent.
    """
    return msgspec.structs.replace(point, dispatched=dispatched, end_ns=None, stop_reason="lost", health=[])


def merge_journals(
    starts: Mapping[int, PointRecord], ends: Mapping[int, PointRecord], finished: Mapping[int, int]
) -> PointRecord:
    """A load point as the journals of its workers have it; at least one of them began it.

    Args:
        starts: by worker, the point as it began.
        ends: by worker, its share as it ended; a worker without one was lost.
        finished: by worker, how many of its requests are in its journal.
    """
    known = next(iter([*ends.values(), *starts.values()]))
    workers = sorted({*range(known.workers), *starts, *ends})
    return merge_shares(
        [
            ends[worker] if worker in ends else lost_share(starts.get(worker, known), finished.get(worker, 0))
            for worker in workers
        ]
    )

"""A run that was resumed: which measurement of a load point counts, and where each sitting began and ended. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from inferometer.clock import AnchoredClock
from inferometer.record.types import PointRecord, RunMeta, RunState, Sitting, StopReason

# The load point did what it was asked for, or ended by a rule that it was given.
_ENDS: frozenset[StopReason | None] = frozenset({"complete", "duration", "errors", "saturated"})


def came_to_its_end(point: PointRecord) -> bool:
    """Whether a load point was measured as a whole, and not cut short by a person, a machine or its data."""
    return point.epoch_ns is not None and point.end_ns is not None and point.stop_reason in _ENDS


def is_finished(point: PointRecord, successes: Mapping[int, int]) -> bool:
    """Whether a load point need not be measured again.

    Args:
        point: as stored.
        successes: requests that succeeded, by load point. One at which none did has measured nothing.
    """
    return came_to_its_end(point) and not point.redo and successes.get(point.index, 0) > 0


def successor(stored: PointRecord, done: PointRecord | None) -> PointRecord:
    """Which of two measurements of a load point counts: the later one, unless only the earlier came to its end.

    Args:
        stored: what ``run.json`` has, begun or not.
        done: what the journal of the latest sitting has; None when it did not begin there.
    """
    if done is None:
        return stored
    if stored.sitting != done.sitting:
        return stored if came_to_its_end(stored) and not came_to_its_end(done) else done
    # What the parent process alone knows: repeats, which it counts as it draws, what the server's engine counted, and
    # what it noted once the workers had ended.
    return msgspec.structs.replace(
        done,
        repeated_prompts=max(stored.repeated_prompts, done.repeated_prompts),
        prepared=max(stored.prepared, done.prepared, key=len),
        counters_before=done.counters_before or stored.counters_before,
        counters_after=done.counters_after or stored.counters_after,
    )


def latest_sitting(meta: RunMeta) -> int:
    """Place of the latest sitting; 0 for a run of a version that kept none."""
    return max(len(meta.sittings) - 1, 0)


def kept_of(points: Iterable[PointRecord], sitting: int) -> list[int]:
    """``index`` of the load points whose rows are those of sittings before ``sitting``."""
    return [point.index for point in points if point.sitting != sitting and point.epoch_ns is not None]


def begin_sitting(meta: RunMeta, began_utc: str, clock: AnchoredClock, changed: Iterable[str] = ()) -> None:
    """A new sitting; its state, and that of the run, is "running"."""
    meta.sittings.append(Sitting(began_utc=began_utc, anchors=[_anchor(clock)], changed=list(changed)))
    meta.state = "running"


def end_sitting(meta: RunMeta, state: RunState, clock: AnchoredClock | None = None) -> None:
    """The latest sitting, and with it the run, ended so; without a clock nobody knows when."""
    meta.state = state
    if meta.sittings:
        latest = meta.sittings[-1]
        latest.state = state
        latest.anchors += [] if clock is None else [_anchor(clock)]


def _anchor(clock: AnchoredClock) -> dict[str, int]:
    return {"monotonic_ns": clock.now_ns(), "realtime_ns": clock.realtime_ns()}

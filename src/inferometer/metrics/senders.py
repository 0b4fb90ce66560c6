"""The machines that sent the load together: how well their clocks were known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from inferometer.metrics.verdict import Condition
from inferometer.record.types import ClockMark, NodeRecord, RunMeta

NS_PER_MS = 1e6
_STEADY_MS = 1.0
# The floor of the limit of the send lag: a start that is off by more is as good as requests that are sent so late.
_START_MS = 2.0


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """One machine of several that sent the load; times in ms.

    Attributes:
        offset_ms: what its clock was ahead of ours at the first comparison.
        drift_ms: the largest change of that between two comparisons, one after the other; None with fewer than two.
        bound_ms: what an offset can be off: half the shortest round trip, of the worst comparison.
        lost: how it was lost, in words.
    """

    name: str
    address: str
    workers: list[int]
    versions: dict[str, str]
    cores: int | None
    offset_ms: float | None
    drift_ms: float | None
    bound_ms: float | None
    lost: str | None = None


def senders_of(meta: RunMeta) -> list[Sender]:
    """The machines that sent what a run has, by sitting; empty where the one that ran it sent all."""
    measured = {point.sitting for point in meta.points if point.epoch_ns is not None}
    return [_sender(node) for node in meta.nodes if node.sitting in measured]


def _sender(node: NodeRecord) -> Sender:
    drift_ns = max(_changes_ns(node.clock), default=None)
    return Sender(
        name=node.name,
        address=node.address,
        workers=node.workers,
        versions=node.versions,
        cores=node.cores,
        offset_ms=node.clock[0].offset_ns / NS_PER_MS if node.clock else None,
        drift_ms=None if drift_ns is None else drift_ns / NS_PER_MS,
        bound_ms=max((mark.bound_ns / NS_PER_MS for mark in node.clock), default=None),
        lost=node.lost,
    )


def _changes_ns(marks: Sequence[ClockMark]) -> list[int]:
    return [abs(b.offset_ns - a.offset_ns) for a, b in pairwise(marks)]


def sender_conditions(meta: RunMeta) -> list[Condition]:
    """Two conditions for load from several machines: they began together, and their clocks kept pace.

    Latencies are differences on one machine's clock, and hold in any case. A start that is off shifts a machine's whole
    schedule; that is hard. Between comparisons the offset is taken to change evenly: what it changes by, and what a
    comparison can be off, moves only times of requests of different machines against each other; that is a warning.
    """
    senders = senders_of(meta)
    if not senders:
        return []
    bounds = [sender.bound_ms for sender in senders if sender.bound_ms is not None]
    drifts = [sender.drift_ms for sender in senders if sender.drift_ms is not None]
    bound_ms, worst_ms = max(bounds, default=None), max([*bounds, *drifts], default=None)
    return [
        Condition(
            name="node start",
            level="hard",
            asked="machines that send the load begin together: bound of the error of their clocks' offsets",
            measured=bound_ms,
            limit=_START_MS,
            unit="ms",
            ok=None if bound_ms is None else bound_ms <= _START_MS,
            next_step="clocks were not compared"
            if bound_ms is None
            else "the way to a node is too slow to compare clocks: use nodes of one network, nearer to this machine; "
            "--nodes HOST:PORT is a shorter way than ray://",
        ),
        Condition(
            name="node clocks",
            level="warn",
            asked="clocks of the machines that send the load, known to within",
            measured=worst_ms,
            limit=_STEADY_MS,
            unit="ms",
            ok=None if worst_ms is None else worst_ms <= _STEADY_MS,
            next_step="clocks were not compared"
            if worst_ms is None
            else "times of requests of different nodes compare only so well; use shorter load points",
        ),
    ]

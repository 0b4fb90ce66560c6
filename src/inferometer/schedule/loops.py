"""Schedules: pure state that says when the next request is due. No clock, no thread, no socket."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple, Protocol

from inferometer.schedule.arrivals import arrival_offsets_ns, shaped_offsets_ns
from inferometer.schedule.shards import WHOLE, Shard
from inferometer.spec import LoadPoint, derive_seed
from inferometer.spec.curves import level_for_ever

# A closed loop lets its first permits go one after the other rather than all in one instant, so that the
# generator's own burst is not what the first requests measure.
START_STAGGER_NS = 100_000


class Planned(NamedTuple):
    """A request that may be sent; times in ns from the load point's epoch.

    ``request`` counts over all workers of the load point.
    ``queued_ns`` is set when the request was due earlier than a permit was free.
    """

    request: int
    planned_ns: int
    queued_ns: int | None


class Schedule(Protocol):
    """When to send. ``wake_ns`` -> ``take`` when that time has come; ``release`` when a request has ended."""

    def wake_ns(self) -> int | None:
        """When the next request is due; None while every permit is out, or when nothing is left."""
        ...

    def take(self) -> Planned:
        """The request that ``wake_ns`` announced."""
        ...

    def release(self, at_ns: int) -> None:
        """A request ended at ``at_ns``; its permit is free again."""
        ...

    def exhausted(self) -> bool:
        """Whether no further request will ever be due."""
        ...


class OpenLoop:
    """Requests due at planned offsets, whatever the server does.

    Args:
        offsets_ns: non-decreasing planned offsets of the whole load point.
        max_concurrency: at most so many in flight in all; a request that has to wait keeps its planned time, so
            the wait is part of its latency and nothing turns into a closed loop unseen.
        shard: whose requests and permits.
    """

    def __init__(
        self, offsets_ns: Iterator[int], max_concurrency: int | None = None, shard: Shard = WHOLE
    ) -> None:
        self._arrivals = islice(enumerate(offsets_ns), shard.worker, None, shard.workers)
        self._next = next(self._arrivals, None)
        self._free = None if max_concurrency is None else len(shard.slots(max_concurrency))
        self._freed_ns = 0

    def wake_ns(self) -> int | None:
        """Offset of the next arrival, or the time its permit became free if that was later."""
        if self._next is None or self._free == 0:
            return None
        return max(self._next[1], self._freed_ns)

    def take(self) -> Planned:
        """The arrival that is due."""
        if self._next is None or self._free == 0:
            raise RuntimeError("take() without a due request")
        index, planned_ns = self._next
        waited = self._freed_ns > planned_ns
        planned = Planned(index, planned_ns, self._freed_ns if waited else None)
        self._next = next(self._arrivals, None)
        if self._free is not None:
            self._free -= 1
        return planned

    def release(self, at_ns: int) -> None:
        """Give a permit back; only a schedule that had run out of permits was held up by it."""
        if self._free is None:
            return
        if self._free == 0:
            self._freed_ns = at_ns
        self._free += 1

    def exhausted(self) -> bool:
        """Whether the last arrival was taken."""
        return self._next is None


class ClosedLoop:
    """A fixed number of permits; a request is due the moment a permit is free.

    Args:
        concurrency: number of permits of the whole load point.
        count: number of requests in all; None = until ``until_ns``.
        until_ns: no request is due after this offset; None = no limit.
        shard: whose requests and permits.
    """

    def __init__(
        self,
        concurrency: int,
        count: int | None = None,
        until_ns: int | None = None,
        shard: Shard = WHOLE,
    ) -> None:
        # In the order of all workers' permits together; a sorted list is a heap.
        self._permits = [slot * START_STAGGER_NS for slot in shard.slots(concurrency)]
        self._requests = shard.of_permits(concurrency)
        self._next = next(self._requests, None)
        self._count = count
        self._until_ns = until_ns

    def wake_ns(self) -> int | None:
        """When the earliest free permit became free."""
        if self.exhausted() or not self._permits:
            return None
        return self._permits[0]

    def take(self) -> Planned:
        """The next request, planned for the moment its permit was freed."""
        if self._next is None:
            raise RuntimeError("take() without a due request")
        planned = Planned(self._next, heapq.heappop(self._permits), None)
        self._next = next(self._requests, None)
        return planned

    def release(self, at_ns: int) -> None:
        """A permit is free since ``at_ns``."""
        heapq.heappush(self._permits, at_ns)

    def exhausted(self) -> bool:
        """Whether all requests were taken, or the next permit was freed after the time limit."""
        if self._next is None or (self._count is not None and self._next >= self._count):
            return True
        return self._until_ns is not None and bool(self._permits) and self._permits[0] >= self._until_ns


def planned_offsets_ns(point: LoadPoint) -> Iterator[int]:
    """The bounded arrivals of an open-loop point, in ns from its epoch."""
    if point.request_rate is None:
        raise ValueError("a closed loop has no planned offsets")
    seed = derive_seed(point.seed, "schedule")
    curve = point.curve
    offsets: Iterator[int]
    if curve is None and point.burst == 1:
        offsets = arrival_offsets_ns(point.request_rate, point.burstiness, seed)
    else:
        curve = curve or level_for_ever(point.request_rate)
        offsets = shaped_offsets_ns(curve, point.burstiness, point.burst, seed)
    if point.num_prompts is not None:
        offsets = islice(offsets, point.num_prompts)
    for offset_ns in offsets:
        if point.duration_s is not None and offset_ns >= point.duration_s * 1e9:
            return
        yield offset_ns

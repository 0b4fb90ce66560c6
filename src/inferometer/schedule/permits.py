"""Closed loops whose number of permits changes over time, or whose requests begin in rounds."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from inferometer.schedule.loops import START_STAGGER_NS, Planned
from inferometer.schedule.shards import WHOLE, Shard
from inferometer.spec.curves import Curve, Piece

_SLACK = 1e-9  # a level that should be whole may be a hair below it
Edge = tuple[int, int]  # offset in ns, and +1 or -1


def permits_at(level: float) -> int:
    """How many whole permits a level of a curve is."""
    return int(level + _SLACK)


def permit_edges(curve: Curve, shard: Shard = WHOLE) -> list[Edge]:
    """When each of a worker's permits comes and goes, in order of time.

    Permit k (from 0) is there while the curve is at k + 1 or above. Those that come in one instant, at the start and
    at steps, come one after the other as in any closed loop.

    Args:
        curve: requests in flight over time; at least 1 everywhere.
        shard: whose permits.
    """
    edges: list[Edge] = []
    now, begin_s = 0, 0.0
    for piece in curve.pieces:
        now = _jump(edges, now, permits_at(piece.begin), begin_s, shard)
        now = _glide(edges, now, piece, begin_s, shard)
        begin_s += piece.length_s
    return sorted(edges)


def _jump(edges: list[Edge], now: int, then: int, at_s: float, shard: Shard) -> int:
    """A change in one instant; the number of permits after it."""
    at_ns = round(at_s * 1e9)
    for order, slot in enumerate(range(now, then)):
        if slot % shard.workers == shard.worker:
            edges.append((at_ns + order * START_STAGGER_NS, 1))
    edges += [(at_ns, -1) for slot in range(then, now) if slot % shard.workers == shard.worker]
    return then


def _glide(edges: list[Edge], now: int, piece: Piece, begin_s: float, shard: Shard) -> int:
    """A change over the length of a piece; the number of permits after it."""
    then, change = permits_at(piece.end), 1 if piece.end > piece.begin else -1
    slots = range(now, then) if change > 0 else range(now - 1, then - 1, -1)
    own = (slot for slot in slots if slot % shard.workers == shard.worker)
    # A permit goes as the curve falls below it, which is when it passes it on the way up.
    edges += [(round((begin_s + piece.time_of_level(slot + 1)) * 1e9), change) for slot in own]
    return then


class ShapedLoop:
    """A closed loop whose permits come and go by a curve; a request is due the moment a permit is free.

    A permit that goes while its request is in flight is withdrawn as the next request ends, whichever that is, and as
    many requests are in flight as before until then. A permit that comes meanwhile makes up for one that is to go.

    Args:
        curve: requests in flight over time.
        count: number of requests in all; None = until ``until_ns``.
        until_ns: no request is due after this offset; None = no limit.
        shard: whose requests and permits.
    """

    def __init__(
        self, curve: Curve, count: int | None = None, until_ns: int | None = None, shard: Shard = WHOLE
    ) -> None:
        self._edges = permit_edges(curve, shard)
        self._place = 0  # of the first edge that has not come yet
        self._rises = sum(change > 0 for _, change in self._edges)  # from there on
        self._free: list[int] = []
        self._owed = 0  # permits that are to go as requests end
        self._requests = shard.of_permits(permits_at(curve.peak))
        self._next = next(self._requests, None)
        self._count = count
        self._until_ns = until_ns
        self._wake = self._find_wake()

    def wake_ns(self) -> int | None:
        """When the earliest free permit came, or became, free."""
        return None if self.exhausted() else self._wake

    def take(self) -> Planned:
        """The next request, planned for the moment its permit was free."""
        if self._next is None or self._wake is None:
            raise RuntimeError("take() without a due request")
        self._pass(self._wake)
        planned = Planned(self._next, heapq.heappop(self._free), None)
        self._next = next(self._requests, None)
        self._wake = self._find_wake()
        return planned

    def release(self, at_ns: int) -> None:
        """A request ended at ``at_ns``: its permit is free since, or gone."""
        self._pass(at_ns)
        if self._owed:
            self._owed -= 1
        else:
            heapq.heappush(self._free, at_ns)
        self._wake = self._find_wake()

    def exhausted(self) -> bool:
        """Whether all requests were taken, or the next permit was free after the time limit."""
        if self._next is None or (self._count is not None and self._next >= self._count):
            return True
        return self._until_ns is not None and self._wake is not None and self._wake >= self._until_ns

    def _pass(self, at_ns: int) -> None:
        """Let the edges up to ``at_ns`` come."""
        while self._place < len(self._edges) and self._edges[self._place][0] <= at_ns:
            edge_ns, change = self._edges[self._place]
            self._place += 1
            if change < 0:
                self._withdraw()
            else:
                self._rises -= 1
                if self._owed:
                    self._owed -= 1
                else:
                    heapq.heappush(self._free, edge_ns)

    def _withdraw(self) -> None:
        """A permit goes: a free one, the last that became free, or else the next whose request ends."""
        if self._free:
            self._free.remove(max(self._free))
            heapq.heapify(self._free)
        else:
            self._owed += 1

    def _find_wake(self) -> int | None:
        """The earliest free permit; while none is, the edge by which one will be, whatever ends until then."""
        if self._free:
            return self._free[0]  # edges that have passed are before it
        owed, place = self._owed, self._place
        while self._rises and place < len(self._edges):
            edge_ns, change = self._edges[place]
            owed -= change
            if owed < 0:
                return edge_ns
            place += 1
        return None


class WaveLoop:
    """Rounds of requests that begin together, one after the other; a static batch.

    Each round begins when the last request of the round before has ended (``benchmark_parallel.py`` of the MindIE
    guides, ``performance_maxbs``), and all of it is due in that instant. It measures what a batch of one size takes;
    the throughput of requests of unequal lengths comes out lower than that of a closed loop, for the short ones wait
    for the long ones. No worker knows of the others' requests, so there is only one.

    Args:
        concurrency: requests of a round.
        count: number of requests in all; None = until ``until_ns``.
        until_ns: no request is due after this offset; None = no limit.
    """

    def __init__(self, concurrency: int, count: int | None = None, until_ns: int | None = None) -> None:
        self._concurrency = concurrency
        self._count = count
        self._until_ns = until_ns
        self._begin_ns = self._last_ns = 0
        self._taken = self._out = 0

    def wake_ns(self) -> int | None:
        """When the round began, or begins; None while the one before has only to end."""
        return None if self.exhausted() else self._due_ns()

    def take(self) -> Planned:
        """The next request of the round."""
        due_ns = self._due_ns()
        if due_ns is None:
            raise RuntimeError("take() without a due request")
        planned = Planned(self._taken, due_ns, None)
        self._taken += 1
        self._out += 1
        return planned

    def release(self, at_ns: int) -> None:
        """A request ended at ``at_ns``; the last one of a round begins the next."""
        self._out -= 1
        self._last_ns = max(self._last_ns, at_ns)
        if not self._out and self._taken % self._concurrency == 0:
            self._begin_ns = self._last_ns

    def exhausted(self) -> bool:
        """Whether all requests were taken, or the next round would begin after the time limit."""
        if self._count is not None and self._taken >= self._count:
            return True
        due_ns = self._due_ns()
        return self._until_ns is not None and due_ns is not None and due_ns >= self._until_ns

    def _due_ns(self) -> int | None:
        ending = self._taken % self._concurrency == 0 and self._out
        return None if ending else self._begin_ns


def levels_at(edges: list[Edge], at_ns: Iterator[int]) -> Iterator[int]:
    """How many permits there are at each of these times, which do not decrease."""
    level, place = 0, 0
    for each in at_ns:
        while place < len(edges) and edges[place][0] <= each:
            level += edges[place][1]
            place += 1
        yield level

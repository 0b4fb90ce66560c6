"""The waiting queue of an instance that jumps."""

from __future__ import annotations

from heapq import heappop, heappush

from inferometer.simulator.instance.fast_sequence import FastSequence
from inferometer.simulator.instance.limits import Order


class FastQueue:
    """Who waits, in the order of ``schedulers.order.Queue``: those to come by arrival, those that are there by rank."""

    __slots__ = ("_coming", "_order", "_there")

    def __init__(self, order: Order) -> None:
        self._order = order
        self._coming: list[tuple[float, int, FastSequence]] = []
        self._there: list[tuple[int, int, float, int, FastSequence]] = []

    def add(self, sequence: FastSequence) -> None:
        """A new sequence, that is there from its arrival on."""
        heappush(self._coming, (sequence.arrival_ns, sequence.number, sequence))

    def arrive(self, now_ns: float) -> None:
        """Those that have arrived by now are there."""
        coming = self._coming
        while coming and coming[0][0] <= now_ns:
            self._enter(heappop(coming)[-1])

    def put_back(self, sequence: FastSequence, preemptions: int) -> None:
        """A preempted sequence, the so-manieth of the instance: first, or where its priority puts it."""
        if self._order == "priority":
            self._enter(sequence)
        else:
            heappush(self._there, (-1, 0, -float(preemptions), sequence.number, sequence))

    def head(self) -> FastSequence | None:
        """The next of those that are there."""
        there = self._there
        while there and there[0][-1].cancelled:
            heappop(there)
        return there[0][-1] if there else None

    def pop(self) -> FastSequence:
        """Take out what ``head`` has just shown."""
        return heappop(self._there)[-1]

    def next_arrival_ns(self) -> float | None:
        """When the next of those arrives that are to come; None when all are there."""
        coming = self._coming
        while coming and coming[0][2].cancelled:
            heappop(coming)
        return coming[0][0] if coming else None

    def preempted(self) -> list[FastSequence]:
        """Those that are there and had begun, in no order."""
        return [entry[-1] for entry in self._there if entry[-1].pieces and not entry[-1].cancelled]

    def _enter(self, sequence: FastSequence) -> None:
        rank = 0
        if self._order == "priority":
            rank = sequence.job.priority
        elif self._order == "shortest":
            rank = sequence.job.prompt_tokens
        heappush(self._there, (0, rank, sequence.arrival_ns, sequence.number, sequence))

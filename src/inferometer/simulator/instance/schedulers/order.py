"""The waiting queue: who comes next."""

from __future__ import annotations

import heapq

from inferometer.simulator.instance.limits import Order
from inferometer.simulator.instance.sequence import Sequence


class Queue:
    """Sequences that wait, the next one first.

    ``fcfs``: in order of arrival. ``priority``: lowest priority value first, then in order of arrival (vLLM's
    ``--scheduling-policy priority``). ``shortest``: fewest prompt tokens first (nobody knows the length of an answer),
    then in order of arrival. A preempted sequence goes to the head of the queue; with ``priority`` to where its
    priority puts it.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._heads: list[Sequence] = []  # preempted ones, the last first
        self._ready: list[tuple[int, float, int, Sequence]] = []
        self._future: list[tuple[float, int, Sequence]] = []
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def add(self, sequence: Sequence) -> None:
        """Queue a new sequence; it is there from its arrival on."""
        self._enter(sequence)
        heapq.heappush(self._future, (sequence.arrival_ns, sequence.number, sequence))

    def put_back(self, sequence: Sequence) -> None:
        """Queue a preempted sequence."""
        self._enter(sequence)
        if self._order == "priority":
            self._make_ready(sequence)
        else:
            self._heads.append(sequence)

    def peek(self, now_ns: float) -> Sequence | None:
        """The next of those that have arrived."""
        self._arrive(now_ns)
        while self._heads and not self._heads[-1].waiting:
            self._heads.pop()
        if self._heads:
            return self._heads[-1]
        while self._ready and not self._ready[0][-1].waiting:
            heapq.heappop(self._ready)
        return self._ready[0][-1] if self._ready else None

    def pop(self) -> Sequence:
        """Take out what ``peek`` has just shown."""
        sequence = self._heads.pop() if self._heads else heapq.heappop(self._ready)[-1]
        self._leave(sequence)
        return sequence

    def discard(self, sequence: Sequence) -> None:
        """Take out ``sequence``, wherever it waits."""
        self._leave(sequence)

    def arrived(self, now_ns: float) -> list[Sequence]:
        """All that have arrived, in no order."""
        self._arrive(now_ns)
        there = [*self._heads, *(entry[-1] for entry in self._ready)]
        return [sequence for sequence in there if sequence.waiting]

    def next_arrival_ns(self) -> float | None:
        """When the next of those arrives that no ``peek`` or ``arrived`` has met yet; None when all have."""
        while self._future and not self._future[0][-1].waiting:
            heapq.heappop(self._future)
        return self._future[0][0] if self._future else None

    def _arrive(self, now_ns: float) -> None:
        future = self._future
        while future and future[0][0] <= now_ns:
            sequence = heapq.heappop(future)[-1]
            if sequence.waiting:
                self._make_ready(sequence)

    def _make_ready(self, sequence: Sequence) -> None:
        rank = {"fcfs": 0, "priority": sequence.job.priority, "shortest": sequence.prompt_tokens}[self._order]
        heapq.heappush(self._ready, (rank, sequence.arrival_ns, sequence.number, sequence))

    def _enter(self, sequence: Sequence) -> None:
        sequence.waiting = True
        self._waiting += 1

    def _leave(self, sequence: Sequence) -> None:
        sequence.waiting = False
        self._waiting -= 1

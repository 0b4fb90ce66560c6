"""Blocks of answers that the prefix cache gets to know while an instance jumps."""

from __future__ import annotations

from heapq import heappop, heappush

from inferometer.simulator.instance.fast_sequence import FastSequence
from inferometer.simulator.instance.pool import CachingPool, Pool


class Filling:
    """Sequences that decode and whose names go beyond what is filled, as those of a session's turns do.

    They are filled late, but before anybody looks, and in the order in which steps would have done it.

    Args:
        pool: gets to know the blocks.
    """

    __slots__ = ("_caching", "_due", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._caching = isinstance(pool, CachingPool)
        # After which decode step, counted from 1, the next block of a sequence is full. One that decodes no more, or
        # again, has another turn by then.
        self._due: list[tuple[int, int, FastSequence]] = []

    def join(self, sequence: FastSequence) -> None:
        """A sequence begins to decode."""
        if self._caching and len(sequence.job.names or ()) > sequence.filled:
            size = self._pool.block_tokens
            step = sequence.joined + (sequence.filled + 1) * size - sequence.context
            heappush(self._due, (step, sequence.turn, sequence))

    def fill(self, count: int) -> None:
        """What ``count`` decode steps in all have filled."""
        due, size = self._due, self._pool.block_tokens
        while due and due[0][0] <= count:
            step, turn, sequence = heappop(due)
            if sequence.turn != turn:
                continue
            sequence.computed = (sequence.filled + 1) * size
            self._pool.fill(sequence, 0)
            if len(sequence.job.names or ()) > sequence.filled:
                heappush(due, (step + size, turn, sequence))

    def steps(self, count: int, most: int) -> int:
        """Decode steps after those that ``fill(count)`` filled, up to the next that fills a block; at most ``most``."""
        due = self._due
        while due and due[0][2].turn != due[0][1]:
            heappop(due)
        return min(most, due[0][0] - count) if due else most

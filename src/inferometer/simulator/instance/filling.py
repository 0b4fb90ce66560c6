"""Blocks of answers that the prefix cache gets to know while an instance jumps."""

from __future__ import annotations

from inferometer.simulator.instance.fast_sequence import FastSequence
from inferometer.simulator.instance.pool import CachingPool, Pool


class Filling:
    """Sequences that decode and whose names go beyond what is filled, as those of a session's turns do.

    They are filled late, but before anybody looks, and in the order in which steps would have done it.

    Args:
        pool: gets to know the blocks.
    """

    __slots__ = ("_caching", "_pool", "_sequences")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._caching = isinstance(pool, CachingPool)
        self._sequences: dict[FastSequence, None] = {}  # in the order of the running ones

    def join(self, sequence: FastSequence) -> None:
        """A sequence begins to decode."""
        if self._caching and len(sequence.job.names or ()) > sequence.filled:
            self._sequences[sequence] = None

    def part(self, sequence: FastSequence) -> None:
        """A sequence decodes no more."""
        self._sequences.pop(sequence, None)

    def fill(self, count: int) -> None:
        """What ``count`` decode steps in all have filled."""
        if not self._sequences:
            return
        size = self._pool.block_tokens
        due: list[tuple[int, int, FastSequence]] = []
        for place, sequence in enumerate(self._sequences):
            last = min((sequence.context + count - sequence.joined) // size, len(sequence.job.names or ()))
            due += [(_step(sequence, block, size), place, sequence) for block in range(sequence.filled, last)]
        due.sort(key=lambda one: one[:2])
        for _, _, sequence in due:
            sequence.computed = (sequence.filled + 1) * size
            self._pool.fill(sequence, 0)
            if sequence.filled == len(sequence.job.names or ()):
                del self._sequences[sequence]

    def steps(self, count: int, most: int) -> int:
        """Decode steps from ``count`` on before the one that fills a block next; no more than ``most``."""
        size = self._pool.block_tokens
        steps = (_step(one, one.filled, size) - 1 - count for one in self._sequences)
        return min((each for each in steps if each > 0), default=most)


def _step(sequence: FastSequence, block: int, size: int) -> int:
    """After which decode step, counted from 1, a block of a sequence is full."""
    return sequence.joined + (block + 1) * size - sequence.context

"""Which worker process sends which request: a fixed rule, so that workers need not speak to each other.

Worker w of W holds the permits (slots) w, w + W, w + 2W ... of a load point. In a closed loop of C permits request i
belongs to slot i % C, so that each worker's share of the requests is its share of the permits. In an open loop
request i belongs to worker i % W, with its offset from the one arrival sequence of the point.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from inferometer.spec import LoadPoint


class Shard(NamedTuple):
    """One worker's share of a load point: ``worker`` counts from 0 to ``workers`` - 1."""

    worker: int = 0
    workers: int = 1

    def slots(self, concurrency: int) -> range:
        """The permits, of ``concurrency`` in all, that this worker holds."""
        return range(self.worker, concurrency, self.workers)

    def of_permits(self, concurrency: int) -> Iterator[int]:
        """The requests of a closed loop that this worker sends: increasing, without end.

        Empty when there are fewer permits than workers before this one.
        """
        slots = self.slots(concurrency)
        first = 0
        while slots:
            for slot in slots:
                yield first + slot
            first += concurrency


WHOLE = Shard()


def owner_of(point: LoadPoint, index: int, workers: int) -> int:
    """The worker, of ``workers``, that sends request ``index``."""
    if point.closed:
        return index % (point.peak_concurrency or 1) % workers
    return index % workers

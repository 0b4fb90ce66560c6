"""How many workers a load point takes, and how the requests are handed out to them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal

from inferometer.loadgen.messages import WireRequest
from inferometer.spec import LoadPoint

# What one worker carries with room to spare; its self-telemetry says when it does not.
STREAMS_PER_WORKER = 1000
RATE_PER_WORKER = 1000.0  # requests per second
# A prompt may be 64 MB, so the number of requests alone would not bound what is in memory and in the pipes.
BATCH_BYTES = 32 << 20
# What may wait in the parent for workers that are slower than the others: this much, and with many workers two
# batches for each, as one batch draws about as much for all others.
WAITING_BYTES = 256 << 20


def resolve_workers(asked: int | Literal["auto"], point: LoadPoint, cpus: int) -> int:
    """How many workers share a load point.

    ``auto`` is one for every 1,000 streams or 1,000 requests/s, whichever asks for more, and leaves one core to the
    parent; a number is taken as given. In both cases a worker without a permit or without a request would do
    nothing, so there are at most as many as permits and at most ``num_prompts``; rounds that wait for each other take
    one.

    Args:
        asked: ``load.workers`` of the spec.
        point: the load.
        cpus: cores that this process may use.
    """
    if point.waves:
        return 1
    wanted = asked if asked != "auto" else min(_needed(point), cpus - 1)
    limits = [limit for limit in (point.peak_concurrency, point.num_prompts) if limit is not None]
    return max(1, min([wanted, *limits]))


def _needed(point: LoadPoint) -> int:
    rate = point.peak_rate or 0.0
    streams = point.peak_concurrency or 0
    if math.isinf(rate):  # all at once: every request is a stream of its own
        rate, streams = 0.0, streams or point.num_prompts or 0
    return max(math.ceil(streams / STREAMS_PER_WORKER), math.ceil(rate / RATE_PER_WORKER))


FIRST_BATCH = 2048


class Dealer:
    """Draws the requests of a load point in order and hands each to the worker that owns it.

    Rows drawn on the way to what one worker needs wait for the others. That is little, because shares are equal by
    design; in a closed loop whose workers differ in speed it grows with the difference. Beyond a limit the dealer
    hands out nothing more: the load point then ends as one whose data has ended.

    Args:
        requests: the encoded requests of the whole point, drawn as they are needed.
        owner: the worker that sends request number i.
        workers: how many there are.
        permits: how many requests the point holds in flight; 0 = not bounded.

    Attributes:
        round: permits of one worker, all of which send at the start.
        first: how many each worker should have before the start: two rounds of its permits, so that the parent does not
            prepare more just when all the first ones go out.
        trouble: why nothing more is handed out although the source has more, in words; else None.
    """

    def __init__(
        self, requests: Iterator[WireRequest], owner: Callable[[int], int], workers: int, permits: int = 0
    ) -> None:
        self.round = -(-permits // workers)
        self.first = max(FIRST_BATCH, 2 * self.round)
        self._source = enumerate(requests)
        self._owner = owner
        self._waiting: list[deque[WireRequest]] = [deque() for _ in range(workers)]
        self._ended = False
        self._waiting_bytes = 0
        self._most_bytes = max(WAITING_BYTES, 2 * BATCH_BYTES * workers)
        self.trouble: str | None = None

    def batch(self, worker: int, count: int, most_bytes: int | None = None) -> tuple[list[WireRequest], bool]:
        """The next requests of ``worker``, and whether there will be none after them.

        At most ``count``, and none beyond ``most_bytes`` of texts, 32 MiB when absent, but the one that reaches it.
        """
        most_bytes = BATCH_BYTES if most_bytes is None else most_bytes
        waiting = self._waiting[worker]
        batch: list[WireRequest] = []
        size = 0
        while len(batch) < count and size < most_bytes and (waiting or self._draw(worker)):
            request = waiting.popleft()
            batch.append(request)
            size += request.weight
            self._waiting_bytes -= request.weight
        return batch, self._ended and not waiting

    def _draw(self, worker: int) -> bool:
        """Draw until there is a request for ``worker``; False when there will be none."""
        for index, request in () if self._ended else self._source:
            owner = self._owner(index)
            self._waiting[owner].append(request)
            self._waiting_bytes += request.weight
            if owner == worker:
                return True
            if self._waiting_bytes > self._most_bytes:
                self._give_up(worker)
                break
        self._ended = True
        return False

    def _give_up(self, worker: int) -> None:
        """Hand out nothing more: none of what waits was sent, and the workers end as they run out."""
        bodies = [sum(request.weight for request in waiting) for waiting in self._waiting]
        slowest = max(range(len(bodies)), key=bodies.__getitem__)
        self.trouble = (
            f"worker {slowest} was so much slower than worker {worker} that {bodies[slowest] >> 20} MiB of prompts "
            "waited for it: no more were sent; see whether something else runs on its core, or lower --workers"
        )
        for waiting in self._waiting:
            waiting.clear()

"""The sequences that run in an instance that jumps: who decodes, what blocks they hold, and who gives way."""

from __future__ import annotations

from heapq import heappush

import numpy as np
from numpy.typing import NDArray

from inferometer.simulator.instance.fast_queue import FastQueue
from inferometer.simulator.instance.fast_sequence import FastSequence
from inferometer.simulator.instance.filling import Filling
from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.instance.pool import make_pool
from inferometer.simulator.instance.stretch import BlockNeeds, NoNeeds, Timeline


class FastFloor:
    """The state of a ``FastInstance``, and what changes it between steps.

    All decoding sequences advance by a token in every decode step, so a global count of decode steps stands for the
    state of each of them: a sequence that joins at count ``s`` with ``c`` tokens of context has ``c + S - s`` at count
    ``S``, and the count at which it finishes is known when it joins.

    Args:
        limits: of the scheduler.
        timeline: keep what ``token_times_ns`` needs.
    """

    def __init__(self, limits: EngineLimits, *, timeline: bool = False) -> None:
        self.limits = limits
        self.now_ns = 0.0
        self.preemptions = 0
        self._pool = make_pool(limits)
        # All that decode take their blocks as one.
        self._crowd = FastSequence(Job(prompt_tokens=1, output_tokens=1), -1, 0.0)
        self._filling = Filling(self._pool)
        self._timeline = Timeline() if timeline else None
        self._queue = FastQueue(limits.order)
        self._running: dict[FastSequence, None] = {}  # in order of admission
        self._finishes: list[tuple[int, int, FastSequence]] = []
        self._needs = (NoNeeds if limits.reserve_answer else BlockNeeds)(limits.block_tokens)
        self._partial: FastSequence | None = None  # whose prompt is computed in chunks: the last running one
        self._count = 0  # of decode steps
        self._turns = 0
        self._kv_tokens = 0  # context of all that decode

    @property
    def free_blocks(self) -> int:
        """That no sequence holds."""
        return self._pool.free

    def token_times_ns(self, sequence: FastSequence) -> NDArray[np.float64]:
        """When each token of a sequence was given, as far as it is; needs ``timeline``."""
        if self._timeline is None:
            raise ValueError("this instance keeps no timeline")
        pieces = list(sequence.pieces)
        if sequence.joined >= 0:
            pieces[-1] = (pieces[-1][0], pieces[-1][1], self._count)
        return self._timeline.tokens_ns(pieces)

    def forget_times(self) -> None:
        """Drop what only ``token_times_ns`` of finished sequences needs."""
        if self._timeline is not None:
            alive = [*self._running, *self._queue.preempted()]
            self._timeline.forget(min((one.pieces[0][1] for one in alive if one.pieces), default=self._count))

    # blocks

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self.limits.block_tokens)

    def _there(self, sequence: FastSequence) -> tuple[int, int]:
        """Of a waiting sequence, blocks that the prefix cache has, and tokens that need not be computed."""
        found = self._pool.find(sequence)
        return found, max(found * self.limits.block_tokens, sequence.ready)

    def _held(self, sequence: FastSequence, tokens: int) -> int:
        """Tokens that a sequence has blocks for once so many of them are computed."""
        job = sequence.job
        return job.prompt_tokens + job.output_tokens if self.limits.reserve_answer else tokens

    def _admit(self, sequence: FastSequence, most: int) -> int:
        """Take in the head of the queue, with a chunk of so many tokens at most; how many it gets."""
        found, there = self._there(self._queue.pop())
        chunk = min(sequence.target - there, most)
        self._running[sequence] = None
        self._pool.admit(sequence, self._held(sequence, there + chunk), found)
        sequence.computed = there
        self._pool.fill(sequence, chunk)
        if sequence.scheduled_ns is None:
            sequence.cached = found * self.limits.block_tokens
        if sequence.scheduled_ns is None:
            sequence.scheduled_ns = self.now_ns
        return chunk

    # sequences

    def _first(self, sequence: FastSequence, finished: list[FastSequence]) -> None:
        """A prompt is complete: a token is given, and the sequence decodes or is done."""
        if sequence.first_token_ns is None:
            sequence.first_token_ns = self.now_ns
        sequence.context = sequence.target
        sequence.generated += 1
        self._join(sequence, self.now_ns)
        if sequence.finish == self._count:
            self._finish(sequence, finished)

    def _join(self, sequence: FastSequence, token_ns: float | None) -> None:
        """A sequence begins to decode, with a token just given or without."""
        if self._timeline is not None:
            sequence.pieces.append((token_ns, self._count, self._count))
        self._turns += 1
        sequence.turn = self._turns
        sequence.joined = self._count
        sequence.finish = self._count + sequence.job.output_tokens - sequence.generated
        self._needs.join(self._count, sequence.context)
        self._kv_tokens += sequence.context
        heappush(self._finishes, (sequence.finish, sequence.turn, sequence))
        self._filling.join(sequence)

    def _part(self, sequence: FastSequence) -> None:
        """A sequence decodes no more; what it has given so far is counted."""
        self._filling.fill(self._count)
        steps = self._count - sequence.joined
        sequence.context += steps
        sequence.generated += steps
        sequence.joined = -1
        sequence.turn = 0
        self._needs.leave(self._count, sequence.context)
        self._kv_tokens -= sequence.context
        if self._timeline is not None:
            token_ns, before, _ = sequence.pieces[-1]
            sequence.pieces[-1] = (token_ns, before, self._count)

    def _finish(self, sequence: FastSequence, finished: list[FastSequence]) -> None:
        sequence.last_token_ns = self.now_ns
        sequence.finished = True
        self._release(sequence)
        finished.append(sequence)

    def _release(self, sequence: FastSequence) -> None:
        """A running sequence gives its blocks back and runs no more."""
        del self._running[sequence]
        if sequence is self._partial:
            self._partial = None
        if sequence.joined >= 0:
            self._part(sequence)
            sequence.blocks = self._blocks(self._held(sequence, sequence.context))
        self._pool.release(sequence)
        sequence.computed = 0

    # shortage of blocks

    def _victim(self) -> FastSequence:
        if self.limits.order == "priority":
            return max(self._running, key=lambda one: (one.job.priority, one.arrival_ns, one.number))
        return next(reversed(self._running))

    def _preempt(self, sequence: FastSequence) -> None:
        """A running sequence loses its blocks and waits again: first, or where its priority puts it."""
        self._release(sequence)
        self.preemptions += 1
        sequence.preemptions += 1
        sequence.ready = 0
        self._queue.put_back(sequence, self.preemptions)

    def _make_room(self) -> list[FastSequence]:
        """Preempt until all that decode have the block that they need in this step.

        Returns:
            Those that sit the step out, for they come after one that gave way itself.
        """
        if self.limits.order != "priority":
            # Who is admitted last gives way, so nobody comes after it, and the order of giving does not matter.
            while self._needs.at(self._count) > self.free_blocks:
                self._pool.unname(self.free_blocks)  # taken by those before the one that lacks a block
                self._preempt(self._victim())
            return []
        return self._make_room_by_priority()

    def _make_room_by_priority(self) -> list[FastSequence]:
        """See ``_make_room``: block by block in order of admission, as the least important one may be anywhere."""
        left = self.free_blocks
        given: set[FastSequence] = set()
        order = list(self._running)
        for place, sequence in enumerate(order):
            if sequence not in self._running or not self._lacks_block(sequence):
                continue
            while left < 1 and sequence in self._running:
                victim = self._victim()
                self._pool.unname(self.free_blocks)  # as all of them are given
                before = self.free_blocks
                self._preempt(victim)
                left += self.free_blocks - before + (victim in given)
            if sequence not in self._running:
                return self._suspend(order[place + 1 :])
            given.add(sequence)
            left -= 1
        return []

    def _lacks_block(self, sequence: FastSequence) -> bool:
        context = sequence.context + self._count - sequence.joined
        return sequence.joined >= 0 and context % self.limits.block_tokens == 0

    def _suspend(self, sequences: list[FastSequence]) -> list[FastSequence]:
        """Those of them that still run take no part in this step."""
        idle = [sequence for sequence in sequences if sequence in self._running]
        for sequence in idle:
            if sequence.joined >= 0:
                self._part(sequence)
        return idle

    def _resume(self, idle: list[FastSequence]) -> None:
        for sequence in idle:
            if sequence is not self._partial:
                self._join(sequence, None)

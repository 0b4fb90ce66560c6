"""What schedulers have in common: the state they decide over, the batch they decide on, and giving out KV blocks."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Protocol

from inferometer.simulator.instance.drafts import Drafts
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.instance.pool import Pool
from inferometer.simulator.instance.schedulers.order import Queue
from inferometer.simulator.instance.sequence import Sequence
from inferometer.simulator.instance.shape import StepShape


@dataclass(slots=True)
class Floor:
    """The state that a scheduler decides over; ``running`` is in order of admission."""

    limits: EngineLimits
    pool: Pool
    queue: Queue
    drafts: Drafts
    running: list[Sequence] = field(default_factory=list)

    @property
    def seats(self) -> int:
        """Sequences that could be admitted, by their number."""
        return self.limits.max_num_seqs - len(self.running)

    def whole_tokens(self, sequence: Sequence) -> int:
        """Most tokens that a sequence ever holds: prompt, answer, and drafts past its end."""
        tokens = sequence.prompt_tokens + sequence.output_tokens + self.limits.draft_tokens
        return min(tokens, self.limits.max_model_len)


@dataclass(slots=True)
class Batch:
    """What a step is to compute.

    Attributes:
        chunks: tokens of each sequence, drafts included.
        admitted: sequences that came from the queue.
        preempted: those that lost their blocks to others, in this order.
        budget: tokens that are left of the step's.
    """

    budget: int = sys.maxsize
    chunks: dict[Sequence, int] = field(default_factory=dict)
    admitted: list[Sequence] = field(default_factory=list)
    preempted: list[Sequence] = field(default_factory=list)

    def put(self, sequence: Sequence, tokens: int) -> None:
        """Compute ``tokens`` of ``sequence``."""
        self.chunks[sequence] = tokens
        self.budget -= tokens


class Scheduler(Protocol):
    """Decides what a step computes."""

    def plan(self, begin_ns: float) -> Batch:
        """The batch of a step that begins now; without chunks when there is nothing to do."""
        ...

    def shape(self, batch: Batch) -> StepShape:
        """What ``batch`` computes, before any of it counts as computed."""
        ...

    def retire(self, finished: list[Sequence]) -> None:
        """The last tokens of these were made: they leave the running set and give their blocks back."""
        ...

    def remove(self, sequence: Sequence) -> None:
        """A running sequence was cancelled."""
        ...

    def next_ns(self) -> float | None:
        """With nothing running: when it is next worth asking for a plan; None with an empty queue."""
        ...


def shape_of(chunks: dict[Sequence, int]) -> StepShape:
    """The shape of a step whose sequences are computed side by side, without padding."""
    tokens = prefill_tokens = decodes = kv_tokens = 0
    work = 0.0
    for sequence, chunk in chunks.items():
        tokens += chunk
        if sequence.decodes:
            decodes += 1
            kv_tokens += sequence.computed
        else:
            prefill_tokens += chunk
            work += chunk * (sequence.computed + chunk / 2)
    return StepShape(tokens, len(chunks), kv_tokens, work, prefill_tokens, decodes)


class Continuous:
    """Sequences come and go at every step: admission, growth, and preemption by recomputation.

    Args:
        floor: what it decides over, and alone writes to.
        reserve: whether a prompt is admitted only if all of it fits. It holds blocks for what was computed of it, so
            that those of its later chunks may be gone by then, as in vLLM.
    """

    def __init__(self, floor: Floor, *, reserve: bool) -> None:
        self.floor = floor
        self._reserve = reserve

    def shape(self, batch: Batch) -> StepShape:
        """See ``Scheduler``."""
        return shape_of(batch.chunks)

    def retire(self, finished: list[Sequence]) -> None:
        """See ``Scheduler``."""
        for sequence in finished:
            sequence.running = False
            self.floor.pool.release(sequence)
        self.floor.running[:] = [sequence for sequence in self.floor.running if sequence.running]

    def remove(self, sequence: Sequence) -> None:
        """See ``Scheduler``."""
        self.retire([sequence])

    def next_ns(self) -> float | None:
        """See ``Scheduler``."""
        if self.floor.queue.peek(-1) is not None:
            return 0
        return self.floor.queue.next_arrival_ns()

    def carry_on(self, batch: Batch, longest_chunk: int = 0, most_preempted: int | None = None) -> None:
        """Put every running sequence into ``batch``, in order of admission, while its budget lasts.

        Args:
            batch: gets them.
            longest_chunk: tokens of a sequence at most; 0 = not limited.
            most_preempted: sequences that lose their blocks at most; then those without a block wait. None = any
                number.
        """
        floor = self.floor
        for sequence in tuple(floor.running):
            if batch.budget <= 0:
                return
            if not sequence.running:  # preempted for one before it
                continue
            tokens = sequence.left
            if longest_chunk:
                tokens = min(tokens, longest_chunk)
            if sequence.decodes:
                tokens += floor.drafts.wanted(sequence)
            tokens = min(tokens, batch.budget)
            if not self._grow(sequence, sequence.computed + tokens, batch, most_preempted):
                if sequence.waiting:
                    return
                continue
            floor.pool.fill(sequence, min(tokens, sequence.left))
            batch.put(sequence, tokens)

    def admit(self, batch: Batch, sequence: Sequence, most: int) -> bool:
        """Take the head of the queue, ``sequence``, into ``batch``; False when there is no room for it yet.

        Args:
            batch: gets it.
            sequence: what the queue's ``peek`` has just shown.
            most: its tokens in this step at most.
        """
        floor = self.floor
        pool = floor.pool
        found = pool.find(sequence)
        computed = max(found * pool.block_tokens, sequence.ready)
        tokens = min(sequence.tokens - computed, most)
        held = floor.whole_tokens(sequence) if floor.limits.reserve_answer else computed + tokens
        if computed + tokens < sequence.tokens and not floor.limits.split_prompts:
            return False
        if not pool.fits(sequence, max(held, sequence.tokens) if self._reserve else held, found):
            return False
        floor.queue.pop()
        pool.admit(sequence, held, found)
        sequence.computed = computed
        if sequence.scheduled_ns is None:
            sequence.cached = found * pool.block_tokens
        sequence.running = True
        floor.running.append(sequence)
        pool.fill(sequence, tokens)
        batch.put(sequence, tokens)
        batch.admitted.append(sequence)
        return True

    def _grow(self, sequence: Sequence, tokens: int, batch: Batch, most_preempted: int | None) -> bool:
        """Blocks for ``tokens``, if need be from others; False when there are none, and maybe its own are gone too."""
        pool = self.floor.pool
        missing = pool.blocks_of(tokens) - sequence.blocks
        if missing <= 0:
            return True
        while pool.free < missing:
            if most_preempted is not None and len(batch.preempted) >= most_preempted:
                return False
            victim = self._victim()
            self._preempt(victim, batch)
            if victim is sequence:
                return False
        pool.take(sequence, missing)
        return True

    def _victim(self) -> Sequence:
        running = self.floor.running
        if self.floor.limits.order == "priority":
            return max(running, key=lambda one: (one.job.priority, one.arrival_ns, one.number))
        return running[-1]

    def _preempt(self, victim: Sequence, batch: Batch) -> None:
        floor = self.floor
        floor.running.remove(victim)
        floor.pool.release(victim)
        victim.running = False
        victim.computed = victim.ready = 0
        victim.preemptions += 1
        batch.budget += batch.chunks.pop(victim, 0)
        batch.preempted.append(victim)
        floor.queue.put_back(victim)

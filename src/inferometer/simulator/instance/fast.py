"""An instance that jumps over stretches of pure decode steps, and is equal to the stepped one.

Only steps in which something happens besides decoding (a prompt, an admission, a preemption) are computed one by one.
All decoding sequences advance by a token in every decode step, so a global count of decode steps stands for the state
of each of them: a sequence that joins at count ``s`` with ``c`` tokens of context has ``c + S - s`` at count ``S``,
and the count at which it finishes is known when it joins.
"""

from __future__ import annotations

from heapq import heappop, heappush
from math import inf

import numpy as np
from numpy.typing import NDArray

from inferometer.errors import UsageError
from inferometer.simulator.instance.fast_sequence import FastSequence
from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.instance.shape import StepModel, StepShape
from inferometer.simulator.instance.stretch import BlockNeeds, Stretch, Timeline


class FastInstance:
    """Jumps through decoding; chunked and prefill-first scheduling, without prefix cache and speculation.

    Args:
        limits: of the scheduler.
        model: duration of steps.
        timeline: keep what ``token_times_ns`` needs.

    Raises:
        UsageError: limits that it cannot jump under; ``Instance`` steps through them.
    """

    def __init__(self, limits: EngineLimits, model: StepModel, *, timeline: bool = False) -> None:
        if not can_jump(limits):
            raise UsageError(
                f"scheduler={limits.scheduler}, prefix_cache={limits.prefix_cache}, draft_tokens={limits.draft_tokens}:"
                " not to be simulated in jumps",
                "use Instance, which steps",
            )
        self.limits = limits
        self.model = model
        self.now_ns = 0.0
        self.steps = 0
        self.preemptions = 0
        self.free_blocks = limits.kv_blocks
        self._timeline = Timeline() if timeline else None
        self._added = 0
        self._pending: list[tuple[float, int, FastSequence]] = []  # by arrival
        self._queue: list[tuple[int, int, float, int, FastSequence]] = []
        self._running: dict[FastSequence, None] = {}  # in order of admission
        self._finishes: list[tuple[int, int, FastSequence]] = []
        self._needs = BlockNeeds(limits.block_tokens)
        self._partial: FastSequence | None = None  # whose prompt is computed in chunks: the last running one
        self._count = 0  # of decode steps
        self._turns = 0
        self._kv_tokens = 0  # context of all that decode
        self._lines: dict[int, tuple[float, float]] = {}
        self._chunked = limits.scheduler == "chunked"

    # what others do with it

    def add(self, job: Job, arrival_ns: float | None = None) -> FastSequence:
        """Hand in a job, with the time of the job or another.

        Raises:
            UsageError: a job longer than ``max_model_len``, or without tokens.
        """
        total = job.prompt_tokens + job.output_tokens
        if job.prompt_tokens < 1 or job.output_tokens < 1:
            raise UsageError(
                f"a request of {job.prompt_tokens} prompt tokens and {job.output_tokens} output tokens: "
                "the simulated engine needs at least 1 of each"
            )
        if total > self.limits.max_model_len:
            raise UsageError(
                f"a request of {job.prompt_tokens} prompt tokens and {job.output_tokens} output tokens is longer than "
                f"max_model_len={self.limits.max_model_len} of the simulated engine",
                f"raise max_model_len to {total} or shorten the request",
            )
        arrival = float(job.arrival_ns) if arrival_ns is None else arrival_ns
        sequence = FastSequence(job, self._added, arrival)
        self._added += 1
        heappush(self._pending, (arrival, sequence.number, sequence))
        return sequence

    def cancel(self, sequence: FastSequence) -> None:
        """Withdraw a request now; nothing happens if it is done."""
        if sequence.finished or sequence.cancelled:
            return
        sequence.cancelled = True
        if sequence in self._running:
            self._release(sequence)

    @property
    def running(self) -> int:
        """Sequences that hold blocks."""
        return len(self._running)

    def next_ns(self) -> float | None:
        """When the next step begins; None if there is nothing to do."""
        if self._running or self._head() is not None:
            return self.now_ns
        while self._pending and self._pending[0][2].cancelled:
            heappop(self._pending)
        return max(self.now_ns, self._pending[0][0]) if self._pending else None

    def run_until(self, limit_ns: float = inf) -> list[FastSequence]:
        """Compute steps that begin before ``limit_ns``, up to the first at whose end something finishes.

        Returns:
            What finished; empty when ``limit_ns`` is reached, or nothing is left to do. ``now_ns`` is the end of the
            last step, which may be after ``limit_ns``.
        """
        finished: list[FastSequence] = []
        while not finished:
            begin_ns = self.next_ns()
            if begin_ns is None or begin_ns >= limit_ns:
                break
            self.now_ns = begin_ns
            self._arrive()
            if self._chunked:
                self._chunked_step(limit_ns, finished)
            else:
                self._prefill_first_step(limit_ns, finished)
        return finished

    def token_times_ns(self, sequence: FastSequence) -> NDArray[np.float64]:
        """When each token of a sequence was given, as far as it is; needs ``timeline``."""
        if self._timeline is None:
            raise ValueError("this instance keeps no timeline")
        pieces = list(sequence.pieces)
        if sequence.joined >= 0:
            pieces[-1] = (pieces[-1][0], pieces[-1][1], self._count)
        times: list[NDArray[np.float64]] = []
        for token_ns, before, last in pieces:
            if token_ns is not None:
                times.append(np.array([token_ns]))
            if last > before:
                times.append(self._timeline.ends_ns(before + 1, last))
        return np.concatenate(times) if times else np.zeros(0)

    # the queue

    def _key(self, sequence: FastSequence) -> int:
        if self.limits.order == "priority":
            return sequence.job.priority
        return sequence.job.prompt_tokens if self.limits.order == "shortest" else 0

    def _arrive(self) -> None:
        pending = self._pending
        while pending and pending[0][0] <= self.now_ns:
            self._wait(heappop(pending)[-1])

    def _wait(self, sequence: FastSequence) -> None:
        heappush(self._queue, (0, self._key(sequence), sequence.arrival_ns, sequence.number, sequence))

    def _head(self) -> FastSequence | None:
        queue = self._queue
        while queue and queue[0][-1].cancelled:
            heappop(queue)
        return queue[0][-1] if queue else None

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self.limits.block_tokens)

    def _admissible(self, free_blocks: int, budget: int) -> bool:
        """Whether the head of the queue can be taken in a chunked step."""
        head = self._head()
        if head is None or budget < 1 or len(self._running) >= self.limits.max_num_seqs:
            return False
        tokens = head.target if self.limits.reserve_full_prompt else min(head.target, budget)
        return self._blocks(tokens) <= free_blocks

    def _admit(self, blocks: int) -> FastSequence:
        sequence = heappop(self._queue)[-1]
        self._running[sequence] = None
        sequence.computed = 0
        sequence.blocks = blocks
        self.free_blocks -= blocks
        if sequence.scheduled_ns is None:
            sequence.scheduled_ns = self.now_ns
        return sequence

    # steps

    def _chunked_step(self, limit_ns: float, finished: list[FastSequence]) -> None:
        needs = self._needs.at(self._count)
        left = self.free_blocks - needs
        room = self.limits.max_num_batched_tokens - self._needs.decodes
        if self._partial is None and left >= 0 and not self._admissible(left, room):
            self._decode(limit_ns, finished)
        else:
            self._mixed_step(finished)

    def _prefill_first_step(self, limit_ns: float, finished: list[FastSequence]) -> None:
        batch = self._prefill_batch()
        if batch:
            self._prefill_step(batch, finished)
            return
        idle: list[FastSequence] = []
        if self._needs.at(self._count) > self.free_blocks:
            idle = self._make_room()
            limit_ns = self.now_ns  # one step: what was preempted may be admitted in the next one
        if self._needs.decodes:
            self._decode(limit_ns, finished)
        self._resume(idle)

    def _mixed_step(self, finished: list[FastSequence]) -> None:
        """One step of decodes and chunks of prompts."""
        preempted = self.preemptions
        idle: list[FastSequence] = []
        if self._needs.at(self._count) > self.free_blocks:
            idle = self._make_room()
        chunks: list[tuple[FastSequence, int]] = []
        if self._partial is not None and self._partial not in idle:
            self._take_chunk(self._partial, chunks)
        decodes = self._needs.decodes
        self.free_blocks -= self._needs.at(self._count)
        room = self.limits.max_num_batched_tokens - decodes - sum(chunk for _, chunk in chunks)
        while self.preemptions == preempted and self._admissible(self.free_blocks, room):
            target = self._queue[0][-1].target
            chunk = min(target, room)
            sequence = self._admit(self._blocks(chunk))
            chunks.append((sequence, chunk))
            room -= chunk
        if decodes or chunks:
            ns = self.model.step_s(self._shape(chunks)) * 1e9
            self._pass_steps(Stretch(self.now_ns, ns, 0.0, self._kv_tokens, decodes), 1, finished)
            self._compute(chunks, finished)
        self._resume(idle)

    def _shape(self, chunks: list[tuple[FastSequence, int]]) -> StepShape:
        """Of a step of all that decode and these chunks; the last token of an answer that is repeated is a decode."""
        decodes = self._needs.decodes
        kv_tokens = self._kv_tokens
        prefill = 0
        work = 0.0
        for sequence, chunk in chunks:
            if sequence.generated and sequence.computed + 1 == sequence.target:
                decodes += 1
                kv_tokens += sequence.computed
            else:
                prefill += chunk
                work += chunk * (sequence.computed + chunk / 2)
        return StepShape(
            decodes + prefill, self._needs.decodes + len(chunks), kv_tokens, work, prefill, decodes
        )

    def _take_chunk(self, sequence: FastSequence, chunks: list[tuple[FastSequence, int]]) -> None:
        """The next chunk of the last running sequence, if it keeps or gets the blocks for it."""
        chunk = min(
            sequence.target - sequence.computed, self.limits.max_num_batched_tokens - self._needs.decodes
        )
        more = max(0, self._blocks(sequence.computed + chunk) - sequence.blocks)
        while more > self.free_blocks - self._needs.at(self._count):
            victim = self._victim()
            self._preempt(victim)
            if victim is sequence:
                return
        self.free_blocks -= more
        sequence.blocks += more
        chunks.append((sequence, chunk))

    def _compute(self, chunks: list[tuple[FastSequence, int]], finished: list[FastSequence]) -> None:
        """Chunks are computed; whose prompt is complete gets a token."""
        for sequence, chunk in chunks:
            sequence.computed += chunk
            self._partial = sequence
            if sequence.computed == sequence.target:
                self._partial = None
                self._first(sequence, finished)

    def _prefill_batch(self) -> list[tuple[FastSequence, int]]:
        """Whole prompts for a step of their own, admitted."""
        limits = self.limits
        most = limits.max_num_seqs if limits.max_prefill_seqs is None else limits.max_prefill_seqs
        batch: list[tuple[FastSequence, int]] = []
        tokens = 0
        while (
            (head := self._head()) is not None
            and len(batch) < most
            and len(self._running) < limits.max_num_seqs
        ):
            blocks = self._blocks(head.target)
            if blocks > self.free_blocks or (batch and tokens + head.target > limits.max_num_batched_tokens):
                break
            tokens += head.target
            batch.append((self._admit(blocks), head.target))
        return batch

    def _prefill_step(self, batch: list[tuple[FastSequence, int]], finished: list[FastSequence]) -> None:
        tokens = sum(chunk for _, chunk in batch)
        work = sum(chunk * (chunk / 2) for _, chunk in batch)
        self.now_ns += self.model.step_s(StepShape(tokens, len(batch), 0, work, tokens, 0)) * 1e9
        self.steps += 1
        self._compute(batch, finished)

    def _decode(self, limit_ns: float, finished: list[FastSequence]) -> None:
        """As many decode steps as nothing else happens in."""
        decodes = self._needs.decodes
        line = self._lines.get(decodes)
        if line is None:
            fixed_s, slope_s = self.model.decode_line(decodes)
            line = self._lines[decodes] = (fixed_s * 1e9, slope_s * 1e9)
        stretch = Stretch(self.now_ns, line[0], line[1], self._kv_tokens, decodes)
        finishes = self._finishes
        while finishes[0][2].turn != finishes[0][1]:
            heappop(finishes)
        steps = self._needs.steps_within(self.free_blocks, self._count, finishes[0][0] - self._count)
        until = min(limit_ns, self._next_admission_ns())
        if steps > 1 and until < inf:
            steps = stretch.steps_until(until, steps)
        self.free_blocks -= self._needs.over(self._count, steps)
        self._pass_steps(stretch, steps, finished)

    def _next_admission_ns(self) -> float:
        """When a request that arrives may change the next step."""
        if not self._pending or len(self._running) >= self.limits.max_num_seqs:
            return inf
        # The head of a queue in order of arrival stays the head: it found no room, and there is less with each step.
        return inf if self._queue and self.limits.order == "fcfs" else self._pending[0][0]

    def _pass_steps(self, stretch: Stretch, steps: int, finished: list[FastSequence]) -> None:
        if self._timeline is not None:
            self._timeline.add(self._count, stretch)
        self.now_ns = stretch.end_ns(steps)
        self.steps += steps
        self._count += steps
        self._kv_tokens += steps * stretch.decodes
        finishes = self._finishes
        while finishes and finishes[0][0] <= self._count:
            _, turn, sequence = heappop(finishes)
            if sequence.turn == turn:
                self._finish(sequence, finished)

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

    def _part(self, sequence: FastSequence) -> None:
        """A sequence decodes no more; what it has given so far is counted."""
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
        if sequence.joined < 0:
            self.free_blocks += sequence.blocks
        else:
            self._part(sequence)
            self.free_blocks += self._blocks(sequence.context)
        sequence.blocks = 0
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
        if self.limits.order == "priority":
            self._wait(sequence)
        else:
            heappush(self._queue, (-1, 0, -float(self.preemptions), sequence.number, sequence))

    def _make_room(self) -> list[FastSequence]:
        """Preempt until all that decode have the block that they need in this step.

        Returns:
            Those that sit the step out, for they come after one that gave way itself.
        """
        if self.limits.order != "priority":
            # Who is admitted last gives way, so nobody comes after it, and the order of giving does not matter.
            while self._needs.at(self._count) > self.free_blocks:
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


def can_jump(limits: EngineLimits) -> bool:
    """Whether ``FastInstance`` simulates these limits."""
    if limits.scheduler == "static" or limits.prefix_cache or limits.draft_tokens:
        return False
    habits = (
        limits.long_prefill_token_threshold,
        limits.prefill_delay_s,
        limits.select_batch,
        limits.max_preempt,
    )
    return not any(habits)

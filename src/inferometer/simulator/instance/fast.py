"""An instance that jumps over stretches of pure decode steps, and is equal to the stepped one.

Only steps in which something happens besides decoding (a prompt, an admission, a preemption) are computed one by one.
"""

from __future__ import annotations

import sys
from heapq import heappop
from math import inf

from inferometer.errors import UsageError
from inferometer.simulator.instance.fast_floor import FastFloor
from inferometer.simulator.instance.fast_sequence import FastSequence
from inferometer.simulator.instance.limits import EngineLimits, Job, can_jump, check_ready
from inferometer.simulator.instance.shape import StepModel, StepShape
from inferometer.simulator.instance.stretch import Stretch


class FastInstance(FastFloor):
    """Jumps through decoding; chunked and prefill-first scheduling, also with a prefix cache, without speculation.

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
                f"scheduler={limits.scheduler}, prefix_cache={limits.prefix_cache}, order={limits.order}, "
                f"draft_tokens={limits.draft_tokens}:"
                " not to be simulated in jumps",
                "use Instance, which steps",
            )
        super().__init__(limits, timeline=timeline)
        self.model = model
        self.steps = 0
        self._least_free = limits.kv_blocks  # while a step ran
        self._idle_ns = 0.0
        self._added = 0
        self._lines: dict[int, tuple[float, float]] = {}
        self._chunked = limits.scheduler == "chunked"

    # what others do with it

    def add(self, job: Job, arrival_ns: float | None = None) -> FastSequence:
        """Hand in a job, with the time of the job or another.

        Raises:
            UsageError: a job longer than ``max_model_len``, without tokens, or (unless chunked) prefilled elsewhere.
        """
        check_ready(job, self.limits)
        if job.ready_tokens and not self._chunked:
            raise UsageError(
                f"ready_tokens={job.ready_tokens}: not to be simulated in jumps", "use Instance, which steps"
            )
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
        self._queue.add(sequence)
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

    @property
    def busy_ns(self) -> float:
        """Time in which steps ran."""
        return self.now_ns - self._idle_ns

    @property
    def kv_blocks_peak(self) -> int:
        """Most blocks that were held during a step."""
        return self.limits.kv_blocks - self._least_free

    def next_ns(self) -> float | None:
        """When the next step begins; None if there is nothing to do."""
        if self._running or self._queue.head() is not None:
            return self.now_ns
        coming_ns = self._queue.next_arrival_ns()
        return None if coming_ns is None else max(self.now_ns, coming_ns)

    def due_ns(self) -> float | None:
        """When a step begins at whose end something may finish, or that does more than decode; None with nothing to do.

        As things are: a job that is added may bring it forward. Whoever runs steps up to there, and no further, has run
        none that a job which arrives later could have changed.
        """
        begin_ns = self.next_ns()
        if begin_ns is None or not self._running:
            return begin_ns
        self._queue.arrive(self.now_ns)
        if not self._only_decodes():
            return begin_ns
        stretch, steps = self._stretch(inf)
        return stretch.end_ns(steps - (self._finishes[0][0] == self._count + steps))

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
            self._idle_ns += begin_ns - self.now_ns
            self.now_ns = begin_ns
            self._queue.arrive(begin_ns)
            if self._chunked:
                self._chunked_step(limit_ns, finished)
            else:
                self._prefill_first_step(limit_ns, finished)
        return finished

    # steps

    def _chunked_step(self, limit_ns: float, finished: list[FastSequence]) -> None:
        if self._only_decodes():
            self._decode(limit_ns, finished)
        else:
            self._mixed_step(finished)

    def _prefill_first_step(self, limit_ns: float, finished: list[FastSequence]) -> None:
        self._filling.fill(self._count)  # what earlier steps filled is found
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

    def _admissible(self, free_blocks: int, budget: int) -> bool:
        """Whether the head of the queue can be taken in a step that has so many tokens left."""
        head = self._queue.head()
        if head is None or budget < 1 or len(self._running) >= self.limits.max_num_seqs:
            return False
        limits = self.limits
        found, there = self._there(head)
        if head.target - there > budget and not limits.split_prompts:
            return False
        tokens = head.target if limits.reserve_full_prompt else min(head.target, there + budget)
        return self._pool.missing(head, self._held(head, tokens), found) <= free_blocks

    def _mixed_step(self, finished: list[FastSequence]) -> None:
        """One step of decodes and chunks of prompts."""
        preempted = self.preemptions
        idle: list[FastSequence] = []
        if self._needs.at(self._count) > self.free_blocks:
            idle = self._make_room()
        chunks: list[tuple[FastSequence, int]] = []
        self._filling.fill(self._count + 1)  # those that decode come before the one that prefills
        if self._partial is not None and self._partial not in idle:
            self._take_chunk(self._partial, chunks)
        decodes = self._needs.decodes
        self._pool.take(self._crowd, self._needs.at(self._count))
        room = self.limits.max_num_batched_tokens - decodes - sum(chunk for _, chunk in chunks)
        while self.preemptions == preempted and self._admissible(self.free_blocks, room):
            head = self._queue.head()
            assert head is not None
            chunk = self._admit(head, room)
            chunks.append((head, chunk))
            room -= chunk
        if decodes or chunks:
            self._least_free = min(self._least_free, self.free_blocks)
            ns = self.model.step_s(_shape(chunks, decodes, self._kv_tokens)) * 1e9
            self._pass_steps(Stretch(self.now_ns, ns, 0.0, self._kv_tokens, decodes), 1, finished)
            self._compute(chunks, finished)
        self._resume(idle)

    def _take_chunk(self, sequence: FastSequence, chunks: list[tuple[FastSequence, int]]) -> None:
        """The next chunk of the last running sequence, if it keeps or gets the blocks for it."""
        chunk = min(
            sequence.target - sequence.computed, self.limits.max_num_batched_tokens - self._needs.decodes
        )
        more = max(0, self._blocks(sequence.computed + chunk) - sequence.blocks)
        while more > self.free_blocks - self._needs.at(self._count):
            self._pool.unname(self._needs.at(self._count))  # those that decode take theirs first
            victim = self._victim()
            self._preempt(victim)
            if victim is sequence:
                return
        self._pool.take(sequence, more)
        self._pool.fill(sequence, chunk)
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
        """Whole prompts for a step of their own, admitted: what of them is not there yet."""
        limits = self.limits
        most = limits.max_num_seqs if limits.max_prefill_seqs is None else limits.max_prefill_seqs
        batch: list[tuple[FastSequence, int]] = []
        budget = limits.max_num_batched_tokens
        while len(batch) < most and self._admissible(self.free_blocks, sys.maxsize):
            head = self._queue.head()
            assert head is not None
            chunk = head.target - self._there(head)[1]
            if batch and chunk > budget:
                break
            budget -= chunk
            batch.append((head, self._admit(head, chunk)))
        return batch

    def _prefill_step(self, batch: list[tuple[FastSequence, int]], finished: list[FastSequence]) -> None:
        self._least_free = min(self._least_free, self.free_blocks)
        self.now_ns += self.model.step_s(_shape(batch, 0, 0)) * 1e9
        self.steps += 1
        self._compute(batch, finished)

    def _decode(self, limit_ns: float, finished: list[FastSequence]) -> None:
        """As many decode steps as nothing else happens in."""
        stretch, steps = self._stretch(limit_ns)
        self._pool.take(self._crowd, self._needs.over(self._count, steps))
        self._least_free = min(self._least_free, self.free_blocks)
        self._pass_steps(stretch, steps, finished)

    def _only_decodes(self) -> bool:
        """Whether the next step decodes and does nothing else, if something runs."""
        left = self.free_blocks - self._needs.at(self._count)
        if self._partial is not None or left < 0:
            return False
        if not self._chunked:
            self._filling.fill(self._count)
            return not self._admissible(self.free_blocks, sys.maxsize)
        # What the running ones do in this step comes before admission.
        self._pool.unname(self._needs.at(self._count))
        self._filling.fill(self._count + 1)
        return not self._admissible(left, self.limits.max_num_batched_tokens - self._needs.decodes)

    def _stretch(self, limit_ns: float) -> tuple[Stretch, int]:
        """Decode steps from now on in which nothing else happens, and how many; no more than reach ``limit_ns``."""
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
        if self._queue.head() is not None:
            steps = self._filling.steps(self._count + self._chunked, steps)
        until = min(limit_ns, self._next_admission_ns())
        if steps > 1 and until < inf:
            steps = stretch.steps_until(until, steps)
        return stretch, steps

    def _next_admission_ns(self) -> float:
        """When a request that arrives may change the next step."""
        if len(self._running) >= self.limits.max_num_seqs:
            return inf
        # The head of a queue in order of arrival stays the head: it found no room, and there is less with each step.
        if self.limits.order == "fcfs" and self._queue.head() is not None:
            return inf
        coming_ns = self._queue.next_arrival_ns()
        return inf if coming_ns is None else coming_ns

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


def _shape(chunks: list[tuple[FastSequence, int]], decodes: int, kv_tokens: int) -> StepShape:
    """Of a step of some that decode, and these chunks; the last token of an answer that is repeated is a decode."""
    sequences = decodes + len(chunks)
    prefill = 0
    work = 0.0
    for sequence, chunk in chunks:
        begun = sequence.generated or sequence.job.ready_tokens
        if begun and sequence.computed + 1 == sequence.target:
            decodes += 1
            kv_tokens += sequence.computed
        else:
            prefill += chunk
            work += chunk * (sequence.computed + chunk / 2)
    return StepShape(decodes + prefill, sequences, kv_tokens, work, prefill, decodes)

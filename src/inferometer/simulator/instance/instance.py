"""One serving instance, step by step: the reference that every faster way of reckoning must equal."""

from __future__ import annotations

from typing import NamedTuple

from inferometer.errors import UsageError
from inferometer.simulator.instance.drafts import Drafts
from inferometer.simulator.instance.limits import EngineLimits, Job, check_ready
from inferometer.simulator.instance.pool import make_pool
from inferometer.simulator.instance.schedulers import Batch, Floor, Queue, make_scheduler
from inferometer.simulator.instance.sequence import Sequence
from inferometer.simulator.instance.shape import StepModel, StepShape

_NS_PER_S = 1e9


class Step(NamedTuple):
    """One step as it went. Times are ns; whole ones, unless the instance is exact.

    Attributes:
        begin_ns: when it began.
        end_ns: when it ends, and its tokens come out.
        step_s: how long it takes, not rounded.
        shape: what it computes.
        emitted: sequences that make tokens: one each, with drafts more (``Sequence.made``).
        finished: of these, the ones that made their last token; they hold no blocks any more.
        admitted: sequences that came from the queue.
        preempted: sequences that went back to it and lost their KV entries.
        checked: drafts, and how many of them were right, of each sequence that had any.
        parts: each sequence in it, its tokens, drafts included, and those that were computed before.
        kv_blocks: KV blocks that were held while it ran.
        kv_blocks_left: of these, held when it had ended.
    """

    begin_ns: float
    end_ns: float
    step_s: float
    shape: StepShape
    emitted: list[Sequence]
    finished: list[Sequence]
    admitted: list[Sequence]
    preempted: list[Sequence]
    checked: list[tuple[int, int]]
    parts: list[tuple[Sequence, int, int]]
    kv_blocks: int
    kv_blocks_left: int


class Instance:
    """Waiting queue, running set, KV blocks and a scheduler, without a clock and without sockets.

    Deterministic: the same calls give the same steps. The caller says when a step begins::

        while (at_ns := instance.next_ns()) is not None:
            step = instance.step(at_ns)

    Args:
        limits: what its scheduler may do.
        model: how long steps take.
        seed: of what is drawn, the acceptance of drafts.
        exact: whether ends of steps are not rounded to whole ns, so that sums of steps can be compared.
    """

    def __init__(self, limits: EngineLimits, model: StepModel, *, seed: int = 0, exact: bool = False) -> None:
        self.limits = limits
        self.model = model
        self._exact = exact
        self._queue = Queue(limits.order)
        self._pool = make_pool(limits)
        self._drafts = Drafts(limits, seed)
        self._floor = Floor(limits, self._pool, self._queue, self._drafts)
        self._scheduler = make_scheduler(self._floor)
        self._added = 0
        self._free_ns: float = 0  # when the latest step ends
        self._peak_blocks = 0

    @property
    def num_waiting(self) -> int:
        """Sequences in the queue: those that will arrive later, and preempted ones, included."""
        return len(self._queue)

    @property
    def num_running(self) -> int:
        """Sequences that hold KV blocks and are not finished."""
        return len(self._floor.running)

    @property
    def kv_blocks_used(self) -> int:
        """KV blocks that are held."""
        return self._pool.used

    @property
    def kv_blocks_peak(self) -> int:
        """Most KV blocks that were held during a step."""
        return self._peak_blocks

    def add(self, job: Job, arrival_ns: float | None = None) -> Sequence:
        """Queue a request.

        Args:
            job: what is asked for.
            arrival_ns: instead of the job's own.

        Raises:
            UsageError: a count below 1, more tokens than the context holds, or a prompt of which nothing is left to do.
        """
        prompt, output, most = job.prompt_tokens, job.output_tokens, self.limits.max_model_len
        if prompt < 1 or output < 1:
            raise UsageError(
                f"a request of {prompt} prompt and {output} output tokens: both must be at least 1"
            )
        if prompt + output > most:
            raise UsageError(
                f"{prompt} prompt + {output} output tokens exceed max_model_len={most} of the simulated engine",
                "raise max_model_len or shorten the requests",
            )
        check_ready(job, self.limits)
        sequence = Sequence(job, self._added, job.arrival_ns if arrival_ns is None else arrival_ns)
        self._added += 1
        self._queue.add(sequence)
        return sequence

    def cancel(self, sequence: Sequence) -> bool:
        """Forget ``sequence`` and free its KV blocks; False when it is not here any more."""
        if sequence.waiting:
            self._queue.discard(sequence)
        elif sequence.running:
            self._scheduler.remove(sequence)
        else:
            return False
        return True

    def forget_prefixes(self) -> bool:
        """Empty the prefix cache; False, and nothing done, while sequences hold blocks (vLLM's /reset_prefix_cache)."""
        return self._pool.forget()

    def next_ns(self) -> float | None:
        """No step begins before; None when there is nothing to do."""
        if self._floor.running:
            return self._free_ns
        due_ns = self._scheduler.next_ns()
        return None if due_ns is None else max(due_ns, self._free_ns)

    def step(self, now_ns: float) -> Step | None:
        """Carry out the step that begins at ``now_ns``, or at the end of the one before it, if that is later.

        The state afterwards is that of the step's end. None when nothing is to be done then; ``next_ns`` says when.
        """
        begin_ns = max(now_ns, self._free_ns)
        batch = self._scheduler.plan(begin_ns)
        lost = batch.preempted
        while not batch.chunks:
            if not batch.preempted:
                return None
            # The first in line gave way itself: the scheduler is asked again at once, as after a step of no tokens.
            batch = self._scheduler.plan(begin_ns)
            lost = lost + batch.preempted
        return self._carry_out(batch, begin_ns, lost)

    def prolong(self, step: Step, end_ns: float) -> Step:
        """The latest step, which ends later than it would alone: at ``end_ns``, with others that it waits for."""
        for sequence in step.emitted:
            sequence.last_token_ns = end_ns
            if sequence.first_token_ns == step.end_ns and sequence.generated == sequence.made:
                sequence.first_token_ns = end_ns
        self._free_ns = end_ns
        return step._replace(end_ns=end_ns)

    def hold(self, until_ns: float) -> None:
        """Begin no step before ``until_ns``."""
        self._free_ns = max(self._free_ns, until_ns)

    def _carry_out(self, batch: Batch, begin_ns: float, preempted: list[Sequence]) -> Step:
        shape = self._scheduler.shape(batch)
        step_s = self.model.step_s(shape)
        end_ns = self._end_ns(begin_ns, step_s)
        self._peak_blocks = max(self._peak_blocks, self._pool.used)
        emitted: list[Sequence] = []
        checked: list[tuple[int, int]] = []
        parts = [(sequence, tokens, sequence.computed) for sequence, tokens in batch.chunks.items()]
        for sequence, tokens, _ in parts:
            if sequence.scheduled_ns is None:
                sequence.scheduled_ns = begin_ns
            drafts = max(0, tokens - sequence.left)
            right = self._drafts.accepted(drafts)
            if drafts:
                checked.append((drafts, right))
            sequence.computed += tokens - drafts
            if sequence.left == 0:
                self._emit(sequence, 1 + right, end_ns)
                emitted.append(sequence)
        finished = [sequence for sequence in emitted if sequence.finished]
        held = self._pool.used
        self._scheduler.retire(finished)
        self._free_ns = end_ns
        return Step(
            begin_ns,
            end_ns,
            step_s,
            shape,
            emitted,
            finished,
            batch.admitted,
            preempted,
            checked,
            parts,
            held,
            self._pool.used,
        )

    def _end_ns(self, begin_ns: float, step_s: float) -> float:
        return begin_ns + (step_s * _NS_PER_S if self._exact else round(step_s * _NS_PER_S))

    @staticmethod
    def _emit(sequence: Sequence, tokens: int, end_ns: float) -> None:
        sequence.made = min(tokens, sequence.output_tokens - sequence.generated)
        sequence.generated += sequence.made
        sequence.computed += sequence.made - 1  # accepted drafts have their KV entries already
        sequence.last_token_ns = end_ns
        if sequence.first_token_ns is None:
            sequence.first_token_ns = end_ns

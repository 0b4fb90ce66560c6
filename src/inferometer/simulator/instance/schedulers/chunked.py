"""Decodes and chunks of prompts in one step: vLLM V1."""

from __future__ import annotations

from inferometer.simulator.instance.schedulers.batch import Batch, Continuous, Floor


class Chunked(Continuous):
    """The scheduler of vLLM V1.

    Running sequences come first, in order of admission, each with what it lacks (one token, when it decodes) while
    ``max_num_batched_tokens`` last. One that needs a block where none is free takes those of the sequence admitted last
    (with ``order`` priority: of the least important), which computes prompt and answer anew later. If nobody lost
    blocks, the queue is admitted from its head while tokens, ``max_num_seqs`` and blocks last.
    """

    def __init__(self, floor: Floor) -> None:
        super().__init__(floor, reserve=floor.limits.reserve_full_prompt)

    def plan(self, begin_ns: float) -> Batch:
        """See ``Scheduler``."""
        floor = self.floor
        longest = self._longest_chunk(begin_ns)
        batch = Batch(floor.limits.max_num_batched_tokens)
        self.carry_on(batch, longest)
        if batch.preempted:
            return batch
        while batch.budget > 0 and floor.seats > 0:
            sequence = floor.queue.peek(begin_ns)
            most = min(batch.budget, longest or batch.budget)
            if sequence is None or not self.admit(batch, sequence, most):
                return batch
        return batch

    def _longest_chunk(self, begin_ns: float) -> int:
        """Tokens of a chunk at most, 0 = not limited: a request that is alone keeps nobody waiting."""
        floor = self.floor
        longest = floor.limits.long_prefill_token_threshold
        if longest and len(floor.running) + len(floor.queue.arrived(begin_ns)) > 1:
            return longest
        return 0

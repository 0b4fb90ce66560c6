"""Steps that prefill whole prompts or decode, never both: vLLM V0, MindIE, LMDeploy."""

from __future__ import annotations

from inferometer.simulator.instance.schedulers.batch import Batch, Continuous, Floor

_NS_PER_S = 1e9


class PrefillFirst(Continuous):
    """Prompts go before decodes, as many as fit; a prompt longer than ``max_num_batched_tokens`` goes alone.

    A prefill batch is limited by ``max_num_batched_tokens`` (MindIE maxPrefillTokens), ``max_prefill_seqs``
    (maxPrefillBatchSize), ``max_num_seqs`` (maxBatchSize) and the free blocks; the tokens of a decode step are not
    limited. With ``prefill_delay_s`` (maxQueueDelayMicroseconds) it is held back until the first request has waited
    so long or the batch is full. With ``select_batch`` (supportSelectBatch) decodes go before prompts while they would
    lose more.
    """

    def __init__(self, floor: Floor) -> None:
        super().__init__(floor, reserve=True)
        self._decoded = 0  # steps since the last prompt

    def plan(self, begin_ns: float) -> Batch:
        """See ``Scheduler``."""
        limits = self.floor.limits
        batch = Batch(limits.max_num_batched_tokens)
        if self._due(begin_ns):
            self._prefill(batch, begin_ns)
        # Those whose prompts were computed elsewhere join the ones that decode.
        if all(sequence.ready and sequence.decodes for sequence in batch.chunks):
            batch = Batch(admitted=batch.admitted)
            self.carry_on(batch, most_preempted=limits.max_preempt)
            self._decoded += 1
        else:
            self._decoded = 0
        return batch

    def next_ns(self) -> float | None:
        """See ``Scheduler``."""
        queue, delay_ns = self.floor.queue, self.floor.limits.prefill_delay_s * _NS_PER_S
        arrived = queue.arrived(-1)
        if not arrived or not delay_ns:
            return super().next_ns()
        oldest_ns = min(sequence.arrival_ns for sequence in arrived)
        if self._full(len(arrived), sum(sequence.tokens for sequence in arrived)):
            return 0
        coming_ns = queue.next_arrival_ns()
        due_ns = oldest_ns + delay_ns
        return due_ns if coming_ns is None else min(due_ns, coming_ns)

    def _prefill(self, batch: Batch, begin_ns: float) -> None:
        floor, most = self.floor, self.floor.limits.max_prefill_seqs
        while floor.seats > 0 and (most is None or len(batch.chunks) < most):
            sequence = floor.queue.peek(begin_ns)
            if sequence is None:
                return
            there = max(floor.pool.find(sequence) * floor.pool.block_tokens, sequence.ready)
            lacking = sequence.tokens - there
            if batch.chunks and lacking > batch.budget:
                return
            if not self.admit(batch, sequence, lacking):
                return

    def _due(self, begin_ns: float) -> bool:
        """Whether prompts may go first now."""
        limits, floor = self.floor.limits, self.floor
        if not limits.prefill_delay_s and not limits.select_batch:
            return True
        arrived = floor.queue.arrived(begin_ns)
        if not arrived:
            return False
        if limits.select_batch and floor.running:
            lost_by_prompts_s = len(arrived) * limits.prefill_time_s
            lost_by_decodes_s = len(floor.running) * limits.decode_time_s
            patient = limits.select_steps is None or self._decoded < limits.select_steps
            if patient and lost_by_decodes_s > lost_by_prompts_s:
                return False
        oldest_ns = min(sequence.arrival_ns for sequence in arrived)
        waited = begin_ns >= oldest_ns + limits.prefill_delay_s * _NS_PER_S
        return waited or self._full(len(arrived), sum(sequence.tokens for sequence in arrived))

    def _full(self, sequences: int, tokens: int) -> bool:
        """Whether so many waiting ones are all that a prefill batch could take."""
        limits, seats = self.floor.limits, self.floor.seats
        most = seats if limits.max_prefill_seqs is None else min(seats, limits.max_prefill_seqs)
        return sequences >= most or tokens >= limits.max_num_batched_tokens

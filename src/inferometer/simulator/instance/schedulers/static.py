"""A batch is formed, padded, and runs to the end of its longest answer: offline tools."""

from __future__ import annotations

from inferometer.simulator.instance.schedulers.batch import Batch, Floor
from inferometer.simulator.instance.sequence import Sequence
from inferometer.simulator.instance.shape import StepShape


class Static:
    """Nothing joins a batch that runs.

    With nothing running, up to ``max_num_seqs`` requests are taken from the queue. Their prompts are padded to the
    longest one and computed in one step; then all decode until the longest answer ends. A sequence that ended earlier,
    or was cancelled, keeps its place: its blocks are held and its tokens are computed, for nobody. Each holds the
    blocks of the longest prompt and the longest answer from the beginning.
    """

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self._rows: list[Sequence] = []  # of the batch, those that ended included
        self._prompt_tokens = 0  # of the longest prompt
        self._computed = 0  # of every row

    def plan(self, begin_ns: float) -> Batch:
        """See ``Scheduler``."""
        if not self._rows:
            return self._form(begin_ns)
        batch = Batch()
        for sequence in self.floor.running:
            batch.put(sequence, 1)
        return batch

    def shape(self, batch: Batch) -> StepShape:
        """See ``Scheduler``."""
        rows = len(self._rows)
        if batch.admitted:
            tokens = rows * self._prompt_tokens
            return StepShape(tokens, rows, 0, tokens * self._prompt_tokens / 2, tokens, 0)
        return StepShape(rows, rows, rows * self._computed, 0.0, 0, rows)

    def retire(self, finished: list[Sequence]) -> None:
        """See ``Scheduler``. Blocks come back when the whole batch has ended."""
        self._computed = self._computed + 1 if self._computed else self._prompt_tokens
        for sequence in finished:
            self.remove(sequence)

    def remove(self, sequence: Sequence) -> None:
        """See ``Scheduler``."""
        sequence.running = False
        self.floor.running.remove(sequence)
        if not self.floor.running:
            for row in self._rows:
                self.floor.pool.release(row)
            self._rows = []
            self._computed = 0

    def next_ns(self) -> float | None:
        """See ``Scheduler``."""
        if self.floor.queue.peek(-1) is not None:
            return 0
        return self.floor.queue.next_arrival_ns()

    def _form(self, begin_ns: float) -> Batch:
        floor, batch = self.floor, Batch()
        prompt = output = 0
        while len(batch.chunks) < floor.limits.max_num_seqs:
            sequence = floor.queue.peek(begin_ns)
            if sequence is None:
                break
            longer = max(prompt, sequence.prompt_tokens), max(output, sequence.output_tokens)
            if floor.pool.blocks_of(sum(longer)) * (len(batch.chunks) + 1) > floor.pool.blocks:
                if batch.chunks:
                    break
                longer = sequence.prompt_tokens, sequence.output_tokens
            prompt, output = longer
            floor.queue.pop()
            sequence.running = True
            batch.put(sequence, sequence.prompt_tokens)
            batch.admitted.append(sequence)
        for sequence in batch.chunks:
            floor.pool.take(sequence, floor.pool.blocks_of(prompt + output))
        floor.running.extend(batch.chunks)
        self._rows = list(batch.chunks)
        self._prompt_tokens, self._computed = prompt, 0
        return batch

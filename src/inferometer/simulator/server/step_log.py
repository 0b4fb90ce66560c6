"""Steps as they begin, to a file of step records, without keeping the steps waiting."""

from __future__ import annotations

from pathlib import Path

from inferometer.record.steps import Part, StepRow, StepWriter
from inferometer.simulator.instance.instance import Step
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.instance.sequence import Sequence

_FLUSH_NS = 1_000_000_000


class StepLog:
    """Writes a row for each step, while the step is under way.

    Rows are handed to the operating system before a step that ends more than a second after the last time, and when
    the instance has nothing to do: of a server that is killed at most a second is lost.

    Args:
        path: of the file; rows are appended.
        limits: of the instance.
        offset_ns: what makes times of the instance times since 1970.

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, path: Path, limits: EngineLimits, offset_ns: int) -> None:
        self._writer = StepWriter(path)
        self._limits = limits
        self._offset_ns = offset_ns
        self._flushed_ns: float | None = None
        self._left_blocks = 0  # held when the step before had ended

    def began(self, step: Step) -> None:
        """See ``Witness``."""
        self._writer.write(self._row(step))
        if self._flushed_ns is None:
            self._flushed_ns = step.begin_ns
        if step.end_ns - self._flushed_ns >= _FLUSH_NS:
            self.idle()
            self._flushed_ns = step.begin_ns

    def idle(self) -> None:
        """See ``Witness``."""
        self._writer.flush()
        self._flushed_ns = None

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()

    def _row(self, step: Step) -> StepRow:
        shape = step.shape
        allocated = step.kv_blocks - self._left_blocks
        self._left_blocks = step.kv_blocks_left
        places = [0] * self._limits.draft_tokens
        for _, right in step.checked:
            for place in range(right):
                places[place] += 1
        return StepRow(
            begin_ns=round(step.begin_ns) + self._offset_ns,
            end_ns=round(step.end_ns) + self._offset_ns,
            step_s=step.step_s,
            prefills=shape.sequences - shape.decodes,
            decodes=shape.decodes,
            prefill_tokens=shape.prefill_tokens,
            decode_tokens=shape.tokens - shape.prefill_tokens,
            used_blocks=step.kv_blocks,
            total_blocks=self._limits.kv_blocks,
            allocated_blocks=allocated,
            freed_blocks=step.kv_blocks - step.kv_blocks_left,
            parts=[_part(*part, step.end_ns) for part in step.parts],
            drafted=sum(tokens for tokens, _ in step.checked),
            accepted_at=places,
            checked=len(step.checked),
        )


def _part(sequence: Sequence, tokens: int, computed: int, end_ns: float) -> Part:
    """``sequence`` as it was before a step that has been reckoned and ends at ``end_ns``."""
    generated = sequence.generated - (sequence.made if sequence.last_token_ns == end_ns else 0)
    if generated and computed + 1 == sequence.prompt_tokens + generated:
        return Part(sequence.number, generated)
    return Part(sequence.number, generated, tokens, computed)

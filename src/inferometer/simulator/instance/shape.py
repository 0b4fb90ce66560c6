"""What the steps of an instance are to the model of their duration. Types only."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class StepShape(NamedTuple):
    """What one step computes.

    Attributes:
        tokens: scheduled tokens, of prefill chunks and of decodes, drafts included.
        sequences: sequences in the step.
        decode_kv_tokens: context lengths of the decoding sequences before the step, summed.
        prefill_work: sum over prefill chunks of chunk x (done + chunk / 2): query-key pairs of attention.
        prefill_tokens: of ``tokens``, those of prefill chunks.
        decodes: of ``sequences``, those that decode.
    """

    tokens: int
    sequences: int
    decode_kv_tokens: int
    prefill_work: float
    prefill_tokens: int
    decodes: int


class StepModel(Protocol):
    """How long steps take. Pure, and for pure decode steps of a number of sequences affine in their KV tokens."""

    def step_s(self, shape: StepShape) -> float:
        """Seconds of a step."""
        ...

    def decode_line(self, decodes: int) -> tuple[float, float]:
        """``a, g``: a step of so many decodes, and nothing else, takes ``a + g * decode_kv_tokens`` seconds."""
        ...

"""Speculative decoding: how many tokens are drafted, and how many of them are right."""

from __future__ import annotations

import random

from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.instance.sequence import Sequence


class Drafts:
    """What is drafted for decoding sequences, as in vLLM: a fixed number, of which those up to a wrong one count.

    Drafts beyond the end of the answer are made too, for nobody knows the end; the context bounds them.

    Args:
        limits: ``draft_tokens``, and ``acceptance`` by position, whose last value goes for all later positions.
        seed: of the draws.
    """

    def __init__(self, limits: EngineLimits, seed: int) -> None:
        given = limits.acceptance
        missing = limits.draft_tokens - len(given)
        self._acceptance = (*given, *given[-1:] * missing)[: limits.draft_tokens]
        self._max_model_len = limits.max_model_len
        self._draw = random.Random(f"drafts-{seed}")  # noqa: S311 - a simulation, no secret

    def wanted(self, sequence: Sequence) -> int:
        """Drafts for a sequence that decodes."""
        return min(len(self._acceptance), self._max_model_len - sequence.tokens - 1)

    def accepted(self, drafts: int) -> int:
        """How many of so many drafts are right, from the first on."""
        for right in range(drafts):
            if self._draw.random() >= self._acceptance[right]:
                return right
        return drafts

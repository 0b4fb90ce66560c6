"""Engines without load: one batch at a time, in a process of ours or behind an address."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from inferometer.record.speed import EngineFacts, Generation, Outcome


class Ask(NamedTuple):
    """One batch to generate.

    Attributes:
        input_tokens: of each prompt.
        batch: prompts.
        tokens: to generate of each, neither more nor fewer.
        repeat: counted from 1; 0 = a warm-up.
    """

    input_tokens: int
    batch: int
    tokens: int
    repeat: int

    def failed(self, outcome: Outcome, reason: str | None) -> Generation:
        """What is written of this batch when it was not generated."""
        return Generation(
            input_tokens=self.input_tokens,
            batch=self.batch,
            asked_tokens=self.tokens,
            repeat=self.repeat,
            outcome=outcome,
            reason=reason,
        )


class BrokenError(Exception):
    """A model that could not be loaded, for a reason that is a result.

    Attributes:
        outcome: of every row that needed it.
        reason: in words.
        positions: most tokens that the model takes, if that is known by now.
    """

    def __init__(self, outcome: Outcome, reason: str, positions: int | None = None) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason
        self.positions = positions


class OfflineEngine(Protocol):
    """Something that generates one batch after the other."""

    shrinks: bool
    """Whether a model that does not fit may fit when it has to take shorter prompts."""

    def load(self, needs: tuple[int, ...]) -> EngineFacts:
        """Be ready for prompts that, with their answers, have so many tokens; those beyond its positions are left out.

        Raises:
            BrokenError: it cannot; the rows get its reason.
            InferometerError: nothing can be measured before a person has changed something.
        """
        ...

    def generate(self, ask: Ask) -> Generation:
        """Generate one batch. What goes wrong is an outcome, and the engine has to be loaded anew after it."""
        ...

    def close(self) -> None:
        """Free everything; may be called again, and ``load`` after it."""
        ...

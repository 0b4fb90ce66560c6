"""The verdict: a result judges itself, condition by condition."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

Word = Literal["VALID", "WARN", "INVALID"]
_SEVERITY: dict[Word, int] = {"VALID": 0, "WARN": 1, "INVALID": 2}


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of a verdict.

    Attributes:
        name: short and stable.
        level: a hard condition that fails makes the run INVALID, another WARN.
        asked: what should have been, in words.
        measured: what was; None when it is not known.
        limit: the number that ``measured`` is held against; None where there is none.
        unit: of ``measured`` and ``limit``; "share" is 0 to 1.
        ok: None when the condition cannot be judged; ``next_step`` then says why.
        next_step: what to do when the condition does not hold.
    """

    name: str
    level: Literal["hard", "warn"]
    asked: str
    measured: float | None
    limit: float | None
    unit: str
    ok: bool | None
    next_step: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """VALID, WARN or INVALID, and the conditions that decided it."""

    word: Word
    conditions: list[Condition]

    @property
    def failed(self) -> list[Condition]:
        """Conditions that do not hold, hard ones first."""
        return sorted((c for c in self.conditions if c.ok is False), key=lambda c: c.level != "hard")

    @property
    def unknown(self) -> list[Condition]:
        """Conditions that could not be judged, hard ones first."""
        return sorted((c for c in self.conditions if c.ok is None), key=lambda c: c.level != "hard")


def decide(conditions: Iterable[Condition]) -> Verdict:
    """INVALID if a hard condition fails; WARN if another fails or a hard one is not known; else VALID."""
    listed = list(conditions)
    word: Word = "VALID"
    for condition in listed:
        if condition.level == "hard" and condition.ok is False:
            word = "INVALID"
            break
        if condition.ok is False or (condition.level == "hard" and condition.ok is None):
            word = "WARN"
    return Verdict(word=word, conditions=listed)


def worst(words: Iterable[Word]) -> Word:
    """The most severe of several verdicts; INVALID when there is none, for nothing was measured."""
    return max(words, key=_SEVERITY.__getitem__, default="INVALID")

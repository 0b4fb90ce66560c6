"""Several things wrong with one request are told at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from inferometer.errors import UsageError


class Problem(NamedTuple):
    """One thing that cannot be carried out, and what to do about it."""

    message: str
    next_step: str


def raise_problems(problems: Iterable[Problem]) -> None:
    """Raise one UsageError that names all problems; return when there are none."""
    found = list(problems)
    if not found:
        return
    if len(found) == 1:
        raise UsageError(found[0].message, found[0].next_step)
    lines = "".join(f"\n  - {problem.message}; {problem.next_step}" for problem in found)
    raise UsageError(f"{len(found)} things are wrong with what was asked:{lines}")

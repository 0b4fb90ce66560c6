"""Several things wrong with one request are told at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    error = UsageError(*found[0]) if len(found) == 1 else UsageError(_all_of(found))
    error.problems = tuple(found)
    raise error


def _all_of(found: Sequence[Problem]) -> str:
    lines = "".join(f"\n  - {problem.message}; {problem.next_step}" for problem in found)
    return f"{len(found)} things are wrong with what was asked:{lines}"

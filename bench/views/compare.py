"""Figure by figure: a tool's result object and our view of the same run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

NOT_FIGURES = ("date", "start_time", "end_time", "mode")
"""Moments of the calendar; and of many times that occur once each, which is the commonest is chance."""


class Compared(NamedTuple):
    """One number that both have."""

    path: tuple[str | int, ...]
    theirs: float
    ours: float

    @property
    def key(self) -> str:
        """The path as text."""
        return " / ".join(str(part) for part in self.path)

    def equal(self, rounding: float, relative: float) -> bool:
        """Whether they differ by no more than what the tool rounds away and the grain of its clock."""
        return math.isclose(self.theirs, self.ours, rel_tol=relative, abs_tol=2.1 * rounding + 1e-9)


def compared(theirs: Any, ours: Any) -> list[Compared]:
    """All numbers that are at the same place of both objects; statistics of nothing are left out."""
    return list(_walk((), theirs, ours))


def missing(theirs: Any, ours: Any) -> list[str]:
    """Keys of ours that the tool's object has not got: a view may not invent any."""
    return sorted({" / ".join(map(str, path)) for path in _extra((), theirs, ours)})


def at(found: Any, path: Sequence[str | int]) -> Any:
    """What is at a place of an object."""
    for part in path:
        found = found[part]
    return found


def _walk(path: tuple[str | int, ...], theirs: Any, ours: Any) -> Iterator[Compared]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in theirs.keys() & ours.keys():
            yield from _walk((*path, key), theirs[key], ours[key])
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for place, (one, other) in enumerate(zip(theirs, ours, strict=True)):
            yield from _walk((*path, place), one, other)
    elif _number(theirs) and _number(ours) and path[-1] not in NOT_FIGURES:
        yield Compared(path, float(theirs), float(ours))


def _extra(path: tuple[str | int, ...], theirs: Any, ours: Any) -> Iterator[tuple[str | int, ...]]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key, value in ours.items():
            if key not in theirs:
                yield (*path, key)
            else:
                yield from _extra((*path, key), theirs[key], value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

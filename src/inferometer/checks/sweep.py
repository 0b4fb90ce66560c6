"""The search for the largest load that the generator carries: doubling, then a few bisections. Pure."""

from __future__ import annotations

import math
from typing import Literal

Outcome = Literal["held", "broke", "server"]  # the generator kept its gates; it did not; the server was late

_FACTOR = 2.0
_CLOSE_ENOUGH = 1.1  # levels nearer to each other than this are not told apart by a trial of two seconds


class Sweep:
    """Finds the largest level that holds, in one dimension.

    Ask for a level with ``ask``, try it, ``tell`` the outcome, until ``ask`` gives None. Levels double until one
    does not hold, and the gap is then halved (on a logarithmic scale). The first level at which the generator breaks
    is tried once more, for a hiccup of the machine is no limit. When not even the first level holds, lower ones are
    tried, each half of the one before.

    Args:
        start: first level.
        ceiling: highest level that can be tried.
        bisections: how often the gap is halved.
        retreats: how many levels below ``start`` are tried.
    """

    def __init__(self, start: float, ceiling: float, bisections: int = 2, retreats: int = 3) -> None:
        self._start = min(start, ceiling)
        self._ceiling = ceiling
        self._bisections = bisections
        self._retreats = retreats
        self._again: float | None = None
        self._second_chance = True
        self._failed: tuple[float, Outcome] | None = None  # the lowest level that did not hold
        self.held: float | None = None  # the highest level that did

    def ask(self) -> float | None:
        """The next level to try; None when the search is over."""
        if self._again is not None:
            return self._again
        if self._failed is None:
            if self.held is None:
                return self._start
            return min(self.held * _FACTOR, self._ceiling) if self.held < self._ceiling else None
        failed, _ = self._failed
        if self.held is None:
            return failed / _FACTOR if self._retreats > 0 else None
        if self._bisections > 0 and failed / self.held > _CLOSE_ENOUGH:
            return math.sqrt(self.held * failed)
        return None

    def tell(self, level: float, outcome: Outcome) -> None:
        """What came of the level that ``ask`` gave."""
        self._again = None
        if outcome == "broke" and self._second_chance:
            self._second_chance = False
            self._again = level
            return
        if self._failed is not None:
            if self.held is None:
                self._retreats -= 1
            else:
                self._bisections -= 1
        if outcome == "held":
            self.held = level
        else:
            self._failed = (level, outcome)

    @property
    def at_least(self) -> bool:
        """Whether the limit lies above ``held``: nothing broke, or it was the server that did."""
        return self.held is not None and (self._failed is None or self._failed[1] == "server")

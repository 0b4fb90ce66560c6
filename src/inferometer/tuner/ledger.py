"""What a search has measured so far, what it may still measure, and between which loads it looks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from inferometer.metrics.summary import PointSummary

Measure = Callable[[float, int], PointSummary]
"""Measures one load (a rate per s, or a number in flight), for the first, second ... time."""

STEP = 1.25
"""How far apart two loads are when a search takes them for neighbours: what lies between is the precision of a load."""


class NoMoreProbes(Exception):  # noqa: N818 - no error: the search ends with what it has
    """Nothing further can be measured: the budget is spent, or the user stopped. A ``Measure`` may raise it, too.

    Args:
        reason: in words, for the result.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


_TRIES = 3


class Measured(Protocol):
    """What a ledger has to know of an entry."""

    @property
    def evidence(self) -> bool:
        """Whether it says anything about the server."""


Entry = TypeVar("Entry", bound=Measured)
Read = Callable[[PointSummary, float, int], Entry]


class Ledger(Generic[Entry]):
    """Measures loads, one after the other, as often as the budget allows, and keeps what was read.

    Args:
        measure: measures one load.
        read: from the numbers of a load point, its load and repeat to an entry.
        budget: load points that may be measured.
    """

    def __init__(self, measure: Measure, read: Read[Entry], budget: int) -> None:
        self._measure = measure
        self._read = read
        self._budget = budget
        self._by_load: dict[float, list[Entry]] = {}
        self.entries: list[Entry] = []

    @property
    def left(self) -> int:
        """Load points that may still be measured."""
        return self._budget - len(self.entries)

    def of(self, load: float) -> list[Entry]:
        """Every measurement of this load."""
        return self._by_load.get(load, [])

    def probe(self, load: float) -> Entry:
        """Measure ``load`` once more, and again when the load generator was held up: two times at most.

        Raises:
            NoMoreProbes: the budget is spent, ``measure`` says so, or the server is gone: had it been counted as too
                much load, every load would seem too much from then on.
        """
        for _ in range(_TRIES):
            entry = self._once(load)
            if entry.evidence:
                break
        return entry

    def _once(self, load: float) -> Entry:
        if self.left <= 0:
            raise NoMoreProbes(f"all {self._budget} load points of the budget are measured (--max-probes)")
        repeat = len(self.of(load)) + 1
        summary = self._measure(load, repeat)
        if summary.counts.records and summary.counts.by_status.get("connect_error") == summary.counts.records:
            raise NoMoreProbes(f"at load {load:g} the server could not be reached any more, by no request")
        entry = self._read(summary, load, repeat)
        self._by_load.setdefault(load, []).append(entry)
        self.entries.append(entry)
        return entry


@dataclass(frozen=True, slots=True)
class Bounds:
    """The loads between which a search looks, both included.

    Attributes:
        whole: loads are whole numbers (requests in flight); else they are rounded to three digits, which can be told.
    """

    lower: float
    upper: float
    whole: bool

    def snap(self, load: float) -> float:
        """The nearest load that can be asked for, within the bounds."""
        rounded = float(round(load)) if self.whole else float(f"{load:.3g}")
        return min(max(rounded, self.lower), self.upper)

    def between(self, low: float, high: float) -> float | None:
        """The load half-way on a logarithmic scale; None when no other load lies between."""
        middle = self.snap(math.sqrt(low * high))
        return middle if low < middle < high else None

    def above(self, load: float) -> float | None:
        """The next load that differs by a step; None beyond the upper bound."""
        if load >= self.upper:
            return None
        return self.snap(max(load * STEP, load + 1.0) if self.whole else load * STEP)

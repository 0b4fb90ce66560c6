"""Instances whose steps begin together: a single one, or data-parallel ranks in lockstep."""

from __future__ import annotations

from math import inf, nextafter
from typing import Any, Protocol

from inferometer.simulator.instance.shape import StepModel, StepShape
from inferometer.simulator.instance.stepped import AnyInstance, AnySequence, SteppedInstance

_DUMMY = StepShape(tokens=1, sequences=1, decode_kv_tokens=0, prefill_work=0.0, prefill_tokens=0, decodes=1)


class Group(Protocol):
    """What is run as one.

    Attributes:
        now_ns: end of the latest step.
        planned_ns: what the one who runs it last read from ``due_ns``.
    """

    planned_ns: float | None

    @property
    def now_ns(self) -> float:
        """See above."""
        ...

    def due_ns(self) -> float | None:
        """When a step begins at whose end something may finish; None when there is nothing to do.

        A request that is handed in may bring it forward. Whoever calls ``run`` no earlier hands in no request too late
        for the step that it belongs to.
        """
        ...

    def run(self, at_ns: float) -> list[AnySequence]:
        """Carry out all steps that begin until then, both included; gives what finishes at ``now_ns``."""
        ...


class Lone:
    """One instance."""

    def __init__(self, instance: AnyInstance) -> None:
        self._instance: Any = instance
        self.planned_ns: float | None = None

    @property
    def now_ns(self) -> float:
        """See ``Group``."""
        now_ns: float = self._instance.now_ns
        return now_ns

    def due_ns(self) -> float | None:
        """See ``Group``."""
        due_ns: float | None = self._instance.due_ns()
        return due_ns

    def run(self, at_ns: float) -> list[AnySequence]:
        """See ``Group``."""
        finished: list[AnySequence] = self._instance.run_until(nextafter(at_ns, inf))
        return finished


class Lockstep:
    """Data-parallel ranks of a mixture of experts, whose layers wait for each other.

    A step of all takes as long as the longest of one; a rank with nothing to do takes part with a step of one token
    (vLLM's execute_dummy_batch). A request that comes to it meanwhile waits for the end.

    Args:
        ranks: instances that nobody else runs.
        model: of a dummy step.
    """

    def __init__(self, ranks: list[SteppedInstance], model: StepModel) -> None:
        self._ranks = ranks
        self._dummy_ns = round(model.step_s(_DUMMY) * 1e9)
        self.now_ns = 0.0
        self.planned_ns: float | None = None

    def due_ns(self) -> float | None:
        """See ``Group``."""
        return min((due for rank in self._ranks if (due := rank.due_ns()) is not None), default=None)

    def run(self, at_ns: float) -> list[AnySequence]:
        """See ``Group``."""
        while (begin_ns := self.due_ns()) is not None and begin_ns <= at_ns:
            steps = [rank.instance.step(begin_ns) for rank in self._ranks]
            ends_ns = [step.end_ns for step in steps if step is not None]
            if not ends_ns:
                continue
            end_ns = max(ends_ns)
            if len(ends_ns) < len(steps):
                end_ns = max(end_ns, begin_ns + self._dummy_ns)
            finished: list[AnySequence] = []
            for rank, step in zip(self._ranks, steps, strict=True):
                if step is None:
                    rank.instance.hold(end_ns)
                else:
                    rank.note(rank.instance.prolong(step, end_ns))
                    finished += step.finished
            self.now_ns = end_ns
            if finished:
                return finished
        return []

"""The stepped instance with the interface of the jumping one, for limits that only steps can follow."""

from __future__ import annotations

from math import ceil, inf

from inferometer.simulator.instance.fast import FastInstance, can_jump
from inferometer.simulator.instance.fast_sequence import FastSequence
from inferometer.simulator.instance.instance import Instance
from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.instance.sequence import Sequence
from inferometer.simulator.instance.shape import StepModel


class SteppedInstance:
    """Runs ``Instance`` up to a time or to the next answer. Ends of steps are whole ns; arrivals are rounded up.

    Attributes:
        steps: computed.
        preemptions: of all requests.
        now_ns: end of the latest step.
    """

    def __init__(self, limits: EngineLimits, model: StepModel, *, seed: int = 0) -> None:
        self._instance = Instance(limits, model, seed=seed)
        self.steps = 0
        self.preemptions = 0
        self.now_ns = 0.0

    def add(self, job: Job, arrival_ns: float | None = None) -> Sequence:
        """Hand in a job, with the time of the job or another.

        Raises:
            UsageError: a job longer than ``max_model_len``, or without tokens.
        """
        return self._instance.add(job, None if arrival_ns is None else ceil(arrival_ns))

    def cancel(self, sequence: Sequence) -> None:
        """Withdraw a request; nothing happens if it is finished."""
        self._instance.cancel(sequence)

    def next_ns(self) -> float | None:
        """When the next step begins; None if there is nothing to do."""
        return self._instance.next_ns()

    def run_until(self, limit_ns: float = inf) -> list[Sequence]:
        """Compute steps that begin before ``limit_ns``, up to the first at whose end something finishes.

        Returns:
            What finished; empty when ``limit_ns`` is reached, or nothing is left to do.
        """
        while (begin_ns := self._instance.next_ns()) is not None and begin_ns < limit_ns:
            step = self._instance.step(begin_ns)
            if step is None:
                continue
            self.steps += 1
            self.preemptions += len(step.preempted)
            self.now_ns = step.end_ns
            if step.finished:
                return step.finished
        return []


AnyInstance = FastInstance | SteppedInstance
AnySequence = FastSequence | Sequence


def make_instance(limits: EngineLimits, model: StepModel, *, seed: int = 0) -> AnyInstance:
    """The instance that jumps where ``limits`` allow it, or else the one that steps."""
    return FastInstance(limits, model) if can_jump(limits) else SteppedInstance(limits, model, seed=seed)

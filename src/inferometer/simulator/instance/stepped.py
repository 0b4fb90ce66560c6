"""The stepped instance with the interface of the jumping one, for limits that only steps can follow."""

from __future__ import annotations

from array import array
from math import ceil, inf

import numpy as np
from numpy.typing import NDArray

from inferometer.simulator.instance.fast import FastInstance
from inferometer.simulator.instance.fast_sequence import FastSequence
from inferometer.simulator.instance.instance import Instance, Step
from inferometer.simulator.instance.limits import EngineLimits, Job, can_jump
from inferometer.simulator.instance.sequence import Sequence
from inferometer.simulator.instance.shape import StepModel


class SteppedInstance:
    """Runs ``Instance`` up to a time or to the next answer. Ends of steps are whole ns; arrivals are rounded up.

    Args:
        limits: of the scheduler.
        model: duration of steps.
        seed: of what is drawn.
        timeline: keep what ``token_times_ns`` needs.

    Attributes:
        steps: computed.
        preemptions: of all requests.
        now_ns: end of the latest step.
        busy_ns: time in which steps ran.
    """

    def __init__(
        self, limits: EngineLimits, model: StepModel, *, seed: int = 0, timeline: bool = False
    ) -> None:
        self.instance = Instance(limits, model, seed=seed)
        self.steps = 0
        self.preemptions = 0
        self.now_ns = 0.0
        self.busy_ns = 0.0
        self._times_ns: dict[Sequence, array[float]] | None = {} if timeline else None

    @property
    def kv_blocks_peak(self) -> int:
        """Most blocks that were held during a step."""
        return self.instance.kv_blocks_peak

    def add(self, job: Job, arrival_ns: float | None = None) -> Sequence:
        """Hand in a job, with the time of the job or another.

        Raises:
            UsageError: a job longer than ``max_model_len``, or without tokens.
        """
        return self.instance.add(job, None if arrival_ns is None else ceil(arrival_ns))

    def cancel(self, sequence: Sequence) -> None:
        """Withdraw a request; nothing happens if it is finished."""
        self.instance.cancel(sequence)

    def next_ns(self) -> float | None:
        """When the next step begins; None if there is nothing to do."""
        return self.instance.next_ns()

    def due_ns(self) -> float | None:
        """As ``FastInstance.due_ns``: something may finish at the end of any step."""
        return self.instance.next_ns()

    def run_until(self, limit_ns: float = inf) -> list[Sequence]:
        """Compute steps that begin before ``limit_ns``, up to the first at whose end something finishes.

        Returns:
            What finished; empty when ``limit_ns`` is reached, or nothing is left to do.
        """
        while (begin_ns := self.instance.next_ns()) is not None and begin_ns < limit_ns:
            step = self.instance.step(begin_ns)
            if step is None:
                continue
            self.note(step)
            if step.finished:
                return step.finished
        return []

    def note(self, step: Step) -> None:
        """Count a step of ``instance``."""
        self.steps += 1
        self.preemptions += len(step.preempted)
        self.now_ns = step.end_ns
        self.busy_ns += step.end_ns - step.begin_ns
        if self._times_ns is not None:
            for sequence in step.emitted:
                times_ns = self._times_ns.setdefault(sequence, array("d"))
                for _ in range(sequence.made):
                    times_ns.append(step.end_ns)

    def token_times_ns(self, sequence: Sequence) -> NDArray[np.float64]:
        """When each token of a sequence was given, as far as it is; needs ``timeline``."""
        if self._times_ns is None:
            raise ValueError("this instance keeps no timeline")
        return np.array(self._times_ns.get(sequence, ()), dtype=np.float64)

    def forget_times(self) -> None:
        """Drop the token times of finished sequences."""
        if self._times_ns is not None:
            alive = {one: times for one, times in self._times_ns.items() if one.running or one.waiting}
            self._times_ns = alive


AnyInstance = FastInstance | SteppedInstance
AnySequence = FastSequence | Sequence


def make_instance(
    limits: EngineLimits, model: StepModel, *, seed: int = 0, timeline: bool = False, ready: bool = False
) -> AnyInstance:
    """The instance that jumps where ``limits`` allow it, or else the one that steps.

    Args:
        limits: of the scheduler.
        model: duration of steps.
        seed: of what is drawn.
        timeline: keep what ``token_times_ns`` needs.
        ready: whether prompts come that were computed elsewhere (``Job.ready_tokens``).
    """
    if can_jump(limits) and not (ready and limits.scheduler == "prefill-first"):
        return FastInstance(limits, model, timeline=timeline)
    return SteppedInstance(limits, model, seed=seed, timeline=timeline)

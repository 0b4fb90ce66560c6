"""The quick instance gives the very steps of the plain one, whatever is asked and whoever leaves."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from instance_world import MODEL, check, jobs, small, some_jobs, some_limits

from inferometer.simulator.instance.instance import Instance, Step
from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.instance.sequence import Sequence
from inferometer.simulator.instance.steady import SteadyInstance

_SLOTS = [name for name in Sequence.__slots__ if name != "job"]


def told(step: Step) -> list[Any]:
    """All that a step says, sequences by their numbers, and the state of those that are in it."""
    plain = [
        [one.number for one in value] if value and isinstance(value[0], Sequence) else value
        for value in (step.emitted, step.finished, step.admitted, step.preempted, step.checked)
    ]
    parts = [
        (one.number, tokens, computed, *(getattr(one, name) for name in _SLOTS))
        for one, tokens, computed in step.parts
    ]
    rest = (step.begin_ns, step.end_ns, step.step_s, step.shape, step.kv_blocks, step.kv_blocks_left)
    return [*plain, sorted(parts, key=lambda part: part[0]), *rest]


def both(limits: EngineLimits, asked: list[Job], leaving: dict[int, int]) -> int:
    """Run both instances side by side; ``leaving`` = by number of a step, whose request is cancelled after it.

    Returns how many steps were given without the scheduler.
    """
    plain, quick = Instance(limits, MODEL, seed=1), SteadyInstance(limits, MODEL, seed=1)
    there = [(plain.add(job), quick.add(job)) for job in asked]
    quickly = number = 0
    while (at_ns := plain.next_ns()) is not None:
        assert quick.next_ns() == at_ns
        ahead = quick._stretch
        slow, fast = plain.step(at_ns), quick.step(at_ns)
        quickly += ahead is not None and quick._stretch is ahead
        assert (slow is None) == (fast is None)
        if slow is not None and fast is not None:
            assert told(fast) == told(slow)
            check(quick, fast)
        if number in leaving:
            one, other = there[leaving[number] % len(there)]
            assert plain.cancel(one) == quick.cancel(other)
        number += 1
    assert quick.next_ns() is None
    assert quick.kv_blocks_used == 0
    assert (quick.kv_blocks_peak, quick.num_waiting) == (plain.kv_blocks_peak, 0)
    return quickly


@given(some_limits, some_jobs, st.dictionaries(st.integers(0, 60), st.integers(0, 11), max_size=3))
def test_its_steps_are_those_of_the_plain_instance(
    limits: EngineLimits, asked: list[Job], leaving: dict[int, int]
) -> None:
    # Beside being equal step by step: a step without the scheduler gives at least one request a token.
    assert both(limits, asked, leaving) <= sum(job.output_tokens for job in asked)


def test_a_stretch_ends_where_something_else_happens() -> None:
    roomy = small(kv_blocks=64)
    assert both(roomy, jobs((4, 30)), {}) == 28  # all but the prompt's and the last
    assert both(roomy, jobs((4, 30), (4, 3), (4, 3)), {}) == 26  # those with short answers beside it at first
    later = jobs((4, 30), arrival_ns=40_000_000)
    assert both(roomy, jobs((4, 30)) + later, {}) == 40  # of 44 two have a prompt, and two an end
    assert both(roomy, jobs((4, 30), (4, 30)), {9: 1}) == 28 - 1  # whoever is left begins a new one
    assert both(small(kv_blocks=16), jobs((4, 40), (4, 40)), {}) < both(roomy, jobs((4, 40), (4, 40)), {})
    assert both(small(scheduler="static"), jobs((4, 30)), {}) == 0


def test_blocks_of_an_answer_that_have_a_name_are_told_to_the_prefix_cache() -> None:
    names = tuple(range(7))  # the prompt and its answer, as a session has them
    asked = [
        Job(prompt_tokens=4, output_tokens=30, names=names),
        Job(prompt_tokens=24, output_tokens=2, names=names, arrival_ns=1_000_000_000),
    ]
    assert both(small(prefix_cache=True), asked, {}) < 10  # only when all its blocks have been filled

"""Whatever the scheduler: nothing is lost, nothing is over the limits, nothing is left to chance."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from instance_world import COST, MODEL, instance, jobs, run, small, some_jobs, some_limits, tokens_of

from inferometer.errors import UsageError
from inferometer.simulator.instance.instance import Instance
from inferometer.simulator.instance.limits import EngineLimits, Job


@settings(max_examples=100, deadline=None)
@given(some_limits, some_jobs)
def test_every_request_finishes_with_exactly_its_tokens(limits: EngineLimits, asked: list[Job]) -> None:
    one = instance(limits)
    sequences = [one.add(job) for job in asked]
    steps = run(one)
    assert [sequence.generated for sequence in sequences] == [job.output_tokens for job in asked]
    assert sorted(s.number for step in steps for s in step.finished) == list(range(len(asked)))
    assert (one.num_running, one.num_waiting, one.kv_blocks_used) == (0, 0, 0)
    admitted = sum(len(step.admitted) for step in steps)
    assert admitted == len(asked) + sum(len(step.preempted) for step in steps)
    assert sum(sequence.preemptions for sequence in sequences) == sum(len(step.preempted) for step in steps)
    for sequence in sequences:
        assert sequence.scheduled_ns is not None
        assert (
            sequence.arrival_ns <= sequence.scheduled_ns < sequence.first_token_ns <= sequence.last_token_ns
        )
        if not limits.draft_tokens:
            assert tokens_of(steps, sequence) == sequence.output_tokens


@settings(max_examples=50, deadline=None)
@given(some_limits, some_jobs, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 11)), max_size=6))
def test_a_request_may_leave_at_any_time(
    limits: EngineLimits, asked: list[Job], leaving: list[tuple[int, int]]
) -> None:
    one = instance(limits)
    sequences = [one.add(job) for job in asked]
    gone = set()
    for number in range(41):
        for _, who in (pair for pair in leaving if pair[0] == number and pair[1] < len(sequences)):
            here = not sequences[who].finished and who not in gone
            assert one.cancel(sequences[who]) is here
            gone |= {who} if here else set()
        at_ns = one.next_ns()
        step = one.step(at_ns) if at_ns is not None else None
        assert step is None or not gone & {sequence.number for sequence in step.emitted}
    run(one)
    assert (one.num_running, one.num_waiting, one.kv_blocks_used) == (0, 0, 0)
    assert all(sequence.finished is (sequence.number not in gone) for sequence in sequences)


@settings(max_examples=60, deadline=None)
@given(some_limits, some_jobs, st.integers(0, 3))
def test_the_same_calls_give_the_same_steps(limits: EngineLimits, asked: list[Job], seed: int) -> None:
    def story() -> list[tuple[object, ...]]:
        one = instance(limits, seed=seed)
        for job in asked:
            one.add(job)
        return [
            (step.begin_ns, step.end_ns, step.shape, [s.number for s in step.emitted], step.checked)
            for step in run(one)
        ]

    assert story() == story()


@settings(max_examples=60, deadline=None)
@given(some_jobs)
def test_first_come_is_first_scheduled(asked: list[Job]) -> None:
    one = instance(small())
    sequences = [one.add(job) for job in asked]
    run(one)
    in_order = sorted(sequences, key=lambda sequence: (sequence.arrival_ns, sequence.number))
    begins = [sequence.scheduled_ns for sequence in in_order]
    assert begins == sorted(begins)


def test_nobody_starves_while_others_keep_coming() -> None:
    one = instance(small(kv_blocks=16))
    big = one.add(Job(prompt_tokens=40, output_tokens=24))
    for late in range(200):
        one.add(Job(prompt_tokens=8, output_tokens=8, arrival_ns=late * 1_000_000))
    steps = run(one)
    assert next(step for step in steps if big in step.finished).end_ns < steps[-1].end_ns / 3


def test_a_request_alone_takes_the_closed_form() -> None:
    one = Instance(EngineLimits(), MODEL, exact=True)
    sequence = one.add(Job(prompt_tokens=1000, output_tokens=50, arrival_ns=7))
    steps = run_exact(one)
    prefill = 1000 * COST.token_s + COST.step_s + COST.sequence_s + COST.attention_s * 1000 * 1000 / 2
    decode = COST.weights_s + COST.step_s + COST.sequence_s
    assert steps[0] == pytest.approx(prefill, rel=1e-12)
    assert steps[1:] == pytest.approx(
        [decode + COST.kv_token_s * (1000 + made) for made in range(49)], rel=1e-12
    )
    assert sequence.last_token_ns == pytest.approx(7 + sum(steps) * 1e9, rel=1e-12)


def run_exact(one: Instance) -> list[float]:
    """Durations of all steps."""
    durations = []
    while (at_ns := one.next_ns()) is not None:
        step = one.step(at_ns)
        assert step is not None
        durations.append(step.step_s)
    return durations


def test_a_request_is_untouched_before_it_arrives() -> None:
    one = instance(small())
    one.add(Job(prompt_tokens=4, output_tokens=1, arrival_ns=500))
    assert one.step(499) is None
    assert one.next_ns() == 500
    step = one.step(500)
    assert step is not None
    assert step.begin_ns == 500


def test_a_step_begins_only_when_the_one_before_has_ended() -> None:
    one = instance(small())
    one.add(Job(prompt_tokens=4, output_tokens=2))
    first = one.step(0)
    second = one.step(1)
    assert first is not None
    assert second is not None
    assert second.begin_ns == first.end_ns


@pytest.mark.parametrize(("prompt", "output"), [(60, 5), (0, 1), (1, 0)])
def test_what_can_never_run_is_refused(prompt: int, output: int) -> None:
    with pytest.raises(UsageError, match=f"{prompt} prompt"):
        instance(small()).add(jobs((prompt, output))[0])


def test_drafts_come_out_as_often_as_they_are_right() -> None:
    limits = EngineLimits(draft_tokens=3, acceptance=(0.8, 0.5), max_model_len=8192)
    one = Instance(limits, MODEL, seed=1)
    one.add(Job(prompt_tokens=16, output_tokens=6000))
    checked = [pair for step in run(one) for pair in step.checked]
    right = [sum(right > place for _, right in checked) for place in range(3)]
    assert {drafts for drafts, _ in checked} == {3}
    assert right[0] / len(checked) == pytest.approx(0.8, abs=0.03)
    assert right[1] / right[0] == pytest.approx(0.5, abs=0.04)
    assert right[2] / right[1] == pytest.approx(0.5, abs=0.05)
    assert len(checked) == pytest.approx(5999 / (1 + 0.8 + 0.4 + 0.2), rel=0.03)


def test_drafts_end_with_the_context() -> None:
    one = instance(small(draft_tokens=2, acceptance=(1.0,)))
    one.add(Job(prompt_tokens=57, output_tokens=7))
    steps = run(one)
    assert [pair for step in steps for pair in step.checked] == [(2, 2), (2, 2)]

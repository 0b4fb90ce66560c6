"""Engines that hold blocks of whole answers, do not split prompts, or let decoding go first for a while."""

from __future__ import annotations

import pytest
from instance_world import instance, jobs, run, small

from inferometer.errors import UsageError


def test_a_request_waits_until_its_whole_answer_fits() -> None:
    # 16 blocks of 4: the first two hold 8 + 7 of them to their ends, and the third needs 2.
    one = instance(small(reserve_answer=True))
    first, second, third = (one.add(job) for job in jobs((8, 24), (8, 20), (4, 4)))
    steps = run(one)
    ends = {sequence: sequence.last_token_ns for sequence in (first, second, third)}
    assert third.scheduled_ns == ends[second]
    assert not any(step.preempted for step in steps)


def test_without_it_the_third_starts_at_once() -> None:
    one = instance(small())
    first, second, third = (one.add(job) for job in jobs((8, 24), (8, 20), (4, 4)))
    run(one)
    assert second.scheduled_ns == first.scheduled_ns == 0
    assert third.scheduled_ns is not None
    assert second.last_token_ns is not None
    assert third.scheduled_ns < second.last_token_ns


def test_a_prompt_that_is_not_split_waits_for_a_step_with_room_for_all_of_it() -> None:
    limits = small(max_num_batched_tokens=64, max_model_len=64, kv_blocks=64, split_prompts=False)
    one = instance(limits)
    for job in jobs((40, 4), (30, 4)):
        one.add(job)
    steps = run(one)
    assert [step.shape.prefill_tokens for step in steps if step.admitted] == [40, 30]
    split = instance(small(max_num_batched_tokens=64, kv_blocks=64))
    for job in jobs((40, 4), (30, 4)):
        split.add(job)
    assert [step.shape.prefill_tokens for step in run(split)][:2] == [64, 6]


def test_decoding_goes_first_until_enough_wait_or_for_so_many_steps() -> None:
    def admitted_after(select_steps: int | None) -> int:
        limits = small(
            scheduler="prefill-first",
            select_batch=True,
            prefill_time_s=1.0,
            decode_time_s=2.0,
            select_steps=select_steps,
        )
        one = instance(limits)
        one.add(jobs((4, 20))[0])
        one.add(jobs((4, 2), arrival_ns=1)[0])  # one waiting is less than 2.0 x one running
        return next(number for number, step in enumerate(run(one)) if number and step.admitted)

    assert admitted_after(5) == 6  # the prompt, and five steps of decoding
    assert admitted_after(None) == 20  # when the first has gone


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"split_prompts": False, "max_num_batched_tokens": 32}, "a long one could never start"),
        (
            {"split_prompts": False, "max_num_batched_tokens": 64, "long_prefill_token_threshold": 8},
            "splits prompts, which are not to be",
        ),
        ({"scheduler": "prefill-first", "reserve_answer": True, "max_preempt": 1}, "nobody is preempted"),
        ({"scheduler": "static", "reserve_answer": True}, "without prefix_cache"),
        ({"select_steps": 3}, "has no meaning with scheduler=chunked"),
    ],
)
def test_limits_that_contradict_each_other(changed: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        small(**changed)

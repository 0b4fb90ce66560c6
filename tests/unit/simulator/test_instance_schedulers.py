"""What each scheduler puts into which step, told by the steps."""

from __future__ import annotations

import pytest
from instance_world import MODEL, instance, jobs, run, small

from inferometer.simulator.instance.instance import Instance, Step
from inferometer.simulator.instance.limits import EngineLimits, Job


def shapes(steps: list[Step]) -> list[tuple[int, int, int]]:
    """Prefill tokens, decodes and KV tokens of each step."""
    return [(step.shape.prefill_tokens, step.shape.decodes, step.shape.decode_kv_tokens) for step in steps]


def numbers(sequences) -> list[int]:
    """Their numbers."""
    return [sequence.number for sequence in sequences]


def test_a_long_prompt_is_computed_in_chunks_while_decode_goes_on() -> None:
    one = Instance(EngineLimits(max_num_batched_tokens=512), MODEL)
    one.add(Job(prompt_tokens=10, output_tokens=20))
    one.step(0)
    one.add(Job(prompt_tokens=1200, output_tokens=2))
    steps = run(one)[:4]
    assert shapes(steps) == [(511, 1, 10), (511, 1, 11), (178, 1, 12), (0, 2, 13 + 1200)]
    assert [numbers(step.emitted) for step in steps] == [[0], [0], [0, 1], [0, 1]]
    assert steps[1].shape.prefill_work == 511 * (511 + 511 / 2)


def test_a_prompt_waits_until_all_of_it_fits() -> None:
    for reserve, first_step in ((True, [0]), (False, [0, 1])):
        one = instance(small(reserve_full_prompt=reserve, kv_blocks=16))
        for job in jobs((12, 2), (60, 2)):
            one.add(job)
        assert numbers(one.step(0).admitted) == first_step


def test_the_last_one_gives_way_and_computes_everything_anew() -> None:
    one = instance(small(max_model_len=32, kv_blocks=8))
    for job in jobs((15, 8), (15, 8)):
        one.add(job)
    steps = run(one)
    lost = next(step for step in steps if step.preempted)
    assert numbers(lost.preempted) == [1]
    assert numbers(lost.emitted) == [0]
    again = next(step for step in steps if step.begin_ns > lost.begin_ns and step.admitted)
    assert numbers(again.admitted) == [1]
    assert again.begin_ns >= next(step.end_ns for step in steps if 0 in numbers(step.finished))
    assert again.shape.prefill_tokens == 16
    assert lost.shape.decodes == 1


def test_with_priorities_the_least_important_gives_way_and_waits() -> None:
    one = instance(small(order="priority", max_model_len=32, kv_blocks=9))
    for priority in (2, 0, 1):
        one.add(Job(prompt_tokens=10, output_tokens=12, priority=priority))
    steps = run(one)
    assert numbers(steps[0].admitted) == [1, 2]
    preempted = [number for step in steps for number in numbers(step.preempted)]
    assert preempted
    assert 1 not in preempted
    finished = [number for step in steps for number in numbers(step.finished)]
    assert finished == [1, 2, 0]


def test_the_shortest_prompt_goes_first() -> None:
    one = instance(small(order="shortest", max_num_seqs=1))
    for job in jobs((12, 1), (3, 1), (7, 1)):
        one.add(job)
    assert [number for step in run(one) for number in numbers(step.finished)] == [1, 2, 0]


def test_a_threshold_lets_short_prompts_past_a_long_one() -> None:
    one = instance(small(long_prefill_token_threshold=6))
    for job in jobs((40, 1), (5, 1), (5, 1)):
        one.add(job)
    step = one.step(0)
    assert (step.shape.tokens, numbers(step.emitted)) == (16, [1, 2])


@pytest.mark.parametrize(("tokens", "prompts"), [(8192, 32), (12800, 50)])
def test_max_prefill_tokens_of_the_mindie_guide_make_its_prefill_batches(tokens: int, prompts: int) -> None:
    limits = EngineLimits(
        scheduler="prefill-first", max_num_seqs=600, max_num_batched_tokens=tokens, max_prefill_seqs=300
    )
    one = Instance(limits, MODEL)
    for job in jobs(*[(256, 256)] * 500):
        one.add(job)
    prefills = [step.shape for step in run(one) if step.shape.prefill_tokens]
    assert max(shape.sequences for shape in prefills) == prompts
    assert {shape.sequences for shape in prefills[:-1]} == {prompts}
    assert sum(shape.sequences for shape in prefills) == 500


def test_prompts_go_before_decodes_and_never_beside_them() -> None:
    one = instance(small(scheduler="prefill-first"))
    for job in jobs((20, 3), (8, 3), (8, 3)):
        one.add(job)
    assert shapes(run(one)) == [(20, 0, 0), (16, 0, 0), (0, 3, 36), (0, 3, 39)]


def test_prefill_batches_are_limited_by_number_and_wait_to_become_full() -> None:
    one = instance(small(scheduler="prefill-first", max_prefill_seqs=2, prefill_delay_s=0.01))
    for arrival_ns in (0, 4_000_000, 5_000_000):
        one.add(Job(prompt_tokens=4, output_tokens=1, arrival_ns=arrival_ns))
    assert [(step.begin_ns, step.shape.sequences) for step in run(one)] == [(4_000_000, 2), (15_000_000, 1)]


def test_decodes_go_on_while_prompts_would_cost_them_more() -> None:
    limits = small(scheduler="prefill-first", select_batch=True, prefill_time_s=1.0, decode_time_s=1.0)
    one = instance(limits)
    for job in jobs((4, 4), (4, 4)):
        one.add(job)
    one.step(0)
    one.add(Job(prompt_tokens=4, output_tokens=1))
    assert one.step(0).shape.decodes == 2
    one.add(Job(prompt_tokens=4, output_tokens=1))
    assert one.step(0).shape.prefill_tokens == 8


def test_of_two_that_need_a_block_only_one_gives_way_where_that_is_the_limit() -> None:
    def lost(most: int | None) -> list[int]:
        one = instance(small(scheduler="prefill-first", max_num_batched_tokens=64, max_preempt=most))
        for job in jobs(*[(16, 8)] * 4):
            one.add(job)
        one.step(0)
        step = one.step(0)
        assert step.shape.decodes == {None: 3, 1: 3}[most]
        return numbers(step.preempted)

    assert lost(None) == lost(1) == [3]


def test_a_static_batch_is_padded_and_runs_to_its_longest_answer() -> None:
    one = instance(small(scheduler="static"))
    for job in jobs((8, 1), (2, 4), (5, 2)):
        one.add(job)
    one.step(0)
    late = one.add(Job(prompt_tokens=3, output_tokens=1, arrival_ns=1))
    steps = run(one)
    assert shapes(steps) == [(0, 3, 24), (0, 3, 27), (0, 3, 30), (3, 0, 0)]
    assert [numbers(step.finished) for step in steps] == [[2], [], [1], [late.number]]


def test_a_static_batch_holds_the_blocks_of_its_longest_row_to_the_end() -> None:
    one = instance(small(scheduler="static"))
    sequences = [one.add(job) for job in jobs((20, 1), (4, 12), (4, 2))]
    step = one.step(0)
    assert numbers(step.admitted) == [0, 1]
    assert one.kv_blocks_used == 16
    assert (one.num_running, step.shape.prefill_tokens) == (1, 40)
    assert one.cancel(sequences[1])
    assert one.kv_blocks_used == 0

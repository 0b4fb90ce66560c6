"""KV blocks with names: found again while nobody needed them, evicted in vLLM's order, never counted twice."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from instance_world import check, instance, run, small, some_jobs

from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.instance.pool import CachingPool
from inferometer.simulator.instance.sequence import Sequence


def caching(**changed: object) -> EngineLimits:
    """Small limits with a prefix cache."""
    return small(prefix_cache=True, max_num_batched_tokens=64, **changed)


def ask(names: str, extra: int = 1, output: int = 1, arrival_ns: int = 0) -> Job:
    """A prompt of blocks a, b, c ... and some tokens more."""
    named = tuple(int.from_bytes(names[: place + 1].encode()) for place in range(len(names)))
    return Job(prompt_tokens=4 * len(names) + extra, output_tokens=output, arrival_ns=arrival_ns, names=named)


def test_a_prompt_that_was_there_is_computed_from_its_first_new_block_on() -> None:
    one = instance(caching())
    for place, names in enumerate(("abc", "abc", "abx", "xbc")):
        one.add(ask(names, arrival_ns=place * 10**9))
    steps = run(one)
    assert [step.shape.prefill_tokens for step in steps] == [13, 1, 5, 13]
    assert [step.finished[0].cached for step in steps] == [0, 12, 8, 0]


def test_the_last_token_is_always_computed() -> None:
    one = instance(caching())
    one.add(ask("abc", extra=0))
    again = one.add(ask("abc", extra=0, arrival_ns=10**9))
    assert run(one)[-1].shape.prefill_tokens == 4
    assert again.cached == 8


def test_two_that_run_share_the_blocks_of_their_prefix() -> None:
    one = instance(caching())
    one.add(ask("abcdef", output=9))
    one.step(0)
    assert one.kv_blocks_used == 7
    one.add(ask("abcdef", output=9))
    one.step(0)
    assert one.kv_blocks_used == 7 + 1
    run(one)
    assert one.kv_blocks_used == 0


def test_a_prompt_admitted_in_the_same_step_finds_what_is_being_computed() -> None:
    one = instance(caching())
    first, second = one.add(ask("abc")), one.add(ask("abc"))
    step = one.step(0)
    assert step.shape.prefill_tokens == 13 + 1
    assert (first.cached, second.cached) == (0, 12)


def test_blocks_without_a_name_go_first_then_the_ends_of_the_oldest_prompts() -> None:
    pool = CachingPool(6, 4)
    first, second, third = (
        Sequence(job, place, 0) for place, job in enumerate((ask("ab"), ask("cd"), ask("xyz")))
    )
    for sequence in (first, second):
        pool.admit(sequence, sequence.tokens, 0)
        pool.fill(sequence, sequence.tokens)
    assert pool.free == 0
    pool.release(first)
    pool.release(second)
    assert pool.free == 6
    pool.take(third, 2)
    assert (pool.find(first), pool.find(second)) == (2, 2)
    pool.take(third, 1)
    assert (pool.find(first), pool.find(second)) == (1, 2)
    pool.take(third, 2)
    assert (pool.find(first), pool.find(second)) == (0, 1)
    pool.release(third)
    assert (pool.free, pool.find(second)) == (6, 1)


def test_blocks_that_were_found_are_not_counted_as_free_for_the_rest() -> None:
    pool = CachingPool(4, 4)
    old, new = Sequence(ask("abc", extra=4), 0, 0), Sequence(ask("abc", extra=5), 1, 0)
    pool.admit(old, 16, 0)
    pool.fill(old, 16)
    pool.release(old)
    assert pool.find(new) == 3
    assert pool.fits(new, 16, 3)
    assert not pool.fits(new, 17, 3)
    pool.admit(new, 16, 3)
    assert (pool.free, new.blocks) == (0, 4)


def test_an_answer_whose_blocks_have_names_is_found_by_the_next_turn() -> None:
    one = instance(caching())
    one.add(Job(prompt_tokens=6, output_tokens=7, names=(1, 2, 3)))
    turn = one.add(Job(prompt_tokens=16, output_tokens=1, arrival_ns=10**9, names=(1, 2, 3, 4)))
    run(one)
    assert turn.cached == 12


def test_a_preempted_one_finds_what_is_left_of_it() -> None:
    one = instance(caching(max_model_len=32, kv_blocks=8))
    one.add(ask("abc", extra=3, output=9))
    one.add(ask("xyz", extra=3, output=9))
    steps = run(one)
    again = [step for step in steps if step.admitted][-1]
    assert sum(len(step.preempted) for step in steps) == 1
    assert again.admitted[0].preemptions == 1
    assert again.admitted[0].cached == 0
    assert 0 < again.shape.prefill_tokens < 16


def test_the_cache_is_emptied_only_while_nobody_holds_blocks() -> None:
    one = instance(caching())
    one.add(ask("abc", output=2))
    one.step(0)
    assert not one.forget_prefixes()
    run(one)
    assert one.forget_prefixes()
    fresh = one.add(ask("abc"))
    run(one)
    assert fresh.cached == 0


@settings(max_examples=50, deadline=None)
@given(some_jobs, st.sampled_from(["fcfs", "priority"]))
def test_names_are_held_as_often_as_sequences_hold_them(asked: list[Job], order: str) -> None:
    one = instance(small(prefix_cache=True, order=order))
    sequences = [one.add(job) for job in asked]
    while (at_ns := one.next_ns()) is not None:
        step = one.step(at_ns)
        assert step is not None
        check(one, step)
        private = sum(sequence.blocks - len(sequence.named) for sequence in sequences)
        shared = {name for sequence in sequences for name in sequence.named}
        assert one.kv_blocks_used == private + len(shared)
        for sequence in sequences:
            assert len(set(sequence.named)) == len(sequence.named) <= sequence.blocks
            assert sequence.computed <= sequence.blocks * 4 or sequence.finished

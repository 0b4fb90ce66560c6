"""Jumping over decode stretches gives what stepping through them gives.

Where times are to be equal to the last bit, costs are multiples of 1/512 s, thus of whole nanoseconds, so that neither
way of adding them up rounds. Whether a request arrives before a step or in it then never hangs on a rounding.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from instance_world import MODEL, some_limits

from inferometer.errors import UsageError
from inferometer.simulator.instance.fast import FastInstance
from inferometer.simulator.instance.fast_sequence import FastSequence
from inferometer.simulator.instance.instance import Instance
from inferometer.simulator.instance.limits import EngineLimits, Job, can_jump
from inferometer.simulator.instance.sequence import Sequence
from inferometer.simulator.instance.shape import StepModel
from inferometer.simulator.instance.simulate import Overheads, simulate
from inferometer.simulator.instance.stepped import make_instance
from inferometer.simulator.instance.stretch import BlockNeeds, Stretch
from inferometer.simulator.latency.model import Coefficients, LinearModel

_TICK_S = 1 / 512
_TICK_NS = 1953125
_ODD = LinearModel(
    Coefficients(
        weights_s=1 / 503, token_s=1e-5 / 3, step_s=1e-3 / 7, kv_token_s=1e-7 / 3, attention_s=1e-9 / 3
    )
)


class Stepped(NamedTuple):
    rows: list[Sequence]
    times_ns: list[list[float]]
    steps: int


class Jumped(NamedTuple):
    rows: list[FastSequence]
    instance: FastInstance


def step_through(jobs: list[Job], limits: EngineLimits, model: StepModel, clients: int | None) -> Stepped:
    instance = Instance(limits, model, exact=True)
    first = len(jobs) if clients is None else clients
    rows = [instance.add(job) for job in jobs[:first]]
    times_ns: list[list[float]] = [[] for _ in jobs]
    steps = 0
    while (at_ns := instance.next_ns()) is not None:
        step = instance.step(at_ns)
        assert step is not None
        steps += 1
        for sequence in step.emitted:
            times_ns[sequence.number].append(step.end_ns)
        due = jobs[len(rows) : len(rows) + len(step.finished)]
        rows.extend(instance.add(job, max(step.end_ns, job.arrival_ns)) for job in due)
    return Stepped(rows, times_ns, steps)


def jump_through(jobs: list[Job], limits: EngineLimits, model: StepModel, clients: int | None) -> Jumped:
    instance = FastInstance(limits, model, timeline=True)
    first = len(jobs) if clients is None else clients
    rows = [instance.add(job) for job in jobs[:first]]
    while finished := instance.run_until():
        assert 0 <= instance.free_blocks <= limits.kv_blocks
        due = jobs[len(rows) : len(rows) + len(finished)]
        rows.extend(instance.add(job, max(instance.now_ns, job.arrival_ns)) for job in due)
    assert (instance.free_blocks, instance.running) == (limits.kv_blocks, 0)
    return Jumped(rows, instance)


def moments(sequence: Sequence | FastSequence) -> list[float | None]:
    return [sequence.arrival_ns, sequence.scheduled_ns, sequence.first_token_ns, sequence.last_token_ns]


ticks = st.integers(0, 40).map(lambda count: count * _TICK_S)
dyadic_models = st.builds(
    lambda weights, token, step, sequence, context, attention: LinearModel(
        Coefficients(
            weights_s=weights,
            token_s=token,
            step_s=step + _TICK_S,
            sequence_s=sequence,
            kv_token_s=context,
            attention_s=attention * 2 * _TICK_S,
        )
    ),
    ticks, ticks, ticks, ticks, ticks, st.integers(0, 2),
)  # fmt: skip


@st.composite
def pressed_limits(draw: st.DrawFn, longest: int = 60) -> EngineLimits:
    """Pools that hold little more than the longest request, and every limit that can be jumped under."""
    block_tokens = draw(st.sampled_from([1, 2, 3, 4, 16]))
    seqs = draw(st.integers(1, 12))
    chunked = draw(st.booleans())
    own: dict[str, object] = (
        {"reserve_full_prompt": draw(st.booleans())}
        if chunked
        else {"max_prefill_seqs": draw(st.sampled_from([None, 1, 2])), "scheduler": "prefill-first"}
    )
    step_tokens = max(seqs, draw(st.sampled_from([4, 16, 64, 300])))
    given: dict[str, object] = {
        "max_num_seqs": seqs,
        "max_num_batched_tokens": step_tokens,
        "split_prompts": not (chunked and step_tokens >= longest and draw(st.booleans())),
        "reserve_answer": draw(st.booleans()),
        "block_tokens": block_tokens,
        "kv_blocks": -(-longest // block_tokens) + draw(st.sampled_from([0, 1, 5, 100])),
        "max_model_len": longest,
        "order": draw(st.sampled_from(["fcfs", "priority", "shortest"])),
    }
    return EngineLimits(**given | own)  # type: ignore[arg-type]


def jobs_of(latest: int, unit_ns: int = _TICK_NS) -> st.SearchStrategy[list[Job]]:
    """So many jobs from a seed (each number by itself would take longer than what is tested), some all at once."""

    def jobs(seed: int, count: int) -> list[Job]:
        draw = random.Random(seed)
        last = draw.choice([0, latest // 30, latest])
        return [
            Job(
                prompt_tokens=draw.randint(1, 30),
                output_tokens=draw.randint(1, 30),
                arrival_ns=draw.randint(0, last) * unit_ns,
                priority=draw.randint(0, 2),
            )
            for _ in range(count)
        ]

    return st.builds(jobs, st.integers(0, 10**9), st.integers(1, 25))


clients_or_none = st.sampled_from([None, None, 1, 3])


@settings(max_examples=80)
@given(
    jobs_of(3000),
    pressed_limits(),
    dyadic_models,
    clients_or_none,
)
def test_every_time_of_every_token_is_that_of_the_stepped_instance(
    jobs: list[Job], limits: EngineLimits, model: LinearModel, clients: int | None
) -> None:
    stepped = step_through(jobs, limits, model, clients)
    jumped = jump_through(jobs, limits, model, clients)
    assert [moments(row) for row in jumped.rows] == [moments(row) for row in stepped.rows]
    assert [row.preemptions for row in jumped.rows] == [row.preemptions for row in stepped.rows]
    assert [jumped.instance.token_times_ns(row).tolist() for row in jumped.rows] == stepped.times_ns
    assert jumped.instance.steps == stepped.steps


@settings(max_examples=30)
@given(jobs_of(10**9, unit_ns=1), pressed_limits(), clients_or_none)
def test_with_costs_that_round_times_are_equal_to_a_billionth_of_a_second(
    jobs: list[Job], limits: EngineLimits, clients: int | None
) -> None:
    stepped = step_through(jobs, limits, _ODD, clients)
    jumped = jump_through(jobs, limits, _ODD, clients)
    for fast, slow in zip(jumped.rows, stepped.rows, strict=True):
        assert moments(fast) == pytest.approx(moments(slow), rel=0, abs=1.0)
        assert jumped.instance.token_times_ns(fast) == pytest.approx(
            stepped.times_ns[slow.number], rel=0, abs=1.0
        )


@st.composite
def jobs_prefilled_elsewhere(draw: st.DrawFn) -> list[Job]:
    jobs = draw(jobs_of(3000))
    return [
        msgspec.structs.replace(job, ready_tokens=draw(st.integers(0, job.prompt_tokens - 1))) for job in jobs
    ]


@settings(max_examples=40)
@given(jobs_prefilled_elsewhere(), pressed_limits(), dyadic_models, st.sampled_from([None, 3]))
def test_prompts_that_were_computed_elsewhere_are_taken_in_as_by_steps(
    jobs: list[Job], limits: EngineLimits, model: LinearModel, clients: int | None
) -> None:
    assume(limits.scheduler == "chunked")
    stepped = step_through(jobs, limits, model, clients)
    jumped = jump_through(jobs, limits, model, clients)
    assert [moments(row) for row in jumped.rows] == [moments(row) for row in stepped.rows]
    assert [jumped.instance.token_times_ns(row).tolist() for row in jumped.rows] == stepped.times_ns
    assert jumped.instance.steps == stepped.steps


def named_jobs(seed: int) -> list[Job]:
    """Prompts of a few families, some with the names of their answers, which one other prompt may begin with."""
    draw = random.Random(seed)
    named = []
    for number in range(draw.randint(1, 25)):
        prompt, output = draw.randint(1, 30), draw.randint(1, 30)
        family, shared = draw.choice([None, 0, 1, 2]), draw.randint(0, 30)
        places = range(prompt + draw.choice([0, output]))
        own = draw.choice([number, number // 2]) + 100
        names = tuple(
            (family or 0) * 100 + place if place < shared else own * 100 + place for place in places
        )
        job = Job(
            prompt_tokens=prompt,
            output_tokens=output,
            arrival_ns=draw.randint(0, 400) * _TICK_NS,
            priority=draw.randint(0, 2),
            names=None if family is None else names,
        )
        named.append(job)
    return named


@settings(max_examples=100)
@given(st.integers(0, 10**6), pressed_limits(), dyadic_models, st.sampled_from([None, 3]))
@example(
    8,  # who gives way has named blocks, while others have taken the last that had none
    EngineLimits(
        max_num_seqs=12, max_num_batched_tokens=64, block_tokens=2, kv_blocks=31, max_model_len=60,
        order="priority", prefix_cache=True,
    ),
    LinearModel(Coefficients(weights_s=0.0, token_s=_TICK_S, step_s=_TICK_S)),
    None,
)  # fmt: skip
def test_a_prefix_cache_under_pressure_is_that_of_the_stepped_instance(
    seed: int, limits: EngineLimits, model: LinearModel, clients: int | None
) -> None:
    cached = msgspec.structs.replace(limits, prefix_cache=True)
    by_block = [
        msgspec.structs.replace(job, names=job.names[:: cached.block_tokens] if job.names else None)
        for job in named_jobs(seed)
    ]
    stepped = step_through(by_block, cached, model, clients)
    jumped = jump_through(by_block, cached, model, clients)
    assert [moments(row) for row in jumped.rows] == [moments(row) for row in stepped.rows]
    assert [row.cached for row in jumped.rows] == [row.cached for row in stepped.rows]
    assert [jumped.instance.token_times_ns(row).tolist() for row in jumped.rows] == stepped.times_ns


crowds = st.lists(
    st.builds(
        Job,
        prompt_tokens=st.integers(1, 6),
        output_tokens=st.integers(4, 14),
        arrival_ns=st.integers(0, 12).map(lambda ticks: ticks * _TICK_NS),
        priority=st.integers(0, 3),
    ),
    min_size=4,
    max_size=12,
)


@settings(max_examples=100)
@given(crowds, st.sampled_from(["chunked", "prefill-first"]), st.integers(1, 3), st.integers(0, 8))
def test_who_is_least_important_gives_way_wherever_it_stands(
    jobs: list[Job], scheduler: str, block_tokens: int, spare: int
) -> None:
    limits = EngineLimits(
        scheduler=scheduler,  # type: ignore[arg-type]
        order="priority",
        max_num_seqs=8,
        max_num_batched_tokens=64,
        block_tokens=block_tokens,
        kv_blocks=-(-20 // block_tokens) + spare,
        max_model_len=20,
    )
    model = LinearModel(Coefficients(weights_s=0.0, token_s=0.0, step_s=_TICK_S, kv_token_s=_TICK_S))
    stepped = step_through(jobs, limits, model, None)
    jumped = jump_through(jobs, limits, model, None)
    assert [moments(row) for row in jumped.rows] == [moments(row) for row in stepped.rows]
    assert [jumped.instance.token_times_ns(row).tolist() for row in jumped.rows] == stepped.times_ns


def test_arrivals_within_a_stretch_join_at_the_next_step() -> None:
    model = LinearModel(Coefficients(weights_s=0.0, token_s=0.0, step_s=_TICK_S))
    instance = FastInstance(EngineLimits(), model, timeline=True)
    long = instance.add(Job(prompt_tokens=10, output_tokens=1001))
    at_a_boundary = instance.add(Job(prompt_tokens=10, output_tokens=1, arrival_ns=500 * _TICK_NS))
    between_two = instance.add(Job(prompt_tokens=10, output_tokens=1, arrival_ns=600 * _TICK_NS + 1))
    while instance.run_until():
        pass
    assert at_a_boundary.scheduled_ns == 500 * _TICK_NS
    assert between_two.scheduled_ns == 601 * _TICK_NS
    assert long.last_token_ns == 1001 * _TICK_NS
    assert instance.token_times_ns(long).tolist() == [step * _TICK_NS for step in range(1, 1002)]


def test_a_run_in_pieces_is_the_run_in_one_and_tokens_so_far_are_known() -> None:
    jobs = [Job(prompt_tokens=20, output_tokens=30, arrival_ns=_TICK_NS * start) for start in (0, 7, 300)]
    limits = EngineLimits(block_tokens=4, kv_blocks=20, max_model_len=64, max_num_seqs=4)
    model = LinearModel(Coefficients(weights_s=_TICK_S, token_s=0.0, step_s=_TICK_S, kv_token_s=_TICK_S))
    whole = jump_through(jobs, limits, model, None)
    pieces = FastInstance(limits, model, timeline=True)
    rows = [pieces.add(job) for job in jobs]
    limit_ns = 0.0
    while pieces.next_ns() is not None:
        limit_ns += 50 * _TICK_NS
        pieces.run_until(limit_ns)
        ready = pieces.next_ns()
        assert ready is None or ready >= limit_ns or any(row.last_token_ns == pieces.now_ns for row in rows)
        given = pieces.token_times_ns(rows[0])
        assert np.array_equal(given, whole.instance.token_times_ns(whole.rows[0])[: len(given)])
    assert [moments(row) for row in rows] == [moments(row) for row in whole.rows]


@settings(max_examples=40)
@given(
    jobs_of(200),
    pressed_limits(),
    st.lists(st.tuples(st.integers(0, 24), st.integers(0, 4000)), max_size=6),
)
def test_cancelling_anywhere_frees_all_blocks_and_lets_the_rest_finish(
    jobs: list[Job], limits: EngineLimits, leavers: list[tuple[int, int]]
) -> None:
    model = LinearModel(Coefficients(weights_s=_TICK_S, token_s=0.0, step_s=_TICK_S))
    instance = FastInstance(limits, model)
    rows = [instance.add(job) for job in jobs]
    for place, at_tick in sorted(leavers, key=lambda leaver: leaver[1]):
        while instance.run_until(at_tick * _TICK_NS):
            pass
        instance.cancel(rows[place % len(rows)])
    while instance.run_until():
        pass
    assert instance.free_blocks == limits.kv_blocks
    assert all(row.finished != row.cancelled for row in rows)
    assert all(row.generated == row.job.output_tokens for row in rows if row.finished)


@settings(max_examples=30)
@given(jobs_of(10**8, unit_ns=1), some_limits, st.sampled_from([None, 1, 3]))
def test_simulate_answers_all_under_every_limit(
    jobs: list[Job], limits: EngineLimits, clients: int | None
) -> None:
    overheads = Overheads(arrival_s=0.25, reply_s=0.5)
    once = simulate(jobs, limits, MODEL, clients=clients, overheads=overheads)
    again = simulate(jobs, limits, MODEL, clients=clients, overheads=overheads)
    assert once.output_tokens.tolist() == [job.output_tokens for job in jobs]
    assert once.last_token_s.tolist() == again.last_token_s.tolist()
    assert (once.ttft_s > 0.75).all()
    assert (once.e2el_s >= once.ttft_s).all()
    assert np.isnan(once.tpot_s).tolist() == [job.output_tokens == 1 for job in jobs]
    if clients is not None:
        ended = np.sort(once.last_token_s)
        in_flight = [index - np.searchsorted(ended, at + 1e-9) for index, at in enumerate(once.arrival_s)]
        assert max(in_flight) < clients


def test_the_stepped_one_is_taken_where_jumps_are_not_possible() -> None:
    limits = EngineLimits(draft_tokens=1, acceptance=(1.0,))
    assert not can_jump(limits)
    with pytest.raises(UsageError, match="draft_tokens=1"):
        FastInstance(limits, MODEL)
    outcome = simulate([Job(prompt_tokens=4, output_tokens=9)], limits, MODEL)
    assert outcome.steps == 5  # the prompt's, then two tokens a step
    assert isinstance(make_instance(EngineLimits(), MODEL), FastInstance)


@pytest.mark.parametrize(("prompt", "output"), [(0, 1), (1, 0), (30000, 3000)])
def test_a_request_that_cannot_be_is_refused(prompt: int, output: int) -> None:
    with pytest.raises(UsageError, match=str(max(prompt, output))):
        simulate([Job(prompt_tokens=prompt, output_tokens=output)], EngineLimits(), MODEL)


def test_a_closed_loop_needs_a_client() -> None:
    with pytest.raises(UsageError, match="clients=0"):
        simulate([], EngineLimits(), MODEL, clients=0)


@given(
    st.integers(0, 10**6), st.integers(0, 10**4), st.integers(1, 500), st.integers(0, 500), st.integers(1, 300),
    st.integers(0, 10**9),
)  # fmt: skip
@example(0, 0, 1, 0, 10, 5)
def test_the_root_is_the_first_step_that_ends_then_or_later(
    fixed: int, slope: int, decodes: int, context: int, most: int, time: int
) -> None:
    stretch = Stretch(0.0, float(fixed), float(slope), decodes + context, decodes)
    found = stretch.steps_until(float(time), most)
    ends = [
        sum(fixed + slope * (decodes + context + decodes * j) for j in range(k)) for k in range(1, most + 1)
    ]
    assert ends == [stretch.end_ns(k) for k in range(1, most + 1)]
    assert found == next((k for k, end in enumerate(ends, 1) if end >= time), most)


@given(
    st.integers(1, 16),
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 99)), min_size=1),
    st.integers(0, 60),
    st.integers(0, 90),
    st.integers(1, 50),
)
def test_needs_of_blocks_are_those_counted_sequence_by_sequence(
    size: int, joined: list[tuple[int, int]], free: int, most: int, ahead: int
) -> None:
    needs, now = BlockNeeds(size), 40 + ahead
    for step, context in joined:
        needs.join(step, context)

    def counted(steps: int) -> int:
        grown = [context + now - step for step, context in joined]
        return sum(-(-(tokens + steps) // size) - -(-tokens // size) for tokens in grown)

    assert needs.at(now) == counted(1)
    assert needs.over(now, most) == counted(most)
    assert needs.steps_within(free, now, most) == max(k for k in range(most + 1) if counted(k) <= free)
    for step, context in joined:
        needs.leave(now, context + now - step)
    assert (needs.decodes, any(needs.by_slot)) == (0, False)

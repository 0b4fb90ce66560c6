"""Instances whose every step is checked against what the engine may never do."""

from __future__ import annotations

from hypothesis import strategies as st

from inferometer.simulator.instance.instance import Instance, Step
from inferometer.simulator.instance.limits import EngineLimits, Job
from inferometer.simulator.instance.sequence import Sequence
from inferometer.simulator.latency.model import Coefficients, LinearModel

COST = Coefficients(
    weights_s=2e-3,
    token_s=1e-5,
    step_s=1e-3,
    sequence_s=1e-5,
    kv_token_s=1e-7,
    attention_s=1e-9,
)
MODEL = LinearModel(COST)


def small(**changed: object) -> EngineLimits:
    """Limits under which a handful of requests is in each other's way."""
    given: dict[str, object] = {
        "max_num_seqs": 4,
        "max_num_batched_tokens": 16,
        "block_tokens": 4,
        "kv_blocks": 16,
        "max_model_len": 64,
    }
    return EngineLimits(**given | changed)  # type: ignore[arg-type]


def instance(limits: EngineLimits, *, seed: int = 0) -> Instance:
    """An instance under ``limits``."""
    return Instance(limits, MODEL, seed=seed)


def check(one: Instance, step: Step) -> None:
    """What holds after every step, whatever the scheduler."""
    limits, shape = one.limits, step.shape
    assert step.end_ns - step.begin_ns == round(step.step_s * 1e9) > 0
    assert 0 <= one.kv_blocks_used <= limits.kv_blocks
    assert one.num_running <= limits.max_num_seqs
    assert 0 < shape.sequences <= limits.max_num_seqs
    assert shape.decodes <= shape.sequences <= shape.tokens
    assert shape.prefill_tokens <= shape.tokens
    if limits.scheduler == "chunked":
        assert shape.tokens <= limits.max_num_batched_tokens
    elif step.admitted:
        assert shape.sequences == len(step.admitted)
    else:
        assert shape.prefill_tokens == 0
    assert not (limits.reserve_answer and step.preempted)
    for sequence in step.admitted:
        assert sequence.arrival_ns <= step.begin_ns
    for sequence in step.emitted:
        assert 1 <= sequence.made <= 1 + limits.draft_tokens
        assert sequence.generated <= sequence.output_tokens


def run(one: Instance, most: int = 10_000) -> list[Step]:
    """Step until nothing is left, and check every step."""
    steps: list[Step] = []
    for _ in range(most):
        at_ns = one.next_ns()
        if at_ns is None:
            return steps
        step = one.step(at_ns)
        if step is not None:
            check(one, step)
            assert not steps or step.begin_ns >= steps[-1].end_ns
            steps.append(step)
    raise AssertionError(f"{one.num_running} running and {one.num_waiting} waiting after {most} steps")


def tokens_of(steps: list[Step], sequence: Sequence) -> int:
    """Times at which ``sequence`` was given tokens."""
    return sum(sequence in step.emitted for step in steps)


def jobs(*lengths: tuple[int, int], arrival_ns: int = 0) -> list[Job]:
    """Requests of these prompt and output tokens."""
    return [
        Job(prompt_tokens=prompt, output_tokens=output, arrival_ns=arrival_ns) for prompt, output in lengths
    ]


def _named(prompt: int, output: int, arrival_ms: int, priority: int, family: int) -> Job:
    names = tuple(family * 100 + place for place in range(prompt // 4))
    return Job(
        prompt_tokens=prompt,
        output_tokens=output,
        arrival_ns=arrival_ms * 1_000_000,
        priority=priority,
        names=names,
    )


#: Requests that fit into ``small()``: arrivals within the run, three priorities, prompts of three families.
some_jobs = st.lists(
    st.builds(
        _named,
        st.integers(1, 40),
        st.integers(1, 24),
        st.integers(0, 60),
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=12,
)

#: Every scheduler with every habit that it may have.
some_limits = st.one_of(
    st.builds(
        lambda order, cache, reserve, longest, drafts: small(
            order=order,
            prefix_cache=cache,
            reserve_full_prompt=reserve,
            long_prefill_token_threshold=longest,
            draft_tokens=drafts,
            acceptance=(0.7, 0.4)[:drafts],
        ),
        st.sampled_from(["fcfs", "priority", "shortest"]),
        st.booleans(),
        st.booleans(),
        st.sampled_from([0, 5]),
        st.integers(0, 2),
    ),
    st.builds(
        lambda order, cache, most, delay, select, preempt: small(
            scheduler="prefill-first",
            order=order,
            prefix_cache=cache,
            max_prefill_seqs=most,
            prefill_delay_s=delay,
            select_batch=select,
            max_preempt=preempt,
        ),
        st.sampled_from(["fcfs", "priority", "shortest"]),
        st.booleans(),
        st.sampled_from([None, 1, 2]),
        st.sampled_from([0.0, 0.02]),
        st.booleans(),
        st.sampled_from([None, 1]),
    ),
    st.builds(
        lambda order, cache, split, drafts: small(
            order=order,
            prefix_cache=cache,
            max_num_batched_tokens=16 if split else 64,
            split_prompts=split,
            reserve_answer=True,
            draft_tokens=drafts,
            acceptance=(0.7, 0.4)[:drafts],
        ),
        st.sampled_from(["fcfs", "priority", "shortest"]),
        st.booleans(),
        st.booleans(),
        st.integers(0, 2),
    ),
    st.builds(lambda order: small(scheduler="static", order=order), st.sampled_from(["fcfs", "shortest"])),
)

"""The engine in virtual time: nothing is lost, nothing is over the limits, one request takes what the model says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.errors import UsageError
from inferometer.simulator import SimSettings
from inferometer.simulator.engine import Engine, Sequence

SMALL = SimSettings(
    max_num_seqs=4,
    max_num_batched_tokens=16,
    block_size=4,
    num_blocks=16,
    max_model_len=64,
    answer_tokens_median=5,
)


def run(engine: Engine, tokens: dict[Sequence, int], now_s: float = 0.0) -> int:
    """Step until nothing is left; returns the number of preemptions."""
    preemptions = 0
    while (result := engine.step(now_s)) is not None:
        assert result.sequences <= SMALL.max_num_seqs
        assert 0 < result.scheduled_tokens <= SMALL.max_num_batched_tokens
        assert 0 <= engine.kv_blocks_used <= SMALL.num_blocks
        assert len(set(map(id, result.emitted))) == len(result.emitted)
        for sequence in result.emitted:
            tokens[sequence] = tokens.get(sequence, 0) + 1
        preemptions += len(result.preempted)
        now_s += result.duration_s
    return preemptions


lengths = st.tuples(st.integers(1, 40), st.integers(1, 24))


@settings(max_examples=60, deadline=None)
@given(st.lists(lengths, min_size=1, max_size=14))
def test_every_request_finishes_with_exactly_its_tokens(requests: list[tuple[int, int]]) -> None:
    engine, tokens = Engine(SMALL), {}
    sequences = [engine.add(prompt, output, 0.0) for prompt, output in requests]
    run(engine, tokens)
    assert [tokens[sequence] for sequence in sequences] == [output for _, output in requests]
    assert (engine.num_running, engine.num_waiting, engine.kv_blocks_used) == (0, 0, 0)


def test_scarce_blocks_preempt_the_last_and_lose_no_token() -> None:
    engine, tokens = Engine(SMALL), {}
    sequences = [engine.add(14, 24, 0.0) for _ in range(4)]
    assert run(engine, tokens) > 0
    assert [tokens[sequence] for sequence in sequences] == [24] * 4
    assert next(iter(tokens)) is sequences[0]


def test_the_same_calls_give_the_same_steps() -> None:
    def story() -> list[tuple[float, int, int]]:
        engine = Engine(SMALL)
        for at in range(9):
            engine.add(5 + at * 3, 4 + at, 0.0)
        steps = iter(lambda: engine.step(0.0), None)
        return [(step.duration_s, step.scheduled_tokens, step.kv_tokens) for step in steps]

    assert story() == story()


def test_one_request_takes_the_closed_form() -> None:
    cost = SimSettings()
    engine = Engine(cost)
    engine.add(1000, 50, 0.0)
    gaps = [step.duration_s for step in iter(lambda: engine.step(0.0), None)]
    assert len(gaps) == 50
    assert gaps[0] == pytest.approx(cost.base_s + 1000 * cost.per_token_s + cost.per_seq_s)
    one = cost.base_s + cost.per_token_s + cost.per_seq_s
    assert gaps[1:] == pytest.approx([one + cost.per_kv_token_s * (1000 + made) for made in range(49)])


def test_a_long_prompt_is_computed_in_chunks_while_decode_goes_on() -> None:
    cost = SimSettings(max_num_batched_tokens=512)
    engine = Engine(cost)
    short = engine.add(10, 20, 0.0)
    engine.step(0.0)
    long = engine.add(1200, 2, 0.0)
    steps = [engine.step(0.0) for _ in range(3)]
    assert [step.scheduled_tokens for step in steps] == [512, 512, 1 + 1200 - 2 * 511]
    assert [step.emitted for step in steps] == [[short], [short], [short, long]]
    assert [step.kv_tokens for step in steps] == [10, 11 + 511, 12 + 1022]


def test_the_defaults_make_the_promised_speeds() -> None:
    engine = Engine(SimSettings())
    engine.add(1000, 500, 0.0)
    engine.step(0.0)
    assert engine.step(0.0).duration_s == pytest.approx(0.005, rel=0.02)
    for _ in range(31):
        engine.add(1000, 500, 0.0)
    while engine.num_waiting:
        engine.step(0.0)
    engine.step(0.0)
    assert engine.step(0.0).duration_s < 0.008
    prefill = Engine(SimSettings())
    prefill.add(20_000, 1, 0.0)
    seconds = sum(step.duration_s for step in iter(lambda: prefill.step(0.0), None))
    assert 20_000 / seconds == pytest.approx(20_000, rel=0.1)


def test_a_request_is_untouched_before_it_arrives() -> None:
    engine = Engine(SimSettings())
    engine.add(10, 1, 5.0)
    assert engine.step(4.9) is None
    assert engine.step(5.0) is not None


def test_cancelling_frees_blocks_wherever_the_sequence_is() -> None:
    engine = Engine(SMALL)
    first, second = engine.add(16, 4, 0.0), engine.add(16, 4, 0.0)
    engine.step(0.0)
    assert (engine.num_running, engine.num_waiting) == (1, 1)
    assert engine.cancel(first)
    assert engine.cancel(second)
    assert not engine.cancel(first)
    assert (engine.num_running, engine.num_waiting, engine.kv_blocks_used) == (0, 0, 0)


@pytest.mark.parametrize(("prompt", "output"), [(60, 5), (0, 1), (1, 0)])
def test_what_can_never_run_is_refused(prompt: int, output: int) -> None:
    with pytest.raises(UsageError, match=f"{prompt} prompt"):
        Engine(SMALL).add(prompt, output, 0.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [("per_token_s", -1.0), ("per_seq_s", float("nan")), ("base_s", 0.0), ("max_num_seqs", 0), ("num_blocks", 3),
     ("max_num_batched_tokens", 100), ("base_s", float("inf"))],
)  # fmt: skip
def test_settings_out_of_range_are_named(field: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{field}={value}"):
        SimSettings(**{field: value})

"""Sessions of random prompts, their think times, and models drawn by weight."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

import pytest

from inferometer.spec import Endpoint, Load, Prefix, RunSpec, Workload, load_points
from inferometer.spec import Sessions as SessionsPart
from inferometer.testing.datasets import check_dataset
from inferometer.workload import Request, load_tokenizer, open_dataset

TOKENIZER = load_tokenizer("builtin")


def made(number: int, **parts: Any) -> list[Request]:
    spec = RunSpec(
        endpoint=Endpoint(url="http://127.0.0.1:1"), load=Load(max_concurrency=(1,), seed=3), **parts
    )
    (point,) = load_points(spec)
    return list(islice(open_dataset(spec, point, TOKENIZER).requests(point.seed, "salt"), number))


def sessions(**fields: Any) -> dict[str, Any]:
    part = SessionsPart(**{"turns": 3, "turn_input_len": 8, **fields})
    return {"workload": Workload(input_len=(32,), output_len=(5,)), "sessions": part}


def test_random_sessions_have_turns_of_their_exact_length() -> None:
    for request in made(3, **sessions()):
        assert TOKENIZER.count(str(request.text)) == 32
        assert [TOKENIZER.count(str(turn.content)) for turn in request.later] == [8, 8]
        assert {turn.input_tokens_target for turn in request.later} == {8}
        assert {turn.output_tokens_target for turn in request.later} == {5}


def test_later_turns_are_as_long_as_the_first_unless_told() -> None:
    (request,) = made(1, **sessions(turn_input_len=0))
    assert [TOKENIZER.count(str(turn.content)) for turn in request.later] == [32, 32]


def test_lengths_are_drawn_for_each_turn_and_answers_for_each_session() -> None:
    requests = made(20, workload=Workload(lengths="N(40,8)/(9,2)"), sessions=SessionsPart(turns=2))
    assert len({request.input_tokens_target for request in requests}) > 3
    assert len({TOKENIZER.count(str(request.later[0].content)) for request in requests}) > 3
    assert len({request.output_tokens_target for request in requests}) > 3
    assert all(r.later[0].output_tokens_target == r.output_tokens_target for r in requests)


def test_shared_prefixes_are_those_of_first_turns() -> None:
    parts = sessions(turn_input_len=0)
    first, second = made(2, **parts, prefix=Prefix(prefix_len=16))
    assert str(first.text).split()[:8] == str(second.text).split()[:8]
    assert str(first.later[0].content).split()[:8] != str(second.later[0].content).split()[:8]


@pytest.mark.parametrize("parts", [{}, {"model_mix": ("a=1", "b=2")}])
def test_wrapped_data_sets_keep_the_contract(parts: dict[str, Any]) -> None:
    spec = RunSpec(
        endpoint=Endpoint(url="http://127.0.0.1:1"),
        load=Load(max_concurrency=(1,)),
        workload=Workload(input_len=(32,), **parts),
        sessions=SessionsPart(turns=3, think_time="exp:1s"),
    )
    check_dataset(lambda: open_dataset(spec, load_points(spec)[0], TOKENIZER))


def test_no_two_turns_say_the_same() -> None:
    said = [str(t.content) for request in made(20, **sessions()) for t in request.later]
    assert len(set(said)) == 40


@pytest.mark.parametrize(
    ("written", "low", "high"), [("2s", 2.0, 2.0), ("exp:2s", 0.0, 60.0), ("uniform:1s,3s", 1.0, 3.0)]
)
def test_think_times_follow_from_the_seed_and_change_nothing_else(
    written: str, low: float, high: float
) -> None:
    first, again = (made(100, **sessions(think_time=written)) for _ in range(2))
    assert first == again
    thought = [turn.think_s for request in first for turn in request.later]
    assert low <= min(thought) <= max(thought) <= high
    assert 1.5 < sum(thought) / len(thought) < 2.5
    plain = made(100, **sessions())
    assert [r.text for r in plain] == [r.text for r in first]
    assert {turn.think_s for r in plain for turn in r.later} == {0.0}


def test_a_mix_draws_models_by_weight_and_changes_nothing_else() -> None:
    plain = made(400, workload=Workload(input_len=(8,)))
    mixed = made(400, workload=Workload(input_len=(8,), model_mix=("base=3", "lora-a=1")))
    drawn = Counter(request.model for request in mixed)
    assert set(drawn) == {"base", "lora-a"}
    assert 250 < drawn["base"] < 350
    assert [r.text for r in mixed] == [r.text for r in plain]
    assert mixed == made(400, workload=Workload(input_len=(8,), model_mix=("base=3", "lora-a=1")))

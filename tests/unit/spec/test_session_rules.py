"""What sessions and model mixes accept, and what contradicts itself."""

from __future__ import annotations

from typing import Any

import pytest

from inferometer.errors import UsageError
from inferometer.spec import Endpoint, Load, RunSpec, Sessions, Workload, check_spec, load_points, load_title
from inferometer.spec.session_rules import ThinkTime, model_weights, parse_think_time


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("0s", ThinkTime("fixed", 0.0, 0.0)),
        ("250ms", ThinkTime("fixed", 0.25, 0.25)),
        ("exp:2s", ThinkTime("exp", 2.0, 2.0)),
        ("uniform:1s,3s", ThinkTime("uniform", 1.0, 3.0)),
        (" Uniform:1, 3s", ThinkTime("uniform", 1.0, 3.0)),
    ],
)
def test_think_times(text: str, meant: ThinkTime) -> None:
    assert parse_think_time(text) == meant


@pytest.mark.parametrize(
    "text", ["", "soon", "exp:", "uniform:3s,1s", "uniform:2s", "1s,2s", "normal:2s", "-1s"]
)
def test_other_think_times_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--think-time"):
        check(sessions=Sessions(turns=2, think_time=text))


@pytest.mark.parametrize(
    ("mix", "weights"),
    [
        (("base=3", "lora-a=1"), {"base": 3.0, "lora-a": 1.0}),
        (("base=3 lora-a=0.5",), {"base": 3.0, "lora-a": 0.5}),
        (("a,b",), {"a": 1.0, "b": 1.0}),
        (("org/m=v2=2",), {"org/m=v2": 2.0}),
        ((), {}),
    ],
)
def test_model_mixes(mix: tuple[str, ...], weights: dict[str, float]) -> None:
    assert model_weights(mix) == weights


def check(url: str = "http://127.0.0.1:1", **parts: Any) -> None:
    check_spec(RunSpec(**{"endpoint": Endpoint(url=url), **parts}))


@pytest.mark.parametrize("mix", ["a=0", "a=-1", "a=x", "=2", "a=1 a=2", "a=inf", " "])
def test_other_model_mixes_are_refused(mix: str) -> None:
    with pytest.raises(UsageError, match="--model-mix"):
        check(workload=Workload(model_mix=(mix,)))


FILE = {"dataset": "openqa", "dataset_path": __file__}
TALKS = Workload(dataset="custom", dataset_path=__file__)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"sessions": Sessions(multi_turn=True)}, "does not say how many turns"),
        ({"sessions": Sessions(think_time="2s")}, "--think-time is for sessions"),
        ({"sessions": Sessions(turn_input_len=4)}, "--turn-input-len is for sessions"),
        ({"sessions": Sessions(history="dataset")}, "--history is for sessions"),
        ({"sessions": Sessions(turns=2, history="dataset")}, "--dataset random has none"),
        ({"sessions": Sessions(turns=2), "workload": Workload(**FILE)}, "add --multi-turn"),
        ({"sessions": Sessions(multi_turn=True), "workload": Workload(**FILE)}, "one prompt a row"),
        ({"sessions": Sessions(multi_turn=True, turn_input_len=4), "workload": TALKS}, "have their own lengths"),
        (
            {"sessions": Sessions(multi_turn=True), "workload": Workload(dataset="mooncake", dataset_path=__file__)},
            "replays each request at its recorded time",
        ),
        ({"sessions": Sessions(turns=2), "url": "http://127.0.0.1:1/v1/completions"}, "need chat messages"),
        ({"sessions": Sessions(turns=2), "workload": Workload(text="token-ids")}, "--text token-ids"),
        (
            {"endpoint": Endpoint(url="http://a:1", model="x"), "workload": Workload(model_mix=("a=1",))},
            "--model x is not one of --model-mix",
        ),
        (
            {
                "endpoint": Endpoint(url="http://a:1", served_model_name="x"),
                "workload": Workload(model_mix=("a=1",)),
            },
            "--served-model-name gives one name",
        ),
    ],
)  # fmt: skip
def test_contradictions_are_refused(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check(**parts)


def test_sessions_that_can_be_sent_are_accepted() -> None:
    check(sessions=Sessions(turns=3, turn_input_len=64, think_time="exp:1s"))
    check(
        sessions=Sessions(multi_turn=True, turns=4, think_time="2s", history="dataset"),
        workload=Workload(dataset="sharegpt", dataset_path=__file__),
    )
    check(workload=Workload(model_mix=("a=1", "b=2")), endpoint=Endpoint(url="http://a:1", model="b"))


def test_a_load_point_of_sessions_says_so() -> None:
    spec = RunSpec(
        endpoint=Endpoint(url="http://a:1"),
        sessions=Sessions(turns=2),
        load=Load(request_rate=(2.0,), max_concurrency=(8,)),
    )
    (point,) = load_points(spec)
    assert load_title(point.to_dict()) == "rate 2 sessions/s, at most 8"

"""The spec of a stored run is taken up again; what differs is named, and no secret is looked for in it."""

from __future__ import annotations

import json

import pytest

from inferometer.errors import RunFolderError, UsageError
from inferometer.spec import (
    Endpoint,
    Load,
    Measure,
    Output,
    RunSpec,
    Sampling,
    Sweep,
    Workload,
    merge,
    public_dict,
)
from inferometer.spec.layers import Layer
from inferometer.spec.stored import check_secrets, differences, stored_layer

SPEC = RunSpec(
    endpoint=Endpoint(url="http://h:8000"),
    load=Load(request_rate=(1, 2, float("inf")), num_prompts=(10,), seed=3),
    sampling=Sampling(temperature=0.5, extra_body={"top_k": 3}),
    measure=Measure(slo=("ttft:200",)),
)


def as_stored(spec: RunSpec) -> dict[str, dict[str, object]]:
    return json.loads(json.dumps(public_dict(spec)))


def test_what_was_asked_for_comes_back_and_gives_way_to_what_is_asked_now() -> None:
    layer = stored_layer(as_stored(SPEC), "20260101-m")
    assert merge([layer]).spec == SPEC
    merged = merge([Layer({"load.seed": 4}, {"load.seed": "flag --seed"}), layer])
    assert (merged.spec.load.seed, merged.spec.load.request_rate) == (4, SPEC.load.request_rate)
    assert merged.origins["load.seed"] == "flag --seed"
    assert merged.origins["sampling.temperature"] == "run 20260101-m"
    assert merged.origins["sampling.top_p"] == "default"


def test_a_value_that_this_version_does_not_know_is_not_passed_over() -> None:
    spec = as_stored(SPEC)
    spec["load"]["phase_of_moon"] = "full"
    with pytest.raises(RunFolderError, match=r"load\.phase_of_moon"):
        stored_layer(spec, "r")


def test_a_concurrency_that_was_the_load_does_not_become_a_cap_on_rates() -> None:
    closed = as_stored(RunSpec(load=Load(max_concurrency=(1, 2), warmup=3)))
    assert stored_layer(closed, "r", {"load.request_rate"}).values == {"load.warmup": 3}
    assert stored_layer(closed, "r", {"load.num_prompts"}).values["load.max_concurrency"] == [1, 2]
    capped = as_stored(RunSpec(load=Load(max_concurrency=(64,), request_rate=(1, 2))))
    assert stored_layer(capped, "r", {"load.request_rate"}).values["load.max_concurrency"] == [64]


def test_lists_judgement_and_credentials_may_be_others() -> None:
    now = RunSpec(
        endpoint=Endpoint(url="http://h:8000", api_key="k", insecure=True),
        load=Load(
            max_concurrency=(4,), num_prompts=(99,), duration_s=9.0, workers=2, warmup=0, pair="grid", seed=3
        ),
        workload=Workload(input_len=(7,), output_len=(8,)),
        sweep=Sweep(repeat=3),
        sampling=SPEC.sampling,
        measure=Measure(percentiles=(50,)),
        output=Output(label=("x",), out="elsewhere"),
    )
    assert differences(as_stored(SPEC), now) == []


def test_everything_else_is_named_with_both_values() -> None:
    now = RunSpec(
        endpoint=Endpoint(url="http://h:9000", read_timeout_s=5.0),
        load=Load(seed=4),
        workload=Workload(dataset="openqa", dataset_path="q.jsonl"),
        sampling=Sampling(extra_body={"top_k": 3}),
        sweep=Sweep(same_prompts=True),
    )
    assert set(differences(as_stored(SPEC), now)) == {
        "--url: http://h:8000 -> http://h:9000",
        "--read-timeout: 600.0 -> 5.0",
        "--seed: 3 -> 4",
        "--dataset: random -> openqa",
        "--dataset-path: none -> q.jsonl",
        "--temperature: 0.5 -> none",
        "--same-prompts: false -> true",
    }


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"api_key": "planted"}, "--api-key"),
        ({"app_code": "planted"}, "--app-code"),
        ({"header": ("X-Team: planted", "Authorization: Bearer planted")}, "authorization, x-team"),
        ({"proxy": "http://me:planted@p:3128"}, "--proxy"),
    ],
)
def test_secrets_are_not_stored_and_have_to_be_given_again(given: dict[str, object], named: str) -> None:
    spec = RunSpec(endpoint=Endpoint(url="http://h", **given))
    stored = as_stored(spec)
    assert "planted" not in json.dumps(stored)
    again = merge([stored_layer(stored, "r")]).spec
    with pytest.raises(UsageError) as refused:
        check_secrets(stored, again)
    assert named in refused.value.message
    assert refused.value.next_step.startswith("give ")
    check_secrets(stored, spec)


def test_a_key_may_come_in_another_way() -> None:
    stored = as_stored(RunSpec(endpoint=Endpoint(url="http://h", api_key="a")))
    check_secrets(stored, RunSpec(endpoint=Endpoint(url="http://h", header=("Authorization: Bearer a",))))
    check_secrets(stored, RunSpec(endpoint=Endpoint(url="http://h", api_key_file="key.txt")))

"""A trace is a load of its own, unless another load is asked for."""

import pytest

from inferometer.errors import UsageError
from inferometer.spec import (
    Endpoint,
    Load,
    RunSpec,
    Sampling,
    Sessions,
    Trace,
    Workload,
    check_spec,
    load_points,
    load_title,
    resolve_ignore_eos,
    warmup_point,
)
from inferometer.spec.fields import window_s


def spec(tmp_path, dataset="mooncake", load=None, oversampled=False, **parts):
    path = tmp_path / "t.jsonl"
    path.write_text("{}\n")
    return RunSpec(
        endpoint=Endpoint(url="http://h:8000"),
        load=Load(**(load or {})),
        workload=Workload(dataset=dataset, dataset_path=str(path), oversample=oversampled),
        **parts,
    )


@pytest.mark.parametrize("dataset", ["mooncake", "bailian", "burstgpt", "azure", "trace"])
def test_a_trace_alone_is_one_load_point_with_its_own_arrivals(tmp_path, dataset):
    (point,) = load_points(spec(tmp_path, dataset, trace=Trace(trace_speed=20)))
    assert point.trace
    assert not point.closed
    assert (point.request_rate, point.max_concurrency, point.num_prompts) == (None, None, None)
    assert load_title(point.to_dict()) == "trace x20"


def test_a_trace_with_another_load_gives_lengths_and_order_alone(tmp_path):
    points = load_points(spec(tmp_path, load={"request_rate": [2, 4], "num_prompts": 10}))
    assert [(p.trace, p.request_rate, p.num_prompts) for p in points] == [(False, 2, 10), (False, 4, 10)]
    assert [load_title(p.to_dict()) for p in points] == ["rate 2 req/s", "rate 4 req/s"]


def test_a_time_limit_and_a_number_of_requests_cut_the_trace(tmp_path):
    (point,) = load_points(spec(tmp_path, load={"num_prompts": 7, "duration_s": 60}))
    assert (point.trace, point.num_prompts, point.duration_s) == (True, 7, 60)


def test_the_warm_up_of_a_trace_is_a_closed_loop(tmp_path):
    asked = spec(tmp_path)
    warmup = warmup_point(asked, load_points(asked)[0])
    assert warmup is not None
    assert (warmup.trace, warmup.max_concurrency, warmup.num_prompts) == (False, 4, 4)


def test_answers_of_a_trace_have_their_recorded_length_unless_told_otherwise(tmp_path):
    assert resolve_ignore_eos(spec(tmp_path))
    assert not resolve_ignore_eos(spec(tmp_path, sampling=Sampling(ignore_eos=False)))


@pytest.mark.parametrize(
    ("load", "parts", "words"),
    [
        (
            {"request_rate": 4},
            {"trace": Trace(trace_speed=2)},
            "--trace-speed scales the recorded arrivals, but --req",
        ),
        ({"max_concurrency": 4}, {"trace": Trace(trace_speed=2)}, "but --max-concurrency sets others"),
        ({"num_prompts": [1, 2]}, {}, "several load points, and a trace has one load"),
        ({}, {"trace": Trace(trace_window="10m")}, "a window is written FROM-TO"),
        ({}, {"trace": Trace(trace_window="10m-5m")}, "a window has to end after it begins"),
        ({}, {"trace": Trace(trace_window="x-5m")}, "a duration is written"),
        ({}, {"oversampled": True}, "--oversample uses rows again"),
        ({"burstiness": 2}, {}, "--burstiness 2 shapes the gaps"),
        ({}, {"sessions": Sessions(multi_turn=True)}, "mooncake"),
    ],
)
def test_contradictions_are_refused(tmp_path, load, parts, words):
    with pytest.raises(UsageError) as error:
        check_spec(spec(tmp_path, load=load, **parts))
    assert words in error.value.message
    assert error.value.next_step


def test_options_of_traces_need_a_trace():
    asked = RunSpec(endpoint=Endpoint(url="http://h:1"), trace=Trace(trace_loop=2))
    with pytest.raises(UsageError, match="--trace-loop is for the replay of a trace"):
        check_spec(asked)


def test_windows():
    assert window_s("10m-15m") == (600, 900)
    assert window_s(" 0 - 1.5h ") == (0, 5400)
    assert window_s("30s-") == (30, float("inf"))

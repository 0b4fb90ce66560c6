import math

import pytest

from inferometer.errors import UsageError
from inferometer.spec import (
    Endpoint,
    Load,
    RunSpec,
    Sampling,
    Workload,
    derive_seed,
    load_points,
    warmup_point,
)


def spec(load=None, **parts):
    return RunSpec(endpoint=Endpoint(url="http://h:8000"), load=Load(**(load or {})), **parts)


def column(points, *names):
    return [tuple(getattr(point, name) for name in names) for point in points]


def test_nothing_asked_is_a_sweep_of_the_closed_loop():
    points = load_points(spec())
    assert column(points, "index", "max_concurrency", "num_prompts") == [
        (1, 1, 20),
        (2, 4, 20),
        (3, 16, 64),
        (4, 64, 256),
    ]
    assert all(p.closed and p.kind == "measure" and (p.input_len, p.output_len) == (512, 128) for p in points)


def test_zip_pairs_lists_and_repeats_single_values():
    points = load_points(spec({"max_concurrency": [1, 10, 50], "num_prompts": [10, 100, 500]}))
    assert column(points, "max_concurrency", "num_prompts", "input_len") == [
        (1, 10, 512),
        (10, 100, 512),
        (50, 500, 512),
    ]


def test_zip_of_unequal_lists_names_them_and_the_way_out():
    with pytest.raises(UsageError) as error:
        load_points(spec({"max_concurrency": [1, 2, 3], "num_prompts": [10, 20]}))
    assert "--max-concurrency has 3" in error.value.message
    assert "--num-prompts has 2" in error.value.message
    assert "--pair grid" in error.value.next_step


def test_grid_crosses_lists_but_counts_stay_with_their_load():
    points = load_points(
        spec(
            {"max_concurrency": [1, 8], "num_prompts": [10, 80], "pair": "grid"},
            workload=Workload(input_len=[256, 1024]),
        )
    )
    assert column(points, "input_len", "max_concurrency", "num_prompts") == [
        (256, 1, 10),
        (256, 8, 80),
        (1024, 1, 10),
        (1024, 8, 80),
    ]


def test_grid_crosses_counts_of_another_length():
    points = load_points(spec({"request_rate": [1, 2], "num_prompts": [5, 6, 7], "pair": "grid"}))
    assert column(points, "request_rate", "num_prompts") == [(1, 5), (1, 6), (1, 7), (2, 5), (2, 6), (2, 7)]


def test_kinds_of_load():
    capped = load_points(spec({"request_rate": 4, "max_concurrency": 8, "burstiness": 0.5}))[0]
    assert (capped.closed, capped.request_rate, capped.max_concurrency, capped.burstiness) == (
        False,
        4,
        8,
        0.5,
    )
    closed = load_points(spec({"request_rate": "inf", "max_concurrency": 8}))[0]
    assert (closed.closed, closed.request_rate, closed.num_prompts) == (True, None, 32)
    at_once = load_points(spec({"request_rate": "inf"}))[0]
    assert (at_once.closed, at_once.request_rate, at_once.num_prompts) == (False, math.inf, 1000)
    assert at_once.to_dict()["request_rate"] == "inf"


@pytest.mark.parametrize(("rate", "count"), [(0.01, 100), (1.7, 102), (1.71, 103), (20, 1200)])
def test_an_open_loop_lasts_a_minute_or_a_hundred_requests(rate, count):
    assert load_points(spec({"request_rate": rate}))[0].num_prompts == count


def test_a_time_limit_leaves_the_count_open():
    point = load_points(spec({"max_concurrency": 2, "duration_s": "5m"}))[0]
    assert (point.num_prompts, point.duration_s) == (None, 300)


def test_lengths_belong_to_random_data(tmp_path):
    file = tmp_path / "q.jsonl"
    file.touch()
    own = load_points(
        spec({"max_concurrency": 1}, workload=Workload(dataset="openqa", dataset_path=str(file)))
    )[0]
    assert (own.input_len, own.output_len) == (None, None)
    capped = load_points(spec({"max_concurrency": 1}, sampling=Sampling(max_tokens=7)))[0]
    assert capped.output_len == 7


def test_the_warm_up_is_first_closed_small_and_sends_other_prompts():
    asked = spec({"request_rate": 4, "warmup": 10, "seed": 3})
    first = load_points(asked)[0]
    warmup = warmup_point(asked, first)
    assert warmup is not None
    assert (warmup.index, warmup.kind, warmup.closed, warmup.max_concurrency, warmup.num_prompts) == (
        0,
        "warmup",
        True,
        4,
        10,
    )
    assert warmup.seed != first.seed == 3
    assert warmup_point(spec({"warmup": 0}), first) is None


def test_seeds_of_concerns_differ_and_stay():
    assert derive_seed(0, "workload") == derive_seed(0, "workload")
    assert len({derive_seed(seed, concern) for seed in (0, 1) for concern in ("workload", "schedule")}) == 4

"""How lists become load points: pairs, epochs, rounds, order and warm-ups."""

import pytest

from inferometer.errors import UsageError
from inferometer.spec import Endpoint, Load, RunSpec, Sweep, Workload, load_points, with_warmups
from inferometer.spec.presets import PRESETS, preset_layer


def spec(load=None, **parts):
    return RunSpec(endpoint=Endpoint(url="http://h:8000"), load=Load(**(load or {})), **parts)


def column(points, *names):
    return [tuple(getattr(point, name) for name in names) for point in points]


def refused(asked):
    with pytest.raises(UsageError) as error:
        load_points(asked)
    return f"{error.value.message}; {error.value.next_step}"


def test_a_matrix_crosses_loads_with_pairs_of_lengths_and_epochs_count_requests():
    asked = spec(
        {"max_concurrency": [1, 8], "pair": "matrix"},
        workload=Workload(input_len=[1024, 2048], output_len=[128, 256]),
        sweep=Sweep(epochs=10),
    )
    assert column(load_points(asked), "input_len", "output_len", "max_concurrency", "num_prompts") == [
        (1024, 128, 1, 10),
        (1024, 128, 8, 80),
        (2048, 256, 1, 10),
        (2048, 256, 8, 80),
    ]


def test_a_matrix_keeps_request_counts_with_their_rates():
    asked = spec(
        {"request_rate": [0.01, 4, "inf"], "num_prompts": [10, 100, 1000], "pair": "matrix"},
        workload=Workload(input_len=[64, 256], output_len=[16]),
    )
    points = load_points(asked)
    assert [p.to_dict()["request_rate"] for p in points] == [0.01, 4, "inf"] * 2
    assert column(points, "input_len", "num_prompts") == [(i, n) for i in (64, 256) for n in (10, 100, 1000)]


def test_lengths_of_a_matrix_have_to_pair_up():
    asked = spec({"pair": "matrix"}, workload=Workload(input_len=[1, 2, 3], output_len=[1, 2]))
    assert "--input-len has 3, --output-len has 2" in refused(asked)


def test_burstiness_is_a_list_too():
    points = load_points(spec({"request_rate": 4, "burstiness": [0.5, 1, "inf"]}))
    assert [point.burstiness for point in points] == [0.5, 1.0, float("inf")]


def test_epochs_need_a_concurrency_and_no_other_count():
    assert "both set the number of requests" in refused(spec({"num_prompts": 5}, sweep=Sweep(epochs=2)))
    assert "no --max-concurrency is given" in refused(spec({"request_rate": 5}, sweep=Sweep(epochs=2)))


def test_rounds_draw_anew_and_rounds_of_the_same_prompts_do_not():
    points = load_points(spec({"max_concurrency": [1, 4], "seed": 7}, sweep=Sweep(repeat=3)))
    assert column(points, "index", "repeat", "max_concurrency") == [
        (1, 1, 1), (2, 1, 4), (3, 2, 1), (4, 2, 4), (5, 3, 1), (6, 3, 4)
    ]  # fmt: skip
    seeds = [point.seed for point in points]
    assert seeds[:2] == [7, 7], "within a round only the load differs"
    assert len(set(seeds)) == 3
    assert len({point.identity for point in points}) == 6
    same = load_points(spec({"max_concurrency": 1, "seed": 7}, sweep=Sweep(repeat=3, same_prompts=True)))
    assert [point.seed for point in same] == [7, 7, 7]


def test_order_is_reversed_or_shuffled_anew_each_round_by_seed():
    def order(**sweep):
        points = load_points(spec({"max_concurrency": list(range(1, 9))}, sweep=Sweep(**sweep)))
        assert [point.index for point in points] == list(range(1, len(points) + 1))
        return [point.max_concurrency for point in points]

    given = list(range(1, 9))
    assert order(order="reversed") == given[::-1]
    shuffled = order(order="shuffled", repeat=2)
    first, second = shuffled[:8], shuffled[8:]
    assert sorted(first) == sorted(second) == given
    assert len({tuple(given), tuple(first), tuple(second)}) == 3
    assert order(order="shuffled", repeat=2) == shuffled


def test_a_warm_up_before_each_point_has_a_number_of_its_own():
    asked = spec({"max_concurrency": [2, 8]}, sweep=Sweep(warmup_each=True))
    everything = with_warmups(asked, load_points(asked))
    assert column(everything, "index", "kind", "max_concurrency") == [
        (-1, "warmup", 2), (1, "measure", 2), (-2, "warmup", 4), (2, "measure", 8)
    ]  # fmt: skip
    assert len({point.seed for point in everything if point.kind == "warmup"}) == 2
    once = spec({"max_concurrency": [2, 8]})
    assert [point.index for point in with_warmups(once, load_points(once))] == [0, 1, 2]
    none = spec({"max_concurrency": [2, 8], "warmup": 0})
    assert [point.index for point in with_warmups(none, load_points(none))] == [1, 2]
    assert "contradict" in refused(spec({"warmup": 0}, sweep=Sweep(warmup_each=True)))


def test_a_preset_gives_way_together_with_what_was_made_for_it():
    dynamic = PRESETS["dynamic"].values
    assert preset_layer("dynamic", ()).values == dynamic
    assert "load.num_prompts" not in preset_layer("dynamic", ("load.request_rate",)).values
    assert "load.num_prompts" in preset_layer("dynamic", ("load.max_concurrency",)).values, (
        "a cap replaces no rate"
    )
    assert "sweep.epochs" in preset_layer("static", ("load.max_concurrency",)).values
    assert "sweep.epochs" not in preset_layer("static", ("load.duration_s",)).values
    assert "workload.input_len" not in preset_layer("static", ("workload.dataset",)).values
    assert set(preset_layer("speed", ()).origins.values()) == {"preset speed"}


def test_a_preset_that_is_not_there_has_a_near_one():
    with pytest.raises(UsageError) as error:
        preset_layer("statik", ())
    assert "did you mean static?" in (error.value.next_step or "")

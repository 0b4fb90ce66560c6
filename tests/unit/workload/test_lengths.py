from itertools import islice

import numpy as np
import pytest

from inferometer.errors import UsageError
from inferometer.spec.lengths import Fixed, LengthPlan, LogNormal, Normal, Uniform, Zipf
from inferometer.workload.lengths import clipped_normal, draw, draw_pairs, mean_input, spread_evenly


def drawn(dist, count=50_000):
    return draw(dist, np.random.default_rng(1), count)


def pairs(plan, count, seed=0):
    return list(islice(draw_pairs(plan, seed), count))


def test_uniform_has_both_ends():
    assert set(drawn(Uniform(5, 8)).tolist()) == {5, 6, 7, 8}


def test_normal_is_clipped_and_rounded():
    lengths = drawn(Normal(100, 50, 80, 120))
    assert (lengths.min(), lengths.max()) == (80, 120)
    assert abs(float(lengths.mean()) - 100) < 1


def test_what_follows_the_point_is_cut_off_where_mindie_does_it():
    assert set(drawn(Normal(9.9, 0.0, cut=True)).tolist()) == {9}
    assert set(drawn(Normal(9.9, 0.0)).tolist()) == {10}


def test_lognormal_has_its_median():
    assert abs(float(np.median(drawn(LogNormal(300, 0.8)))) - 300) < 10


def test_zipf_follows_its_weights():
    lengths = drawn(Zipf(1.0, 10, 20))
    assert (lengths.min(), lengths.max()) == (10, 20)
    twenty, ten = (lengths == 20).mean(), (lengths == 10).mean()
    assert abs(float(ten / twenty) - 2) < 0.2


def test_mindies_zipf_gives_the_smallest_most_of_it():
    lengths = drawn(Zipf(2.0, 16, 64, clipped=True))
    assert (lengths.min(), lengths.max()) == (16, 64)
    assert (lengths == 16).mean() > 0.9


def test_the_seed_decides_and_each_side_has_its_own():
    plan = LengthPlan(Uniform(1, 1000), Uniform(1, 1000))
    assert pairs(plan, 50) == pairs(plan, 50)
    assert pairs(plan, 50) != pairs(plan, 50, seed=1)
    other = LengthPlan(Uniform(1, 1000), Fixed(5))
    assert [first for first, _ in pairs(plan, 50)] == [first for first, _ in pairs(other, 50)]


def test_pairs_stay_pairs():
    plan = LengthPlan(pairs=((1, 10), (2, 20), (3, 30)))
    found = pairs(plan, 300)
    assert set(found) == set(plan.pairs)
    assert min(found.count(pair) for pair in plan.pairs) > 60


def test_pairs_in_order_are_taken_round_and_round():
    plan = LengthPlan(pairs=((1, 10), (2, 20)), in_order=True)
    assert pairs(plan, 5) == [(1, 10), (2, 20), (1, 10), (2, 20), (1, 10)]


def test_the_mean_prompt():
    assert mean_input(LengthPlan(Fixed(7))) == 7
    assert mean_input(LengthPlan(Uniform(10, 20))) == 15
    assert mean_input(LengthPlan(pairs=((1, 9), (3, 9)))) == 2
    assert abs(mean_input(LengthPlan(Normal(100, 10))) - 100) < 1


@pytest.mark.parametrize(
    ("mean", "std", "low", "high"),
    [
        (1800, 500, 100, 3600),
        (160, 30, 40, 256),
        (300, 290, 100, 3600),
        (200, 90, 100, 300),
        (110, 40, 100, 3600),
        (3500, 200, 100, 3600),
        (50, 3, 1, 4096),
    ],
)
@pytest.mark.parametrize("count", [100, 1000])
def test_clipped_lengths_have_the_moments_asked_for(mean, std, low, high, count):
    for seed in range(5):
        lengths = spread_evenly(
            clipped_normal("input", mean, std, low, high), np.random.default_rng(seed), count
        )
        assert low <= lengths.min()
        assert lengths.max() <= high
        assert abs(float(lengths.mean()) / mean - 1) < 0.02
        assert abs(float(lengths.std()) / std - 1) < (0.05 if count == 1000 else 0.15)


def test_no_deviation_is_one_length():
    lengths = spread_evenly(clipped_normal("input", 77, 0, 1, 99), np.random.default_rng(0), 10)
    assert set(lengths.tolist()) == {77}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ((1800, 500, 3600, 100), "--min-input 3600 is above --max-input 100"),
        ((50, 5, 100, 200), "--avg-input 50 is outside"),
        ((150, 50, 100, 200), "--std-input 50 is impossible"),
        ((100, 1, 100, 200), "--std-input 1 is impossible"),
    ],
)
def test_moments_that_no_lengths_have_are_refused(asked, words):
    with pytest.raises(UsageError, match=words):
        clipped_normal("input", *asked)

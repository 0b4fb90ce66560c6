"""Intervals: the same by the same seed, as wide as the truth asks for, and none where nothing is known."""

import numpy as np
import pytest

from inferometer.metrics.bootstrap import (
    block_interval,
    block_length,
    half_width,
    long_run_variance,
    part_of,
    t_quantile,
)


def series(rng: np.random.Generator, count: int, memory: float) -> np.ndarray:
    """Mean 0; each value keeps ``memory`` of the one before."""
    shocks, values = rng.normal(size=count + 100), np.zeros(count + 100)
    for i in range(1, count + 100):
        values[i] = memory * values[i - 1] + shocks[i]
    return values[100:]


def median(values: np.ndarray) -> float:
    return float(np.median(values))


@pytest.mark.parametrize(
    ("freedom", "expected"), [(1, 12.7062), (2, 4.30265), (4, 2.77645), (10, 2.22814), (1e4, 1.96020)]
)
def test_the_t_quantile_is_that_of_the_tables(freedom: float, expected: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(expected, rel=1e-4)


def test_the_interval_of_a_mean_is_the_known_one() -> None:
    values = np.random.default_rng(1).normal(50.0, 3.0, 2500)
    interval = block_interval(values, np.mean, seed=7, block=1)
    assert interval is not None
    assert interval.confidence == 0.95
    assert interval.half_width == pytest.approx(1.96 * 3.0 / 50.0, rel=0.1)
    assert interval.low < values.mean() < interval.high
    assert interval == block_interval(values, np.mean, seed=7, block=1)
    assert interval != block_interval(values, np.mean, seed=8, block=1)


def test_correlated_values_make_a_wider_interval_and_it_covers_the_truth() -> None:
    covered = alone = 0
    for seed in range(100):
        values = series(np.random.default_rng(seed), 500, 0.7)
        interval = block_interval(values, np.mean, seed=seed, resamples=300)
        single = block_interval(values, np.mean, seed=seed, resamples=300, block=1)
        assert interval is not None
        assert single is not None
        covered += interval.low <= 0 <= interval.high
        alone += single.low <= 0 <= single.high
    assert covered >= 88
    assert alone <= 75


def test_blocks_are_longer_where_values_remember() -> None:
    rng = np.random.default_rng(3)
    assert block_length(rng.normal(size=1000)) <= 3
    assert 10 <= block_length(series(rng, 1000, 0.8)) <= 95
    assert block_length(np.ones(100)) == 1


def test_the_long_run_variance_is_that_of_the_process() -> None:
    values = series(np.random.default_rng(4), 40_000, 0.5)
    assert long_run_variance(values) == pytest.approx(1 / (1 - 0.5) ** 2, rel=0.15)
    swings = np.tile([0.0, 10.0], 100)
    assert long_run_variance(swings, block=2) == pytest.approx(25 / 20)


def test_any_statistic_may_be_asked_for_and_missing_values_are_left_out() -> None:
    values = np.random.default_rng(6).exponential(size=4000)
    values[::10] = np.nan
    interval = block_interval(values, median, seed=1)
    assert interval is not None
    middle = median(values[~np.isnan(values)])
    assert middle - 0.05 < interval.low < middle < interval.high < middle + 0.05


@pytest.mark.parametrize("count", [0, 1, 7])
def test_there_is_no_interval_of_few_values(count: int) -> None:
    assert block_interval(np.arange(float(count)), np.mean, seed=0) is None


def test_there_is_no_interval_of_two_blocks() -> None:
    assert block_interval(np.arange(20.0), np.mean, seed=0, block=10) is None


def test_a_mean_drawn_from_sums_of_blocks_is_the_mean_drawn_from_values() -> None:
    values = series(np.random.default_rng(9), 103, 0.5)
    for block in (1, 7, 20):
        fast = block_interval(values, np.mean, seed=3, block=block)
        slow = block_interval(values, lambda drawn: float(np.mean(drawn)), seed=3, block=block)
        assert fast is not None
        assert slow is not None
        assert (fast.low, fast.high) == pytest.approx((slow.low, slow.high))


def test_repeats_of_one_value_each_give_the_t_interval() -> None:
    parts = [part_of(np.array([value])) for value in (10.0, 12.0, 11.0, 15.0)]
    assert half_width(parts) == pytest.approx(3.18245 * np.std([10, 12, 11, 15], ddof=1) / 2, rel=1e-4)


def test_the_error_of_a_statistic_is_the_known_one() -> None:
    values = np.random.default_rng(5).normal(50.0, 3.0, 4000)
    mean, middle = part_of(values), part_of(values, 50.0)
    assert mean.value == values.mean()
    assert mean.variance == pytest.approx(9.0 / 4000, rel=0.15)
    assert middle.value == np.percentile(values, 50.0)
    assert middle.variance == pytest.approx(np.pi / 2 * 9.0 / 4000, rel=0.3)
    remembers = part_of(series(np.random.default_rng(5), 4000, 0.7))
    assert remembers.variance == pytest.approx(1 / (1 - 0.7) ** 2 / 4000, rel=0.3)
    assert part_of(np.full(50, 7.0), 90.0).variance == 0.0


@pytest.mark.parametrize("percentile", [None, 90.0])
def test_two_repeats_that_differ_cover_the_truth_though_each_is_sure_of_itself(
    percentile: float | None,
) -> None:
    covered, truth = 0, 0.0 if percentile is None else 0.1 * 1.2816
    for seed in range(100):
        rng = np.random.default_rng(seed)
        parts = [part_of(rng.normal(rng.normal(), 0.1, 100), percentile) for _ in range(2)]
        assert half_width(parts[:1]) < 0.1
        covered += abs((parts[0].value + parts[1].value) / 2 - truth) <= half_width(parts)
    assert 90 <= covered <= 99


def test_repeats_that_agree_by_chance_are_no_surer_than_what_is_inside_them() -> None:
    values = np.random.default_rng(2).normal(50.0, 3.0, 900)
    parts = [part_of(values), part_of(values)]
    assert half_width(parts) == pytest.approx(1.96 * 3.0 / np.sqrt(1800), rel=0.15)

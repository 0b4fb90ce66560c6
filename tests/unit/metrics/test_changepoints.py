"""Changes of level and trends: found where they are, and not where values only remember or swing."""

import numpy as np
import pytest

from inferometer.metrics.changepoints import level_changes, segments, trend

NOISE = np.random.default_rng(11).normal(size=200)


def test_a_step_is_found_where_it_is() -> None:
    values = 100 + NOISE + np.where(np.arange(200) >= 120, 10.0, 0.0)
    (place,) = level_changes(values, 10)
    assert place == pytest.approx(120, abs=2)
    assert segments(200, [place]) == [(0, place), (place, 200)]


def test_a_short_peak_of_its_own_level_has_two_ends() -> None:
    values = 100 + NOISE + np.where((np.arange(200) >= 60) & (np.arange(200) < 90), 15.0, 0.0)
    assert level_changes(values, 10) == pytest.approx([60, 90], abs=2)


@pytest.mark.parametrize("period", [2, 7, 20])
def test_synchronous_steps_are_no_changes(period: int) -> None:
    values = 100 + 30 * np.sin(2 * np.pi * np.arange(200) / period) + NOISE
    assert level_changes(values, 20, block=20) == []


def test_memory_is_no_change_of_level_in_nearly_all_runs() -> None:
    found = 0
    for seed in range(50):
        shocks, values = np.random.default_rng(seed).normal(size=200), np.zeros(200)
        for i in range(1, 200):
            values[i] = 0.6 * values[i - 1] + shocks[i]
        found += bool(level_changes(100 + values, 20, block=5))
    assert found <= 3


def test_a_series_shorter_than_two_levels_has_no_change() -> None:
    assert level_changes(np.arange(10.0), 6) == []
    assert level_changes(np.full(100, 5.0), 10) == []


def test_a_trend_has_size_and_certainty() -> None:
    rising = trend(100 + NOISE + np.linspace(-2.5, 2.5, 200))
    flat = trend(100 + NOISE)
    assert rising is not None
    assert flat is not None
    assert rising.change == pytest.approx(0.05, abs=0.012)
    assert rising.certain
    assert rising.low < rising.change < rising.high
    assert not flat.certain


def test_a_trend_of_nothing_is_absent() -> None:
    assert trend(np.arange(5.0)) is None
    assert trend(np.zeros(50)) is None

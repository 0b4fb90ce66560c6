import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.metrics.percentiles import highest_percentile, percentile, samples_needed, stat

values = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=300)


@given(values, st.floats(0.5, 99.5))
def test_a_percentile_is_numpys_linear_one_or_absent(sample: list[float], p: float) -> None:
    found = percentile(np.array(sample), p)
    if len(sample) >= samples_needed(p):
        assert found == pytest.approx(np.percentile(sample, p))
    else:
        assert found is None


@given(values)
def test_statistics_are_those_of_the_population(sample: list[float]) -> None:
    found = stat(np.array([*sample, np.nan]), (50, 99))
    assert found is not None
    assert found.count == len(sample)
    assert found.std == pytest.approx(np.std(sample), abs=1e-6)
    assert set(found.needs) == {name for name, value in found.percentiles.items() if value is None}


@pytest.mark.parametrize(
    ("p", "needed"), [(50, 20), (75, 40), (90, 100), (95, 200), (99, 1000), (99.9, 10_000)]
)
def test_ten_samples_lie_beyond_a_shown_percentile(p: float, needed: int) -> None:
    assert samples_needed(p) == needed
    assert percentile(np.zeros(needed), p) == 0.0
    assert percentile(np.zeros(needed - 1), p) is None


def test_a_statistic_of_nothing_does_not_exist() -> None:
    assert stat(np.array([]), (50,)) is None
    assert stat(np.array([np.nan]), (50,)) is None


@given(st.integers(20, 5000))
def test_the_highest_percentile_is_one_that_may_be_shown(count: int) -> None:
    highest = highest_percentile(count)
    assert samples_needed(highest) <= count
    assert highest == 99 or samples_needed(highest + 1) > count

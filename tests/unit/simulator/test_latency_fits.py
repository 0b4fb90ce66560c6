"""Least squares without negative coefficients, isotonic values, curves over tokens."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.errors import DataError
from inferometer.simulator.latency.curve import fit_curve
from inferometer.simulator.latency.nonnegative import fit_relative, fit_robust, isotonic


def best_of_all_supports(terms, seconds):
    """By trying each set of coefficients that are not 0."""
    rows, best = terms / seconds[:, None], (float(len(seconds)), None)
    for size in range(1, terms.shape[1] + 1):
        for chosen in combinations(range(terms.shape[1]), size):
            found = np.linalg.lstsq(rows[:, chosen], np.ones(len(seconds)), rcond=None)[0]
            if found.min() >= 0.0:
                best = min(best, (float(((rows[:, chosen] @ found - 1.0) ** 2).sum()), chosen))
    return best[0]


@given(seed=st.integers(0, 10**6), columns=st.integers(1, 5))
def test_no_other_coefficients_are_nearer(seed, columns):
    chooser = np.random.default_rng(seed)
    terms = chooser.random((30, columns)) * 10.0 ** chooser.integers(-6, 6, columns)
    seconds = chooser.random(30) + 0.05
    found = fit_relative(terms, seconds)

    assert (found >= 0.0).all()
    error = float(((terms @ found / seconds - 1.0) ** 2).sum())
    assert error == pytest.approx(best_of_all_supports(terms, seconds), rel=1e-6)


def test_one_wrong_row_does_not_move_a_robust_fit():
    size = np.geomspace(1, 4096, 14)
    terms = np.stack([np.ones(14), size], axis=1)
    seconds = terms @ np.asarray([2e-3, 3e-5])
    seconds[-1] /= 15  # a batch that did not fit and was cut

    assert fit_robust(terms, seconds) == pytest.approx([2e-3, 3e-5], rel=0.03)
    assert fit_relative(terms, seconds)[1] < 2e-5


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=40))
def test_isotonic_values_rise_and_keep_the_mean(values):
    given_values, weights = np.asarray(values), np.arange(1.0, len(values) + 1.0)
    found = isotonic(given_values, weights)

    assert (np.diff(found) >= 0.0).all()
    assert (found * weights).sum() == pytest.approx((given_values * weights).sum(), abs=1e-8)
    assert isotonic(found, weights) == pytest.approx(found)


def test_a_curve_extrapolates_as_a_roofline():
    tokens = np.asarray([1, 8, 32, 64, 128, 256, 512, 1024, 2048], dtype=float)
    truth = np.maximum(2e-3, 1e-5 * tokens) + 4e-4 + 1e-7 * tokens
    curve = fit_curve(tokens, truth)
    doubled = np.asarray([4096.0, 8192.0])

    assert curve.seconds(doubled) == pytest.approx(
        np.maximum(2e-3, 1e-5 * doubled) + 4e-4 + 1e-7 * doubled, rel=0.02
    )


def test_a_curve_keeps_what_it_saw_beside_the_line():
    tokens = np.arange(8.0, 4096.0, 8.0)
    truth = (np.maximum(2e-3, 1e-5 * tokens) + 4e-4) * np.where(tokens > 2000, 1.08, 1.0)

    assert fit_curve(tokens, truth).seconds(np.asarray([8000.0])) == pytest.approx([0.0804 * 1.08], rel=0.03)


def test_a_curve_needs_different_numbers_of_tokens():
    with pytest.raises(DataError, match="at least 4 different"):
        fit_curve(np.asarray([1.0, 2.0, 2.0, 4.0]), np.ones(4))

"""The two-sample test of ``bench/sim`` against published values."""

from __future__ import annotations

import numpy as np
import pytest

from sim.distributions import _tail, kolmogorov_smirnov


def test_equal_samples_are_never_told_apart() -> None:
    sample = np.arange(50.0)
    assert kolmogorov_smirnov(sample, sample) == (0.0, 1.0)


def test_distance_is_the_largest_gap_between_the_two_step_functions() -> None:
    first, second = np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.5, 4.5, 5.5, 6.5])
    assert kolmogorov_smirnov(first, second).distance == pytest.approx(0.75)


def test_tail_is_that_of_kolmogorovs_table() -> None:
    # Smirnov 1948: the critical values of 10, 5 and 1 %.
    assert [_tail(value) for value in (1.2238, 1.3581, 1.6276)] == pytest.approx([0.10, 0.05, 0.01], abs=2e-4)


def test_a_shift_of_a_tenth_of_a_deviation_is_found_in_large_samples_only() -> None:
    draw = np.random.default_rng(5)
    small = kolmogorov_smirnov(draw.normal(0, 1, 50), draw.normal(0.1, 1, 50))
    large = kolmogorov_smirnov(draw.normal(0, 1, 20_000), draw.normal(0.1, 1, 20_000))
    assert small.p > 0.05
    assert large.p < 1e-6


def test_an_empty_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="two samples"):
        kolmogorov_smirnov(np.array([]), np.array([1.0]))

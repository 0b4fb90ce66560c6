"""Intervals hold what they promise, and the trust region knows its inside."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.errors import UsageError
from inferometer.simulator.calibration.ensemble import interval, refits
from inferometer.simulator.calibration.fit import NAMES, Floats, fit
from inferometer.simulator.calibration.hull import Hull, Where, hull_of


def test_refits_spread_as_far_as_the_data_leave_open() -> None:
    random = np.random.default_rng(0)
    noise = random.standard_normal(50)
    center, spread = np.log(np.full(len(NAMES), 1e-3)), np.zeros(len(NAMES))
    spread[:2] = 1.0

    def residuals(logs: Floats) -> Floats:
        return (logs[0] - np.log(2e-3)) / 0.1 + noise

    best = fit(residuals, center, spread, polish=0)
    members = np.array(refits(residuals, best, center, spread, members=60, seed=1))
    assert members[:, 0].std() == pytest.approx(0.1 / np.sqrt(50), rel=0.5)
    assert members[:, 1].std() == pytest.approx(1.0, rel=0.35)
    assert np.array_equal(members[:, 2], np.full(60, center[2]))


def test_nine_of_ten_values_fall_into_their_intervals() -> None:
    random = np.random.default_rng(4)
    inside = 0
    for _ in range(400):
        errors = 0.1 * random.standard_normal(12)
        told = interval(1.0, np.exp(0.05 * random.standard_normal(12)).tolist(), errors)
        real = float(np.exp(np.hypot(0.1, 0.05) * random.standard_normal()))
        inside += told.low <= real <= told.high
    assert 0.85 <= inside / 400 <= 0.95


def test_fewer_left_out_errors_widen_the_interval() -> None:
    few = interval(2.0, [2.0, 2.0], np.array([0.1, -0.1, 0.1, -0.1]))
    many = interval(2.0, [2.0, 2.0], np.array([0.1, -0.1] * 30))
    assert few.high - few.low > many.high - many.low
    assert few.low * few.high == pytest.approx(4.0)
    with pytest.raises(UsageError, match="two errors"):
        interval(2.0, [2.0, 2.0], np.array([0.1]))


def where(concurrency: float, given: float) -> Where:
    return Where(
        step_tokens=concurrency + given,
        decodes=concurrency,
        kv_tokens=concurrency * given,
        input_tokens=given,
        output_tokens=100,
    )


def box() -> Hull:
    return hull_of([where(c, i) for c in (1, 64) for i in (128, 8192)])


def test_between_the_loads_seen_nothing_is_said() -> None:
    seen = where(1, 128)
    assert box().distance(seen) == pytest.approx(0.0, abs=1e-6)
    middle = Where(step_tokens=1100, decodes=8, kv_tokens=8192, input_tokens=1024, output_tokens=100)
    assert box().warnings(middle) == []


def test_outside_the_dimension_and_its_range_are_named() -> None:
    (sentence,) = [line for line in box().warnings(where(512, 128)) if line.startswith("decodes")]
    assert "decodes=512" in sentence
    assert "1 to 64" in sentence


def test_an_unseen_combination_inside_all_ranges_is_named() -> None:
    diagonal = hull_of([where(1, 128), where(64, 8192)])
    (sentence,) = diagonal.warnings(
        Where(step_tokens=8192, decodes=1, kv_tokens=8192, input_tokens=8192, output_tokens=100)
    )
    assert "combination" in sentence


def test_no_load_and_no_value_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one"):
        hull_of([])
    with pytest.raises(UsageError, match="above 0"):
        box().distance(where(0, 128))

"""Noise from errors on left-out data: its two parts, its size, and what it rests on."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.errors import UsageError
from inferometer.simulator.calibration.ensemble import interval
from inferometer.simulator.calibration.noise import DISCREPANCY, LeftOut, noise_of, noises

FEW_STEPS_S = np.geomspace(0.02, 20.0, 200)


def rows(
    share: float, seconds: float, spread: float = 0.0, *, common: float = 0.0, blocks: int = 10
) -> LeftOut:
    """Predictions from 20 ms to 20 s with errors of these parts, some of them the same for a whole block."""
    random = np.random.default_rng(3)
    block = np.arange(200) * blocks // 200
    logs = (
        np.hypot(share, spread) * random.standard_normal(200) + common * random.standard_normal(blocks)[block]
    )
    order = random.permutation(200)
    predicted = FEW_STEPS_S[order]
    observed = predicted * np.exp(logs) + seconds * random.standard_normal(200)
    return LeftOut(predicted, np.maximum(observed, 1e-6), np.full(200, spread), block)


def test_a_share_and_seconds_are_told_apart() -> None:
    found = noise_of(rows(0.1, 0.0))
    assert found.share == pytest.approx(0.1, rel=0.2)
    assert found.seconds < 0.002
    found = noise_of(rows(0.0, 0.02))
    assert found.share < 0.03
    assert found.seconds == pytest.approx(0.02, rel=0.25)


def test_what_the_members_spread_explains_is_not_counted_again() -> None:
    assert noise_of(rows(0.0, 0.0, spread=0.2)).share < 0.08
    assert noise_of(rows(0.2, 0.0)).share == pytest.approx(0.2, rel=0.2)


def test_nine_of_ten_left_out_values_are_held_with_outliers_too() -> None:
    data = rows(0.05, 0.005)
    wild = data.observed.copy()
    wild[::25] *= 3
    for observed in (data.observed, wild):
        left = LeftOut(data.predicted, observed, data.spread, data.block)
        noise = noise_of(left)
        told = [interval(value, [], noise) for value in data.predicted.tolist()]
        held = np.mean([low.low <= value <= low.high for low, value in zip(told, observed, strict=True)])
        assert 0.9 <= held <= 0.95
        assert noise.share < 0.12


def test_errors_that_a_block_shares_rest_on_few_degrees_of_freedom() -> None:
    assert noise_of(rows(0.1, 0.0)).freedom > 100
    assert noise_of(rows(0.01, 0.0, common=0.1)).freedom < 20


def test_a_fit_without_errors_is_still_no_truth() -> None:
    exact = LeftOut(np.ones(8), np.ones(8), np.zeros(8), np.arange(8))
    assert noise_of(exact).share == pytest.approx(DISCREPANCY)
    with pytest.raises(UsageError, match="two predictions"):
        noise_of(LeftOut(np.ones(1), np.ones(1), np.zeros(1), np.zeros(1, dtype=np.int64)))


def test_a_mean_is_less_noisy_than_one_request() -> None:
    data = rows(0.2, 0.0)
    unknown = LeftOut(data.predicted[:3], np.full(3, np.nan), data.spread[:3], data.block[:3])
    found = noises({"ttft": data, "tpot": unknown})
    assert found.keys() == {"ttft", "mean_ttft"}
    assert found["mean_ttft"].share < 0.8 * found["ttft"].share
    assert found["mean_ttft"].freedom == 9

"""Intervals hold what they promise, and the trust region knows its inside."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.errors import UsageError
from inferometer.simulator.calibration.ensemble import INDEPENDENT, Interval, interval, refits
from inferometer.simulator.calibration.fit import NAMES, Floats, fit
from inferometer.simulator.latency.profile import Noise
from inferometer.simulator.latency.trust import Where, distance, outside, shown, typical


def test_refits_spread_as_far_as_the_data_leave_open() -> None:
    random = np.random.default_rng(0)
    noise = random.standard_normal(50)
    center, spread = np.log(np.full(len(NAMES), 1e-3)), np.zeros(len(NAMES))
    spread[:2] = 1.0

    def residuals(logs: Floats) -> Floats:
        return (logs[0] - np.log(2e-3)) / 0.1 + noise

    best = fit(residuals, center, spread, polish=0)
    members = np.array(refits(residuals, best, center, spread, members=60, seed=1))
    assert members[:, 0].std() == pytest.approx(1.6 * 0.1 / np.sqrt(INDEPENDENT), rel=0.3)
    assert members[:, 1].std() == pytest.approx(1.0, rel=0.35)
    assert np.array_equal(members[:, 2], np.full(60, center[2]))


def test_nine_of_ten_values_fall_into_their_intervals() -> None:
    random = np.random.default_rng(4)
    noise = Noise(share=0.1, seconds=0.2)
    inside = 0
    for _ in range(400):
        told = interval(2.0, (2.0 * np.exp(0.05 * random.standard_normal(12))).tolist(), noise)
        factor = float(np.exp(np.hypot(0.1, 0.05) * random.standard_normal()))
        real = 2.0 * factor + 0.2 * float(random.standard_normal())
        inside += told.low <= real <= told.high
    assert 0.85 <= inside / 400 <= 0.95


def test_the_two_parts_of_noise_rule_where_they_are_large() -> None:
    noise = Noise(share=0.01, seconds=0.01)
    short, long = interval(0.02, [], noise), interval(100.0, [], noise)
    assert short.high - short.value == pytest.approx(0.0165, rel=0.01)
    assert long.high - long.value == pytest.approx(1.66, rel=0.01)
    assert interval(0.01, [], Noise(share=0.0, seconds=1.0)).low == 0.0
    assert interval(3.0, [3.0, 3.0]) == Interval(3.0, 3.0, 3.0)


def test_noise_known_from_few_errors_widens_the_interval() -> None:
    few, many = (interval(2.0, [2.0, 2.0], Noise(share=0.1, freedom=each)) for each in (4.0, 400.0))
    assert np.log(few.high / 2.0) / np.log(many.high / 2.0) == pytest.approx(2.132 / 1.649, rel=0.01)
    assert few.low * few.high == pytest.approx(4.0)
    with pytest.raises(UsageError, match="two members"):
        interval(2.0, [2.0])


def where(concurrency: float, given: float) -> Where:
    return Where(
        step_tokens=concurrency + given,
        decodes=concurrency,
        kv_tokens=concurrency * given,
        input_tokens=given,
        output_tokens=100,
    )


def box() -> tuple[Where, ...]:
    return tuple(where(c, i) for c in (1, 64) for i in (128, 8192))


def test_between_the_loads_seen_nothing_is_said() -> None:
    seen = where(1, 128)
    assert distance(box(), seen) == pytest.approx(0.0, abs=1e-6)
    middle = Where(step_tokens=1100, decodes=8, kv_tokens=8192, input_tokens=1024, output_tokens=100)
    assert outside(box(), middle) == ()


def test_outside_the_dimension_and_its_range_are_named() -> None:
    (sentence,) = [line for line in outside(box(), where(512, 128)) if line.startswith("decodes")]
    assert "decodes=512" in sentence
    assert "1 to 64" in sentence


def test_an_unseen_combination_inside_all_ranges_is_named() -> None:
    diagonal = (where(1, 128), where(64, 8192))
    (sentence,) = outside(
        diagonal, Where(step_tokens=8192, decodes=1, kv_tokens=8192, input_tokens=8192, output_tokens=100)
    )
    assert "combination" in sentence


def test_where_nothing_was_seen_nothing_is_outside() -> None:
    assert outside((), where(1, 128)) == ()
    assert distance((), where(1, 128)) == 0.0
    with pytest.raises(UsageError, match="above 0"):
        where(0, 128)


def test_a_load_point_shows_its_quiet_and_its_busy_moments() -> None:
    # Ten answers of 9.5 s, one a second: from five of them at a time, at both ends, to ten.
    first = np.arange(10.0)
    tokens = (np.linspace(100.0, 1000.0, 10), np.full(10, 50.0))
    seen = shown(tokens, (first, first + 9.5), 512)
    load = typical(tokens, (first, first + 9.5), 512)
    assert {each.input_tokens for each in seen} == {190.0, 910.0}
    assert {each.decodes for each in seen} == {5.0, 7.0, 9.0}
    assert load in seen
    assert load.step_tokens == 512
    assert outside(seen, load) == ()

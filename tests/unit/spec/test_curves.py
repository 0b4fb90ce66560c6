"""Levels over time: closed forms against sums, and the ramp of vLLM against its own definition."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.spec.curves import (
    Curve,
    Form,
    Piece,
    level_for_ever,
    ramp_over_arrivals,
    ramp_over_time,
    stairs,
)

level = st.floats(0.1, 100.0)


@given(
    level,
    level,
    st.floats(0.1, 100.0),
    st.sampled_from(["linear", "exponential", "hyperbolic"]),
    st.floats(0, 1),
)
def test_the_area_of_a_piece_is_the_integral_of_its_level(
    begin: float, end: float, length_s: float, form: Form, share: float
) -> None:
    piece, at_s = Piece(length_s, begin, end, form), share * length_s
    steps = 4000
    summed = sum(piece.level((step + 0.5) * at_s / steps) for step in range(steps)) * at_s / steps
    assert piece.area(at_s) == pytest.approx(summed, rel=1e-3, abs=1e-9)
    assert piece.time_of_area(piece.area(at_s)) == pytest.approx(at_s, rel=1e-6, abs=1e-6 * length_s)
    assert (piece.level(0.0), piece.level(length_s)) == pytest.approx((begin, end))


@given(level, level, st.sampled_from(["linear", "exponential", "hyperbolic"]), st.floats(0.01, 0.99))
def test_a_piece_knows_when_it_passes_a_level(begin: float, end: float, form: Form, share: float) -> None:
    if abs(begin - end) < 0.01:
        return
    piece = Piece(10.0, begin, end, form)
    between = begin + share * (end - begin)
    assert piece.level(piece.time_of_level(between)) == pytest.approx(between)


def test_a_linear_ramp_from_nothing() -> None:
    curve = ramp_over_time("linear", 0.0, 10.0, 60.0)
    assert (curve.level(30.0), curve.area(60.0), curve.peak, curve.end_s) == (5.0, 300.0, 10.0, 60.0)
    assert list(curve.times_of([0.0, 75.0, 300.0, 310.0])) == pytest.approx([0.0, 30.0, 60.0, 61.0])


@pytest.mark.parametrize("form", ["linear", "exponential"])
def test_a_ramp_over_requests_is_that_of_vllm(form: Form) -> None:
    """vLLM: the gap after request i of N is 1 / rate(i / N), rate linear or exponential in that."""
    count, begin, end = 2000, 2.0, 50.0
    curve = ramp_over_arrivals("linear" if form == "linear" else "exponential", begin, end, count)
    shares = [(request + 0.5) / count for request in range(count)]
    rates = [
        begin + (end - begin) * share if form == "linear" else begin * (end / begin) ** share
        for share in shares
    ]
    theirs = list(accumulate(1.0 / rate for rate in rates))
    ours = list(curve.times_of(float(request) for request in range(1, count + 1)))
    assert ours == pytest.approx(theirs, rel=1e-3)
    assert curve.level(curve.end_s + 1.0) == end


def test_stairs_and_a_spike_on_them() -> None:
    curve = stairs([2.0, 4.0, 6.0], [10.0] * 3)
    assert [curve.level(at_s) for at_s in (0.0, 9.9, 10.0, 20.0, 99.0)] == [2.0, 2.0, 4.0, 6.0, 6.0]
    higher = curve.raised(3.0, 15.0, 10.0)
    assert [higher.level(at_s) for at_s in (14.9, 15.0, 20.0, 24.9, 25.0)] == [4.0, 12.0, 18.0, 18.0, 6.0]
    assert higher.area(30.0) == pytest.approx(curve.area(30.0) + 2.0 * (4.0 * 5.0 + 6.0 * 5.0))
    assert higher.peak == 18.0


def test_a_spike_in_the_middle_of_a_ramp_keeps_the_ramp() -> None:
    curve = ramp_over_time("exponential", 1.0, 16.0, 40.0)
    higher = curve.raised(2.0, 10.0, 10.0)
    for at_s in (0.0, 5.0, 20.0, 30.0, 50.0):
        assert higher.level(at_s) == pytest.approx(curve.level(at_s))
    assert higher.level(15.0) == pytest.approx(2.0 * curve.level(15.0))


def test_the_inverse_is_increasing_over_all_pieces() -> None:
    curve = ramp_over_time("linear", 10.0, 2.0, 30.0).raised(5.0, 10.0, 3.0)
    times = list(curve.times_of(number / 7 for number in range(3000)))
    assert all(a < b for a, b in pairwise(times))
    assert curve.area(times[-1]) == pytest.approx(2999 / 7)


def test_a_curve_has_no_end() -> None:
    with pytest.raises(ValueError, match="no end"):
        Curve([Piece(1.0, 1.0, 1.0)])
    assert level_for_ever(3.0).area(7.0) == 21.0
    assert math.isinf(level_for_ever(3.0).pieces[-1].length_s)

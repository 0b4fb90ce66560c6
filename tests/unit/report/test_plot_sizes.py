"""Thinning, bins and fits: fewer values that show the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.metrics.lanes import lanes
from inferometer.report.plots.distributions import sampled
from inferometer.report.plots.fits import theil_sen
from inferometer.report.plots.sizes import bin_edges, evenly, extremes, ranks, scale_of

FLOATS = st.floats(-1e6, 1e6)


@settings(max_examples=60, deadline=None)
@given(st.lists(FLOATS, min_size=1, max_size=3000), st.integers(8, 200))
def test_a_thinned_line_keeps_ends_and_extremes(values: list[float], most: int) -> None:
    y = np.array(values)
    kept = extremes(y, most)
    assert len(kept) <= max(most, 1)
    assert (np.diff(kept) > 0).all()
    assert (y[kept].min(), y[kept].max()) == (y.min(), y.max())
    assert (kept[0], kept[-1]) == (0, len(y) - 1)


def test_a_gap_stays_a_gap() -> None:
    y = np.arange(5000.0)
    y[2000:2010] = np.nan
    kept = extremes(y, 600)
    assert np.isnan(y[kept]).sum() >= 1
    assert np.nanmax(y[kept]) == 4999.0


@given(st.integers(1, 20_000))
def test_ranks_hold_both_ends_and_the_whole_tail(count: int) -> None:
    kept = ranks(count)
    assert len(kept) <= 400
    assert kept[0] == 0
    tail = min(count, 20)
    assert kept[-tail:].tolist() == list(range(count - tail, count))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=2000))
def test_a_distribution_is_exact_wherever_it_is_drawn(values: list[int]) -> None:
    sample = np.array([*values, np.nan], dtype=np.float64)
    found = sampled(sample)
    if not any(values):
        assert found is None
        return
    assert found is not None
    assert (np.diff(found.x) > 0).all()
    assert (np.diff(found.upto) > 0).all()
    for x, upto, beyond in zip(found.x, found.upto, found.beyond, strict=True):
        assert upto == np.mean(np.array(values) <= x) * 100.0
        assert beyond == np.mean(np.array(values) >= x) * 100.0
    assert found.x[-1] == max(values)
    assert (found.upto[-1], found.count, found.hidden) == (100.0, len(values), values.count(0))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), min_size=1, max_size=80))
def test_lanes_never_overlap_and_are_as_few_as_can_be(spans: list[tuple[int, int]]) -> None:
    start = np.array([float(begin) for begin, _ in spans])
    end = np.array([float(begin + length) for begin, length in spans])
    lane = lanes(start, end)
    for each in np.unique(lane):
        own = np.flatnonzero(lane == each)
        ordered = own[np.argsort(start[own])]
        assert (start[ordered][1:] >= end[ordered][:-1]).all()
    most = max(int(((start <= at) & (end > at)).sum()) for at in start)
    assert lane.max() + 1 == most


def test_a_line_is_not_moved_by_wild_points() -> None:
    x = np.linspace(100.0, 4000.0, 200)
    y = 12.0 + 0.02 * x
    y[::8] = 9000.0  # an eighth of them
    line = theil_sen(x, y)
    assert line is not None
    assert abs(line.slope - 0.02) < 0.001
    assert abs(line.level - 12.0) < 3.0


def test_the_band_holds_nine_points_in_ten() -> None:
    rng = np.random.default_rng(4)
    x = rng.uniform(10.0, 1000.0, 5000)
    y = 5.0 + 0.1 * x + rng.normal(0.0, 3.0, 5000)
    line = theil_sen(x, y)
    assert line is not None
    beside = y - line.at(x)
    assert abs(np.mean((beside >= line.below) & (beside <= line.above)) - 0.9) < 0.001


def test_no_line_through_lengths_that_hardly_differ() -> None:
    assert theil_sen(np.full(100, 512.0), np.arange(100.0)) is None
    assert theil_sen(np.arange(1.0, 11.0), np.arange(10.0)) is None  # too few points


def test_bins_are_as_many_as_the_events_fill() -> None:
    assert len(bin_edges(0.0, 10.0, 30)) == 13  # never fewer than 12
    assert len(bin_edges(0.0, 10.0, 300)) == 61
    assert len(bin_edges(0.0, 10.0, 10**6)) == 201
    assert evenly(10, 4).tolist() == [0, 3, 6, 9]


def test_a_log_scale_only_where_it_helps_and_nothing_is_zero() -> None:
    assert scale_of([np.array([1.0, 100.0, np.nan])]) == "log"
    assert scale_of([np.array([0.0, 100.0])]) == "linear"
    assert scale_of([np.array([50.0, 100.0])]) == "linear"
    assert scale_of([]) == "linear"

"""The search finds the largest level that holds, and knows when it found no limit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from inferometer.checks.sweep import Outcome, Sweep


def search(sweep: Sweep, world: Callable[[float], Outcome]) -> list[float]:
    """Carry a sweep out; the levels that were tried."""
    tried = []
    while (level := sweep.ask()) is not None:
        tried.append(level)
        assert len(tried) < 30
        sweep.tell(level, world(level))
    return tried


def breaks_above(limit: float) -> Callable[[float], Outcome]:
    return lambda level: "held" if level <= limit else "broke"


def test_levels_double_then_the_gap_is_halved_twice() -> None:
    sweep = Sweep(100, 10_000)
    tried = search(sweep, breaks_above(600))
    assert [round(level) for level in tried] == [100, 200, 400, 800, 800, 566, 673]
    assert round(sweep.held or 0) == 566
    assert not sweep.at_least


@pytest.mark.parametrize("limit", [100, 137, 2_500, 9_999])
def test_what_is_found_is_below_the_limit_and_near_it(limit: float) -> None:
    sweep = Sweep(100, 10_000)
    search(sweep, breaks_above(limit))
    assert sweep.held is not None
    assert limit / 1.2 <= sweep.held <= limit


def test_a_single_hiccup_is_no_limit() -> None:
    outcomes: list[Outcome] = ["held", "broke", "held", "held"]
    sweep = Sweep(100, 400)
    assert search(sweep, lambda _: outcomes.pop(0)) == [100, 200, 200, 400]
    assert sweep.held == 400


def test_the_ceiling_is_tried_and_is_no_limit() -> None:
    sweep = Sweep(100, 300)
    assert search(sweep, breaks_above(1e9)) == [100, 200, 300]
    assert (sweep.held, sweep.at_least) == (300, True)


def test_a_server_that_cannot_keep_up_leaves_the_limit_open() -> None:
    sweep = Sweep(100, 10_000)
    tried = search(sweep, lambda level: "held" if level <= 200 else "server")
    assert [round(level) for level in tried] == [100, 200, 400, 283, 238]
    assert (sweep.held, sweep.at_least) == (200, True)


def test_a_limit_below_what_the_server_could_not_do_is_a_limit() -> None:
    def world(level: float) -> Outcome:
        return "server" if level >= 400 else "broke" if level > 250 else "held"

    sweep = Sweep(100, 10_000)
    search(sweep, world)
    assert round(sweep.held or 0) == 238
    assert not sweep.at_least


def test_lower_levels_are_tried_when_the_first_does_not_hold() -> None:
    sweep = Sweep(100, 10_000)
    tried = search(sweep, breaks_above(30))
    assert [round(level) for level in tried] == [100, 100, 50, 25, 35, 30]
    assert round(sweep.held or 0) == 30


def test_a_machine_on_which_nothing_holds_has_no_figure() -> None:
    sweep = Sweep(100, 10_000)
    assert search(sweep, lambda _: "broke") == [100, 100, 50, 25, 12.5]
    assert sweep.held is None
    assert not sweep.at_least


def test_the_first_level_is_never_above_the_ceiling() -> None:
    assert search(Sweep(100, 60), breaks_above(1e9)) == [60]

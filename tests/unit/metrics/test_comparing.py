"""Whether a difference is real: the tests behind a verdict, the verdict itself, and what is no ground for one."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from inferometer.errors import UsageError
from inferometer.metrics.bootstrap import Part
from inferometer.metrics.comparing import ranks
from inferometer.metrics.comparing.effects import (
    Effect,
    Noise,
    decided,
    effect,
    holm,
    repeats_for,
    repeats_to_tell,
    two_sided,
)
from inferometer.metrics.comparing.fronts import Curve, area, at_slo
from inferometer.metrics.comparing.names import FAILED, OUTPUT, Kind, kind_named, kind_of
from inferometer.metrics.comparing.noise import threshold_from
from inferometer.metrics.comparing.ranks import fewest_for, rank_test
from inferometer.metrics.comparing.sides import parts_of, runs_differ
from inferometer.metrics.comparing.trend import Visit, trend_of
from inferometer.metrics.comparing.units import Unit
from inferometer.metrics.slo import PointLimit, parse_slo
from inferometer.report.comparison import change, verdict

THRESHOLD = 0.02


def kind(key: str) -> Kind:
    found = kind_of(key)
    assert found is not None
    return found


def parts(*values: float, variance: float = 0.0) -> list[Part]:
    return [Part(value, variance, 50.0) for value in values]


def made(key: str, a: list[Part], b: list[Part], noise: Noise | None = None) -> Effect:
    (found,) = decided([msgspec.structs.replace(effect(kind(key), a, b, THRESHOLD, noise), primary=True)])
    return found


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [
        ((1, 2, 3), (4, 5, 6), 0.1),
        ((1, 2, 3, 4), (5, 6, 7, 8), 2 / 70),
        ((1, 2, 3, 4, 5), (6, 7, 8, 9, 10), 2 / 252),
        # U = 2 of Mann & Whitney's own table for 5 + 5: 4 of 252 orders on each side are as far out.
        ((1, 2, 3, 4, 7), (5, 6, 8, 9, 10), 8 / 252),
        ((1, 3, 5), (2, 4, 6), 0.7),
        ((1, 1, 1), (1, 1, 1), 1.0),
        # Ties, enumerated by hand: ranks 1.5 1.5 3.5 | 3.5 5 6; 2 of 20 deals reach 6.5, and 2 reach 14.5.
        ((1, 1, 2), (2, 3, 4), 4 / 20),
    ],
)
def test_the_rank_test_is_exact(first: tuple[float, ...], second: tuple[float, ...], p: float) -> None:
    assert rank_test(first, second) == pytest.approx(p)
    assert rank_test(second, first) == pytest.approx(p)


def test_the_normal_approximation_is_what_exact_counting_leads_to(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    first, second = (np.round(rng.normal(middle, 1.0, 30), 1).tolist() for middle in (0.0, 0.4))
    exact = rank_test(first, second)
    monkeypatch.setattr(ranks, "_MOST_EXACT", 0)
    assert rank_test(first, second) == pytest.approx(exact, rel=0.03)
    assert rank_test([1.0] * 30, [1.0] * 31) == 1.0


def test_four_repeats_a_side_are_the_fewest_that_can_tell() -> None:
    assert fewest_for(0.05) == 4


@pytest.mark.parametrize(("t", "freedom", "p"), [(2.306, 8, 0.05), (3.355, 8, 0.01), (12.706, 1, 0.05)])
def test_student_p_agrees_with_the_tables(t: float, freedom: float, p: float) -> None:
    assert two_sided(t, freedom) == pytest.approx(p, rel=2e-3)


def test_holm_multiplies_the_smallest_most_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_a_clear_gain_of_throughput_is_better_and_of_latency_worse() -> None:
    a, b = parts(100, 101, 99, 100, 102), parts(110, 111, 109, 112, 110)
    assert made(OUTPUT, a, b).word == "better"
    assert made("ttft_ms.p99", a, b).word == "worse"
    assert made("ttft_ms.p99", b, a).word == "better"


def test_the_change_there_and_back_is_the_same_on_logarithms() -> None:
    a, b = parts(100, 101, 99, 100), parts(120, 119, 121, 122)
    there, back = made(OUTPUT, a, b), made(OUTPUT, b, a)
    assert there.delta is not None
    assert back.delta is not None
    assert math.log1p(there.delta) == pytest.approx(-math.log1p(back.delta))
    assert there.p_welch == pytest.approx(back.p_welch)


def test_three_repeats_never_say_more_than_unsure() -> None:
    found = made(OUTPUT, parts(100, 101, 99), parts(200, 201, 199))
    assert found.word == "unsure"
    assert found.p_ranks == pytest.approx(0.1)


def test_a_sure_change_below_the_threshold_is_the_same() -> None:
    a, b = parts(100.0, 100.01, 99.99, 100.02, 99.98), parts(100.5, 100.51, 100.49, 100.52, 100.48)
    found = made(OUTPUT, a, b)
    assert found.significant
    assert found.word == "same"


def test_one_run_a_side_knows_only_what_is_inside_it() -> None:
    found = made(OUTPUT, parts(100, variance=1.0), parts(150, variance=1.0))
    assert (found.basis, found.word, found.p_ranks) == ("within-run only", "unsure", None)
    assert found.low is not None
    assert found.low > 0.4


def test_two_numbers_alone_have_no_interval_and_say_what_was_assumed() -> None:
    found = made(OUTPUT, parts(2655), parts(2662))
    assert (found.word, found.low, found.spread) == ("unsure", None, 0.02)
    assert "assumed" in found.spread_from
    assert found.repeats_needed == 10
    assert found.repeats_to_tell is not None
    assert found.repeats_to_tell > 800


def test_noise_that_is_told_gives_single_runs_an_interval_and_no_verdict() -> None:
    found = made(OUTPUT, parts(100), parts(110), Noise(0.01))
    assert found.low == pytest.approx(1.1 * math.exp(-1.96 * 0.01 * math.sqrt(2)) - 1, abs=1e-4)
    assert found.word == "unsure"


def test_shares_are_compared_by_their_difference() -> None:
    assert made(FAILED, parts(0, 0, 0, 0), parts(0, 0, 0, 0)).word == "same"
    found = made(FAILED, parts(0, 0, 0, 0), parts(0.02, 0.03, 0.02, 0.03))
    assert found.delta == pytest.approx(0.025)
    assert found.word == "worse"


def test_from_nothing_to_something_is_a_change_and_from_nothing_to_nothing_is_none() -> None:
    goodput = "goodput_per_s"
    found = made(goodput, parts(0, 0, 0, 0, 0), parts(5, 5, 6, 5, 7))
    assert (found.word, found.delta, found.low) == ("better", math.inf, None)
    assert change(found.delta, found.figure) == "from 0"
    assert made(goodput, parts(5, 5, 6, 5, 7), parts(0, 0, 0, 0, 0)).word == "worse"
    nothing = made(goodput, parts(0, 0, 0, 0), parts(0, 0, 0, 0))
    assert (nothing.word, nothing.delta) == ("same", 0.0)


def test_numbers_of_any_size_are_compared() -> None:
    found = made(OUTPUT, parts(1e-300, 1, 2, 3), parts(1e308, 1, 2, 3))
    assert found.word == "unsure"
    assert found.high is not None
    assert math.isfinite(found.high)


def test_a_figure_that_only_holm_holds_back_says_so() -> None:
    a, b = parts(100, 101, 99, 100, 102), parts(102.2, 102.3, 101.7, 103.9, 102.4)
    keys = (
        OUTPUT,
        *(f"ttft_ms.p{p}" for p in (50, 90, 95, 99)),
        *(f"tpot_ms.p{p}" for p in (50, 90, 95, 99)),
    )
    nine = [effect(kind(key), a, b if key == OUTPUT else a, THRESHOLD) for key in keys]
    found = decided([msgspec.structs.replace(each, primary=True) for each in nine])[0]
    assert effect(kind(OUTPUT), a, b, THRESHOLD).word == "better"
    assert found.word == "unsure"
    assert "after Holm" in verdict(found)


def unit(run: str, repeat: int, value: float) -> Unit:
    return Unit(run, repeat, repeat, {OUTPUT: Part(value, 0.0, 0.0)}, {})


def test_repeats_of_runs_that_differ_are_no_runs_of_their_own() -> None:
    alike = [unit(run, r, value) for run in "ab" for r, value in enumerate((99.0, 100.0, 101.0))]
    assert not runs_differ(alike, OUTPUT)
    assert len(parts_of(alike, OUTPUT)) == 6
    apart = [unit(run, r, base + r) for run, base in (("a", 90.0), ("b", 110.0)) for r in range(3)]
    assert runs_differ(apart, OUTPUT)
    assert [part.value for part in parts_of(apart, OUTPUT)] == [91.0, 111.0]
    assert not runs_differ([unit(run, 1, value) for run, value in (("a", 90.0), ("b", 110.0))], OUTPUT)


def test_two_restarts_of_the_same_server_are_hardly_ever_called_different() -> None:
    """Runs differ by as much as their repeats do; counted one by one, three pairs in ten are called different."""
    rng = np.random.default_rng(3)

    def side() -> list[Part]:
        level = 0.01 * rng.standard_normal((2, 1)) + 0.01 * rng.standard_normal((2, 5))
        units = [unit(f"r{run}", r, 100.0 * math.exp(level[run, r])) for run in range(2) for r in range(5)]
        return parts_of(units, OUTPUT)

    found = [effect(kind(OUTPUT), side(), side(), 1e-6).word for _ in range(60)]
    assert sum(word in ("better", "worse") for word in found) <= 6


@pytest.mark.parametrize(("family", "spread", "size"), [(1, 0.02, 0.05), (3, 0.02, 0.05), (9, 0.02, 0.05)])
def test_the_repeats_that_are_said_to_tell_do_so_in_four_of_five_cases(
    family: int, spread: float, size: float
) -> None:
    repeats = repeats_to_tell(math.log1p(size), spread, family)
    assert repeats is not None
    rng = np.random.default_rng(9)

    def side(middle: float) -> list[Part]:
        return parts(*np.exp(middle + spread * rng.standard_normal(repeats)))

    others = [effect(kind("ttft_ms.p99"), parts(1, 2), parts(1, 2), THRESHOLD)] * (family - 1)
    found = 0
    for _ in range(100):
        changed = effect(kind(OUTPUT), side(0.0), side(math.log1p(size)), THRESHOLD)
        every = [msgspec.structs.replace(each, primary=True) for each in (changed, *others)]
        found += decided(every)[0].word == "better"
    assert found >= 72


def test_a_spread_that_is_stated_is_not_one_of_two_runs() -> None:
    half = 1.96 * 0.01 * math.sqrt(2.0)
    assert threshold_from(Noise(0.01), 1, 1) == pytest.approx(math.expm1(half), rel=1e-3)
    assert threshold_from(Noise(0.01, 5), 1, 1) == pytest.approx(math.expm1(half * 2.776 / 1.96), rel=1e-3)


def test_repeats_needed_make_the_interval_fit() -> None:
    # t(0.975, 2n - 2) x 0.02 x sqrt(2/n): 0.0200 at n = 9, 0.0188 at n = 10.
    assert repeats_for(0.02, 0.02) == 9
    assert repeats_for(0.001, 10.0) is None
    few, many = repeats_to_tell(0.05, 0.02), repeats_to_tell(0.005, 0.02)
    assert few is not None
    assert many is not None
    assert few < 6 < 200 < many


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("p99_ttft", "ttft_ms.p99"),
        ("median_tpot_ms", "tpot_ms.p50"),
        ("avg_e2el", "e2el_ms.mean"),
        ("output_throughput", OUTPUT),
        ("output_token_throughput", OUTPUT),
        ("failed", FAILED),
    ],
)
def test_figures_go_by_the_names_people_use(text: str, key: str) -> None:
    assert kind_named(text).key == key


def test_a_latency_without_a_statistic_is_refused_with_what_to_write() -> None:
    with pytest.raises(UsageError, match="p99_ttft"):
        kind_named("ttft")


def curve(**columns: list[float]) -> Curve:
    loads = columns.pop("loads")
    names = {"ttft": "ttft_ms.p99", "tpot": "tpot_ms.p50", "output": OUTPUT}
    points = [
        {names[name]: Part(values[place], 0.0, 0.0) for name, values in columns.items()}
        for place in range(len(loads))
    ]
    return Curve(loads, points)


def limit(text: str) -> PointLimit:
    found = parse_slo(text)
    assert isinstance(found, PointLimit)
    return found


def test_at_equal_slo_the_load_lies_between_the_points_around_the_limit() -> None:
    measured = curve(loads=[1, 10, 20], ttft=[50, 100, 300], output=[100, 800, 1000])
    reached = at_slo(measured, [limit("p99_ttft<=200ms")])
    assert reached.load == pytest.approx(15.0)
    assert reached.output == pytest.approx(900.0)
    assert "largest load" in at_slo(measured, [limit("p99_ttft<=400ms")]).why
    assert "smallest load" in at_slo(measured, [limit("p99_ttft<=10ms")]).why
    assert "not known" in at_slo(measured, [limit("p99_tpot<=10ms")]).why


def test_the_area_under_the_front_is_that_of_the_steps() -> None:
    # Speeds 100, 50, 20 tok/s per user: 100 x 1 + 50 x 2 + 20 x 1; the beaten point adds nothing.
    assert area(curve(loads=[1, 2, 3, 4], tpot=[10, 20, 50, 50], output=[1, 3, 4, 2])) == pytest.approx(220.0)


def history(*values: float) -> list[Visit]:
    return [
        Visit(run=f"r{place}", created_utc="2026-11-20", value=value, repeats=5)
        for place, value in enumerate(values)
    ]


USUAL = (100.0, 101.0, 99.5, 100.5, 99.0, 100.2, 100.8, 99.7)


@pytest.mark.parametrize(("latest", "word"), [(100.3, "usual"), (80.0, "worse"), (120.0, "better")])
def test_the_latest_run_is_held_against_those_before_it(latest: float, word: str) -> None:
    assert trend_of(kind(OUTPUT), {}, history(*USUAL, latest)).word == word


def test_a_new_level_that_is_worse_stays_worse_until_it_is_known() -> None:
    found = trend_of(kind(OUTPUT), {}, history(*USUAL, 80.0, 80.5, 79.9))
    assert [visit.run for visit in found.visits if visit.new_level] == ["r8"]
    assert found.word == "worse"
    known = trend_of(kind(OUTPUT), {}, history(*USUAL, 80.0, 80.5, 79.9, 80.1, 80.2, 79.8))
    assert known.word == "usual"


def test_five_runs_have_to_be_there_before_one_is_judged() -> None:
    assert trend_of(kind(OUTPUT), {}, history(100.0, 101.0, 50.0)).word == "unknown"


def test_one_outlier_does_not_hide_the_next() -> None:
    found = trend_of(kind(OUTPUT), {}, history(*USUAL, 60.0, 100.1, 80.0))
    assert [visit.z is not None and abs(visit.z) > 5.0 for visit in found.visits[-3:]] == [True, False, True]


def noisy(rng: np.random.Generator, change: float) -> tuple[list[list[Part]], list[list[Part]]]:
    """Five runs a side of three figures; a run is 1 % faster or slower than the next in all of them."""
    sides = []
    for factor in (1.0, 1.0 + change):
        clock = np.exp(0.01 * rng.standard_normal((5, 1)) + 0.005 * rng.standard_normal((5, 3)))
        sides.append([parts(*(100.0 * factor * clock[:, figure])) for figure in range(3)])
    return sides[0], sides[1]


def words(rng: np.random.Generator, change: float) -> list[str]:
    a, b = noisy(rng, change)
    keys = (OUTPUT, "ttft_ms.p99", "tpot_ms.p99")
    found = [
        msgspec.structs.replace(effect(kind(key), x, y, THRESHOLD), primary=True)
        for key, x, y in zip(keys, a, b, strict=True)
    ]
    return [each.word for each in decided(found)]


def test_chance_is_hardly_ever_called_a_difference_and_five_percent_is_found() -> None:
    rng = np.random.default_rng(7)
    loud = sum(any(word in ("better", "worse") for word in words(rng, 0.0)) for _ in range(40))
    found = sum(words(rng, 0.05)[0] == "better" for _ in range(40))
    assert loud <= 2
    assert found >= 36

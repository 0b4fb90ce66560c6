"""A comparison as it is read: one word over it, what is far off, what noise hides, and the curves of all runs."""

from __future__ import annotations

import msgspec
import pytest
from drawn_runs import closed_loop, drawn

from inferometer.api.comparing import together
from inferometer.metrics.bootstrap import Part
from inferometer.metrics.comparing.compare import Comparison, Settings, compare
from inferometer.metrics.comparing.effects import Noise
from inferometer.metrics.comparing.names import OUTPUT, kind_of
from inferometer.metrics.comparing.noise import LoadNoise, NoiseBook, Spread
from inferometer.metrics.comparing.outlier import far_off
from inferometer.metrics.comparing.sides import Side, SideInfo
from inferometer.metrics.comparing.trend import Visit, trend_of
from inferometer.metrics.comparing.units import Measured, Unit
from inferometer.metrics.slo import PointLimit, parse_slos
from inferometer.report.comparison import comparison_lines, headline, verdict
from inferometer.report.comparison_markdown import comparison_markdown
from inferometer.report.comparison_noise import noise_lines
from inferometer.report.comparison_page import comparison_page
from inferometer.report.page.model import Verdict
from inferometer.report.page.render import render_page
from inferometer.report.trend import trend_lines

TTFT, TPOT = "ttft_ms.p50", "tpot_ms.p50"
STEADY = (100.0, 100.2, 99.9, 100.1, 99.8)
Figures = dict[str, tuple[float, ...]]


def side(letter: str, *loads: Figures, runs: tuple[str, ...] = ()) -> Side:
    """Loads of rising concurrency, 4 first, each with its figures; repeats of one run unless there are ``runs``."""
    found = {}
    for place, figures in enumerate(loads):
        load = {"max_concurrency": 4 * 2**place}
        columns = [
            {key: Part(values[repeat], 0.0, 0.0) for key, values in figures.items()}
            for repeat in range(len(next(iter(figures.values()))))
        ]
        run = runs[place] if runs else f"run-{letter}"
        units = [Unit(run, repeat + 1, repeat, parts, {}) for repeat, parts in enumerate(columns)]
        found[str(load)] = Measured(load, units)
    repeats = [len(measured.units) for measured in found.values()]
    info = SideInfo(
        letter=letter, label=letter, runs=[f"run-{letter}"], model="m", simulated=False, repeats=repeats
    )
    return Side(info, found, [])


def times(factor: float, values: tuple[float, ...] = STEADY) -> tuple[float, ...]:
    return tuple(factor * value for value in values)


def compared(a: Side, b: Side, slo: tuple[str, ...] = ()) -> Comparison:
    limits = tuple(limit for limit in parse_slos(slo)[1] if isinstance(limit, PointLimit))
    return compare([a, b], Settings(limits=limits))


def both_ways() -> Comparison:
    better = {OUTPUT: times(1.1), TTFT: times(0.5), TPOT: STEADY}
    return compared(
        side("A", {OUTPUT: STEADY, TTFT: STEADY, TPOT: STEADY}), side("B", {**better, TPOT: times(1.2)})
    )


def test_figures_that_go_both_ways_are_mixed_with_the_worse_ones_first() -> None:
    found = both_ways()
    assert headline(found) == "mixed"
    (answer,) = (block for block in comparison_page(found).sections[0].blocks if isinstance(block, Verdict))
    assert answer.word == ("MIXED", "有好有坏")
    assert answer.tone == "warn"
    assert "TPOT" in answer.reasons[0].en
    assert "worse" in answer.reasons[0].en
    html = render_page(comparison_page(found))
    assert '<strong><span lang="en">MIXED</span><span lang="zh">有好有坏</span></strong>' in html
    assert comparison_markdown(found).startswith("### Comparison: mixed, 1 worse, 2 better")


def test_what_is_worse_alone_is_called_that() -> None:
    found = compared(side("A", {OUTPUT: STEADY, TTFT: STEADY}), side("B", {OUTPUT: STEADY, TTFT: times(2.0)}))
    assert headline(found) == "worse"
    assert 'class="verdict bad"><strong>WORSE</strong>' in render_page(comparison_page(found))


def test_a_number_of_repeats_that_nobody_measures_is_not_printed_in_a_row() -> None:
    found = compared(
        side("A", {OUTPUT: (60.0, 100.0, 160.0, 90.0)}), side("B", {OUTPUT: (70.0, 130.0, 99.0, 140.0)})
    )
    (effect,) = found.pairs[0].loads[0].effects
    assert effect.repeats_needed is not None
    assert effect.repeats_needed > 1000
    assert verdict(effect) == "unsure (more than 100 repeats for 2 %)"
    few = msgspec.structs.replace(effect, repeats_needed=100)
    assert verdict(few) == "unsure (100 repeats for 2 %)"
    assert f"{effect.repeats_needed:,} repeats a side" in "\n".join(comparison_lines(found))


def test_a_repeat_far_off_is_named_with_its_figures() -> None:
    cold = (370.5, 574.9, 575.6, 575.7, 575.4)
    slow = (632.0, 62.6, 61.8, 61.7, 62.3)
    found = compared(
        side("A", {OUTPUT: cold, TTFT: slow}), side("B", {OUTPUT: times(5.75), TTFT: times(0.5)})
    )
    (note,) = found.pairs[0].notes
    assert note == (
        "side A at concurrency 4: repeat 1 of run run-A is far off from the others, output throughput 370.5 tok/s "
        "(median of the others 575.5), TTFT p50 632.0 ms (median of the others 62), and most of the uncertainty comes "
        "from it: measure that side again"
    )
    assert note in "\n".join(comparison_lines(found))


@pytest.mark.parametrize(
    "values",
    [
        (100.0, 200.0, 100.0),  # of three nobody knows which
        (100.0, 103.0, 98.0, 101.0, 95.0),
        (100.0, 100.0, 100.0, 300.0, 300.0),
        (100.0, 100.0, 100.0, 100.0, 100.05),  # all but equal
        (100.0, 100.0, 0.0, 100.0, 100.0),
    ],
)
def test_sides_without_one_far_repeat(values: tuple[float, ...]) -> None:
    assert far_off(values) is None


def test_a_threshold_that_is_noise_alone_calls_nothing_the_same() -> None:
    a, b = (side(letter, {OUTPUT: STEADY, TTFT: STEADY}) for letter in "AB")
    (key,) = a.loads
    spreads = {OUTPUT: Spread(spread=0.002, repeats=5), TTFT: Spread(spread=0.2, repeats=5)}
    learned = LoadNoise(
        model="m",
        simulated=False,
        hardware="",
        key=key,
        load={"max_concurrency": 4},
        runs=[],
        spreads=spreads,
    )
    found = compare([a, b], Settings(threshold=None), NoiseBook(loads=[learned]))
    by_name = {each.figure.key: each for each in found.pairs[0].loads[0].effects}
    assert by_name[OUTPUT].word == "same"
    assert by_name[TTFT].threshold > 0.1
    assert by_name[TTFT].word == "unsure"
    (note,) = (note for note in found.notes if "above 10%" in note)
    assert "TTFT p50" in note
    assert "never called same" in note
    stated = compare([a, b], Settings(threshold=0.3), NoiseBook())
    assert {each.word for each in stated.pairs[0].loads[0].effects} == {"same"}
    (said,) = (line for line in noise_lines([learned]) if "--threshold auto" in line)
    assert said.startswith("above 10% even with 5 a side: TTFT p50")


@pytest.mark.parametrize(
    ("ttfts", "told"),
    [
        ((50.0, 60.0), "all limits are met at the largest load: measure larger ones"),
        ((150.0, 160.0), "not met at the smallest load: measure smaller ones"),
    ],
)
def test_why_nothing_is_known_at_equal_slo(ttfts: tuple[float, float], told: str) -> None:
    loads = [{OUTPUT: STEADY, TTFT: times(ttft / 100.0)} for ttft in ttfts]
    notes = compared(side("A", *loads), side("B", *loads), ("p50_ttft<=100ms",)).pairs[0].notes
    assert [
        note for note in notes if note.startswith("equal SLO: not known of side") and told in note
    ] == notes
    assert len(notes) == 2


def test_one_load_and_loads_of_several_runs_have_no_equal_slo_and_say_so() -> None:
    one = {OUTPUT: STEADY, TTFT: STEADY}
    (note,) = compared(side("A", one), side("B", one), ("p50_ttft<=100ms",)).pairs[0].notes
    assert note.startswith("equal SLO: --slo needs at least two loads in common")
    heavier = {OUTPUT: times(2.0), TTFT: times(4.0)}
    apart = side("B", one, heavier, runs=("light", "heavy"))
    (note,) = compared(side("A", one, heavier), apart, ("p50_ttft<=200ms",)).pairs[0].notes
    assert note.startswith("equal SLO: not known of side B: no run has all of the common loads")


def test_one_run_in_a_history_is_one_run() -> None:
    figure = kind_of(OUTPUT)
    assert figure is not None
    visit = Visit(run="r", created_utc="2026-11-20T00:00:00", value=365.0, repeats=5)
    lines = list(trend_lines([trend_of(figure, {"max_concurrency": 4}, [visit])], unicode=False))
    assert lines[1].endswith("  365.0  1 run")
    two = trend_of(figure, {"max_concurrency": 4}, [visit, msgspec.structs.replace(visit, value=400.0)])
    assert "365.0 to 400.0  2 runs" in list(trend_lines([two]))[1]


def test_the_curves_of_a_side_are_of_all_its_runs() -> None:
    records = [
        drawn(closed_loop(2, ttft, 10.0), closed_loop(4, 2 * ttft, 10.0, index=2), run_id=f"r{ttft:g}")[0]
        for ttft in (20.0, 40.0)
    ]
    found = together(records)
    assert [(row.load["max_concurrency"], row.points) for row in found.rows] == [(2, [1, 3]), (4, [2, 4])]
    ttft = found.rows[0].estimates["ttft_ms.mean"]
    assert ttft.mean == pytest.approx(30.0)
    assert ttft.repeats == 2
    assert ttft.low is not None
    assert together(records[:1]).rows[0].points == [1]


def test_noise_that_a_person_states_is_no_reason_to_call_nothing_the_same() -> None:
    a, b = (side(letter, {OUTPUT: STEADY}) for letter in "AB")
    found = compare([a, b], Settings(threshold=None, noise=Noise(0.01).spread))
    assert found.pairs[0].loads[0].effects[0].word == "same"

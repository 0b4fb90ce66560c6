"""Simulated services side by side: differences by members, who is best, how many instances are enough."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import pytest
from table_runs import closed, measured, opened

from inferometer.api.simulated import Variant
from inferometer.api.what_if import fewest
from inferometer.metrics.slo import SloResult
from inferometer.metrics.summary import PointSummary
from inferometer.record.prediction import PointPrediction, Predicted
from inferometer.report.what_if import Comparison, Fewest, Simulation, compared, meets, surely_meets
from inferometer.report.what_if_lines import comparison_lines

_LIMIT_MS = 200.0
_CLOSED = measured(closed(1, 4, 20))[1].points[0]
_OPEN = measured(opened(1, 5.0))[1].points[0]


def predicted(metric: str, statistic: str, values: Sequence[float], margin: float = 0.1) -> Predicted:
    """The first value is predicted, the others are those of the members."""
    value = values[0]
    return Predicted(
        metric=metric,
        statistic=statistic,
        value=value,
        low=value * (1 - margin),
        high=value * (1 + margin),
        members=list(values[1:]),
    )


def service(
    label: str,
    rates: Sequence[float],
    ttft_ms: float = 100.0,
    *,
    instances: int = 1,
    point: PointSummary = _CLOSED,
    limited: bool = True,
) -> Simulation:
    """A service of which p99 of TTFT is limited to 200 ms."""
    result = SloResult(
        slo="p99_ttft<=200ms", met=ttft_ms <= _LIMIT_MS, measured=ttft_ms, limit=_LIMIT_MS, unit="ms"
    )
    numbers = [
        predicted("output_throughput_per_s", "value", rates),
        predicted("ttft_ms", "p99", [ttft_ms, ttft_ms, ttft_ms]),
        predicted("tpot_ms", "p50", [1e3 / rates[0], 1.0, 1.0]),
    ]
    return Simulation(
        label=label,
        what=f"{label} of something",
        run=f"runs/{label}",
        instances=instances,
        verdict="VALID",
        points=[msgspec.structs.replace(point, slo=[result] if limited else [])],
        predicted=[PointPrediction(point=point.index, members=2, numbers=numbers)],
    )


def comparison(*services: Simulation, limits: Sequence[str] = ("p99_ttft<=200ms",)) -> Comparison:
    return compared(services, limits=list(limits), fewest=[])


def test_a_difference_is_sure_when_the_members_agree_on_it_however_far_they_are_apart() -> None:
    first = service("A", [1000.0, 500.0, 2000.0])
    alike = service("B", [1100.0, 551.0, 2198.0])  # each a tenth more
    apart = service("C", [1100.0, 800.0, 1900.0])
    rows = comparison(first, alike, apart).loads[0].rows
    cells = [row.cells["out tok/s"] for row in rows]
    assert [cell.sure for cell in cells] == [None, True, False]
    assert cells[1].difference == pytest.approx(0.1)
    spread = abs(math.log(551 / 500) - math.log(2198 / 2000)) / math.sqrt(2)
    assert cells[1].difference_high == pytest.approx(1.1 * math.exp(6.314 * spread) - 1, rel=1e-3)
    assert cells[2].difference_low is not None
    assert cells[2].difference_low < 0 < (cells[2].difference_high or 0)


def test_without_an_ensemble_nothing_is_called_sure() -> None:
    alone = [
        msgspec.structs.replace(
            service(name, [rate]),
            no_interval="the profile has no ensemble",
            predicted=[
                PointPrediction(
                    point=1,
                    members=0,
                    numbers=[Predicted(metric="output_throughput_per_s", statistic="value", value=rate)],
                )
            ],
        )
        for name, rate in (("A", 10.0), ("B", 20.0))
    ]
    found = comparison(*alone)
    row = found.loads[0].rows[1]
    assert (row.cells["out tok/s"].difference, row.cells["out tok/s"].sure, row.surely) == (1.0, None, None)
    assert "no intervals: the profile has no ensemble" in found.notes


def test_the_best_of_a_closed_loop_has_the_most_output_within_the_limits() -> None:
    found = comparison(
        service("A", [1000.0, 1.0, 1.0]),
        service("B", [1500.0, 1.0, 1.0], 300.0),
        service("C", [1200.0, 1.0, 1.0]),
    )
    assert found.loads[0].best == "C"
    assert [row.meets for row in found.loads[0].rows] == [True, False, True]
    assert found.any_meets is True
    assert found.loads[0].rows[1].failing == ["p99_ttft<=200ms: 300 ms"]


def test_within_one_percent_fewer_instances_win() -> None:
    found = comparison(service("A", [1005.0], instances=4), service("B", [1000.0], instances=2))
    assert found.loads[0].best == "B"


def test_at_a_rate_the_fewest_instances_that_meet_the_limits_are_best() -> None:
    few = service("few", [900.0], instances=2, point=_OPEN)
    many = service("many", [1000.0], instances=3, point=_OPEN)
    assert comparison(many, few).loads[0].best == "few"
    unlimited = [
        msgspec.structs.replace(one, points=[msgspec.structs.replace(_OPEN, slo=[])]) for one in (many, few)
    ]
    assert comparison(*unlimited, limits=()).loads[0].best == "many"


def test_when_none_meets_the_limits_the_text_says_by_how_much() -> None:
    found = comparison(service("A", [1000.0], 300.0), service("B", [1000.0], 250.0))
    assert (found.loads[0].best, found.any_meets) == (None, False)
    text = "\n".join(comparison_lines(found))
    assert "none of these meets p99_ttft<=200ms" in text
    assert "B: p99_ttft<=200ms: 250 ms" in text


def test_the_table_shows_intervals_differences_and_doubt() -> None:
    rows = comparison(service("A", [1000.0, 500.0, 2000.0]), service("B", [1100.0, 800.0, 1900.0]))
    lines = comparison_lines(rows)
    assert [line.split() for line in lines if line.startswith("  service")] == [
        ["service", "out", "tok/s", "req/s", "TTFT", "p99", "ms", "TPOT", "p50", "ms", "limits"]
    ]
    assert any(line.split()[:2] == ["difference", "~+10.0%"] for line in lines)
    assert any("900 to 1,100" in line and line.rstrip().endswith("surely") for line in lines)
    assert lines[-2:] == ["run  runs/A  (A)", "run  runs/B  (B)"]


def test_to_be_sure_the_worse_end_of_the_interval_has_to_meet_the_limit() -> None:
    assert surely_meets(service("A", [1.0], 180.0))  # 198 ms at the worse end
    near = service("A", [1.0], 190.0)
    assert (meets(near), surely_meets(near)) == (True, False)
    assert meets(service("A", [1.0], limited=False)) is None


class Farm:
    """Instances that share a load: p99 of TTFT is 900 ms / instances."""

    def __init__(self) -> None:
        self.tried: list[int] = []

    def __call__(self, variant: Variant) -> Simulation:
        count = variant.instances or 1
        if count not in self.tried:
            self.tried.append(count)
        return service(variant.label, [1000.0], 900.0 / count, instances=count)


def test_the_fewest_instances_are_found_by_doubling_and_halving() -> None:
    farm = Farm()
    found = fewest(Variant(), 64, farm)
    assert found == Fewest(label="", enough=5, sure=5, most=64)
    assert farm.tried == [1, 2, 4, 8, 6, 5]


def test_to_be_sure_may_take_more_of_them() -> None:
    def near(variant: Variant) -> Simulation:
        return service("", [1.0], 970.0 / (variant.instances or 1))

    assert fewest(Variant(), 64, near) == Fewest(label="", enough=5, sure=6, most=64)


def test_too_few_allowed_is_an_answer_and_not_an_endless_search() -> None:
    farm = Farm()
    found = fewest(Variant(label="A"), 3, farm)
    assert (found.enough, farm.tried) == (None, [1, 2, 3])
    one = compared([farm(Variant(instances=3, label="A"))], limits=["p99_ttft<=200ms"], fewest=[found])
    assert one.any_meets is False
    assert "A: 3 instances do not meet p99_ttft<=200ms: allow more (--instances auto:12)" in "\n".join(
        comparison_lines(one)
    )


def unjudged(label: str) -> Simulation:
    """A service of too few requests for its limit."""
    plain = service(label, [1000.0])
    result = SloResult(
        slo="p99_ttft<=200ms",
        met=None,
        measured=None,
        limit=_LIMIT_MS,
        unit="ms",
        reason="needs 1,000 requests",
    )
    return msgspec.structs.replace(plain, points=[msgspec.structs.replace(_CLOSED, slo=[result])])


def test_a_limit_that_cannot_be_judged_is_not_called_met_or_missed() -> None:
    found = comparison(unjudged("A"), unjudged("B"))
    text = "\n".join(comparison_lines(found))
    assert (found.loads[0].best, found.any_meets) == (None, False)
    assert "it is not known whether any of these meets p99_ttft<=200ms" in text
    assert "B: p99_ttft<=200ms: needs 1,000 requests" in text
    assert "best" not in text


def test_a_number_of_instances_that_cannot_be_judged_is_not_called_too_small() -> None:
    found = fewest(Variant(), 2, lambda variant: unjudged(variant.label))
    assert (found.enough, found.unknown) == (None, "p99_ttft<=200ms: needs 1,000 requests")
    text = "\n".join(comparison_lines(compared([], limits=["p99_ttft<=200ms"], fewest=[found])))
    assert (
        "it is not known whether 2 instances meet the limits: p99_ttft<=200ms: needs 1,000 requests" in text
    )


def test_limits_for_each_request_alone_are_none_that_a_service_misses() -> None:
    found = comparison(
        service("A", [1000.0], limited=False), service("B", [1100.0], limited=False), limits=["ttft<=200ms"]
    )
    assert (found.any_meets, found.loads[0].best) == (None, "B")
    assert "within your limits" not in "\n".join(comparison_lines(found))


def test_what_all_services_rest_on_is_said_once_and_the_rest_with_its_name() -> None:
    first, second = (
        msgspec.structs.replace(service(label, [1000.0]), notes=["not calibrated", *more])
        for label, more in (("A", []), ("B", ["not simulated: --enforce-eager"]))
    )
    notes = comparison(first, second).notes
    assert notes.count("not calibrated") == 1
    assert "B: not simulated: --enforce-eager" in notes

"""How a search ends, other than by finding the limit; and what it refuses before it begins."""

import re
from typing import Any

import msgspec
import numpy as np
import pytest
from search_world import SERVICE_S, search, spec_for
from virtual_servers import Batching, Fifo

from inferometer.errors import UsageError
from inferometer.metrics.summary import PointSummary, summarize_point
from inferometer.metrics.targets import PeakResult
from inferometer.record.tables import PointTable, Telemetry
from inferometer.spec import Load, LoadPoint, Measure, Sessions, Workload, derive_seed
from inferometer.spec.search_rules import check_search, settled
from inferometer.tuner.capacity import Ask, next_step
from inferometer.tuner.objective import excursions, objectives_of
from inferometer.tuner.outlook import first_wanted, outlook
from inferometer.tuner.points import Wanted, point_of
from inferometer.tuner.slo_search import again, probe_from, settings_of, start_of
from inferometer.tuner.targets import find_target

P90 = ("p90_ttft<=600ms",)


def test_no_rate_is_good_where_one_request_alone_takes_too_long() -> None:
    found = search(Fifo(SERVICE_S), spec_for(("p90_ttft<=50ms",)))
    assert (found.status, found.load) == ("none", None)
    assert found.limited_by == "p90_ttft<=50ms"
    assert len(found.probes) == 2


def test_the_highest_allowed_load_may_still_be_good() -> None:
    found = search(Fifo(SERVICE_S), spec_for(P90, highest=4.0))
    assert (found.status, found.load) == ("at least", 4.0)
    assert found.probes[-1].outcome == "met"


def test_a_search_broken_off_says_what_is_known() -> None:
    found = search(Fifo(SERVICE_S), spec_for(P90), most=2)
    assert found.status == "unfinished"
    assert len(found.probes) == 2


def test_a_budget_of_time_ends_it() -> None:
    found = search(Fifo(SERVICE_S), spec_for(P90, budget_s=400.0))
    assert "budget" in found.why
    assert (
        sum(probe.duration_s for probe in found.probes) <= 1.05 * 400.0
    )  # arrivals by chance take a little longer


def test_requests_per_load_point_are_as_asked() -> None:
    found = search(Fifo(SERVICE_S), spec_for(P90, load=Load(num_prompts=(600,)), max_probes=6))
    assert {probe.requests for probe in found.probes} == {600}


def test_each_probe_has_arrivals_of_its_own_and_the_same_search_finds_the_same() -> None:
    seen: list[LoadPoint] = []

    class Watched(Fifo):
        def serve(self, point: LoadPoint) -> PointTable:
            seen.append(point)
            return super().serve(point)

    first, second = (search(Watched(SERVICE_S), spec_for(P90, seed=3)) for _ in range(2))
    assert msgspec.json.encode(first) == msgspec.json.encode(second)
    points = seen[: len(first.probes)]
    assert [point.seed for point in points] == [derive_seed(3, f"probe {k + 1}") for k in range(len(points))]


def test_the_stored_load_points_give_the_same_result() -> None:
    tables: list[PointTable] = []

    class Kept(Fifo):
        def serve(self, point: LoadPoint) -> PointTable:
            tables.append(super().serve(point))
            return tables[-1]

    spec = spec_for(P90, seed=1)
    found = search(Kept(SERVICE_S), spec)
    assert msgspec.json.encode(again(spec, tables, Telemetry())) == msgspec.json.encode(found)


def test_slow_requests_that_follow_one_another_are_one_excursion() -> None:
    values = np.array([1, 1, 9, 9, 9, 5, 9, 1, 1, 1, 9, 1, 1, 1, 1, 1], dtype=float)
    assert excursions(values, 8.0) == 2


@pytest.mark.parametrize(
    ("slo", "words"),
    [
        ((), "needs a limit"),
        (("output_throughput>=100",), "more load brings more throughput"),
        (("ttft:500",), "how many have to meet it"),
        (("attainment>=95%",), "without a limit"),
    ],
)
def test_limits_that_cannot_be_searched_for_are_refused(slo: tuple[str, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        objectives_of(slo)


@pytest.mark.parametrize(
    ("load", "variable", "words"),
    [
        (Load(request_rate=(1.0, 2.0)), "request-rate", "the search itself chooses"),
        (Load(max_concurrency=(4, 8)), "request-rate", "varies one load only"),
        (Load(request_rate=(1.0,)), "max-concurrency", "would hold the load back"),
        (Load(), "session-rate", "are not sessions"),
    ],
)
def test_other_loads_are_single_values(load: Load, variable: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_search(spec_for(P90, load=load, variable=variable))


def test_without_a_warmup_a_rate_has_to_be_said() -> None:
    with pytest.raises(UsageError, match="without a warm-up"):
        start_of(spec_for(P90), None)
    assert start_of(spec_for(P90), 0.5) == 0.5


def test_the_cost_is_told_before() -> None:
    text = "\n".join(outlook(spec_for(("p99_ttft<=500ms",), budget_s=1800.0)))
    assert "1,000 to 16,000 requests" in text
    assert "at 10/s" in text
    assert "30 min" in text


@pytest.mark.parametrize("most", [1, 2, 4, 6, 12])
def test_the_cost_of_few_load_points_is_no_less_than_none(most: int) -> None:
    asked = spec_for(P90, max_probes=most)
    numbers = re.search(r"([\d,]+) to ([\d,]+) requests in all", "\n".join(outlook(asked)))
    assert numbers
    low, high = (int(number.replace(",", "")) for number in numbers.groups())
    assert 0 < low <= high


@pytest.mark.parametrize(
    ("search", "words"),
    [
        (
            {"target": "peak-throughput"},
            "peak of output throughput over requests in flight: at most 12 load points",
        ),
        (
            {"target": "knee", "knee_latency": "ttft", "variable": "request-rate"},
            "against mean TTFT over request rate",
        ),
        ({"target": "max-batch", "tpot_limit_s": 0.05}, "mean TPOT <= 50 ms: at most 24 load points"),
    ],
)
def test_other_targets_say_what_they_look_for(search: dict[str, Any], words: str) -> None:
    lengths = Workload(input_len=(8,), output_len=(4,))
    assert words in outlook(spec_for((), **search).model_copy(update={"workload": lengths}))[0]


def test_a_batch_search_without_a_limit_is_refused_before_it_begins() -> None:
    lengths = Workload(input_len=(8,), output_len=(4,))
    asked = spec_for((), target="max-batch").model_copy(update={"workload": lengths})
    with pytest.raises(UsageError, match="limit on the time per token"):
        first_wanted(asked)


@pytest.mark.parametrize(
    ("asked", "turns", "varied"),
    [
        ({"target": None}, 1, "request-rate"),
        ({"target": None}, 3, "session-rate"),
        ({"target": "knee"}, 3, "max-concurrency"),
        ({"target": "peak-throughput"}, 1, "max-concurrency"),
        ({"target": "peak-throughput", "variable": "request-rate"}, 1, "request-rate"),
    ],
)
def test_each_target_varies_what_is_natural_for_it(asked: dict[str, Any], turns: int, varied: str) -> None:
    spec = spec_for(P90, **asked).model_copy(update={"sessions": Sessions(turns=turns)})
    found = settled(spec).search
    assert (found.target, found.variable) == (asked["target"] or "slo", varied)


def test_a_budget_of_time_ends_the_search_for_a_peak_too() -> None:
    spec = spec_for((), target="peak-throughput", budget_s=30.0, highest=256.0)
    spent: list[float] = []

    def figures(wanted: Wanted) -> PointSummary:
        table = Batching().serve(point_of(spec, wanted, len(spent) + 1))
        found = summarize_point(table, Measure())
        spent.append(found.duration_s or 0.0)
        return found

    found = find_target(spec, 1.0, figures)
    assert isinstance(found, PeakResult)
    assert sum(spent[:-1]) < 30.0 <= sum(spent)
    assert "budget of 30 s is spent" in found.doubts[0]


def test_sessions_are_counted_as_sessions_however_many_turns_they_have() -> None:
    spec = spec_for(P90, variable="session-rate")
    table = Fifo(SERVICE_S).serve(point_of(spec, Wanted(4.0, 1, 600), 1))
    turns = {**table.requests, "turn": np.arange(600) % 2.0, "sent_ns": table.requests["planned_ns"] + 80e6}
    objectives = objectives_of(P90)
    late = PointTable(point=table.point, requests=turns, chunks=table.chunks)
    probe = probe_from(spec, objectives, (late, Telemetry()))

    assert (probe.outcome, probe.requests, probe.arrivals) == ("client", 600, 300)
    assert next_step([probe], settings_of(spec, objectives, 4.0)) == Ask(4.0, 2, 300)  # again, as large

"""How a search ends, other than by finding the limit; and what it refuses before it begins."""

import msgspec
import pytest
from search_world import SERVICE_S, search, spec_for

from inferometer.errors import UsageError
from inferometer.record.tables import PointTable, Telemetry
from inferometer.simulator.virtual import Fifo
from inferometer.spec import Load, LoadPoint, derive_seed
from inferometer.spec.search_rules import check_search
from inferometer.tuner.objective import excursions, objectives_of
from inferometer.tuner.outlook import outlook
from inferometer.tuner.slo_search import again, start_of

import numpy as np  # isort: skip

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

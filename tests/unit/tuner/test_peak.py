"""The peak of throughput: found, verified, and doubted where there is reason to."""

from __future__ import annotations

import numpy as np
import pytest
from services import along, batch_engine, closed, queue, real_curves, refusing, virtual
from virtual_servers import Batching

from inferometer.simulator.server.settings import SimSettings
from inferometer.tuner.ledger import Bounds, Measure, NoMoreProbes
from inferometer.tuner.peak import PeakOptions, find_peak

OPTIONS = PeakOptions(Bounds(1.0, 1024.0, whole=True))


def test_the_answer_is_the_smallest_load_of_the_plateau() -> None:
    found = find_peak(closed(batch_engine(64)), OPTIONS)

    assert (found.load, found.sure, found.reached, found.decline) == (64.0, True, True, None)
    assert found.throughput == pytest.approx(64 / (0.5 + 0.64) * 100)
    assert found.limited_by == "the server: more load brings no more throughput"
    assert len(found.probes) <= OPTIONS.max_probes


def test_no_load_below_that_of_littles_law_is_measured_after_the_climb() -> None:
    found = find_peak(closed(batch_engine(64)), OPTIONS)

    least = 64 / (0.5 + 0.64) * 0.51  # X * E of a single stream
    assert found.least_load == pytest.approx(least)
    climb = [1.0, 4.0, 16.0, 64.0, 256.0]
    assert [probe.load for probe in found.probes][:5] == climb
    assert min(probe.load for probe in found.probes[5:]) >= least


def test_the_answer_and_one_step_beyond_are_measured_again() -> None:
    found = find_peak(closed(batch_engine(64)), OPTIONS)

    repeats = {point.load: point.repeats for point in found.curve}
    assert repeats[64.0] == repeats[80.0] == 2
    assert any("one step beyond, load 80" in reason for reason in found.why)


def test_what_is_lost_beyond_the_peak_is_told() -> None:
    def preempting(load: float) -> float:
        return batch_engine(64)(load) * (1.0 - 0.2 * min(1.0, max(0.0, (load - 64) / 64)))

    found = find_peak(closed(preempting, noise=0.005), OPTIONS)

    assert (found.load, found.sure) == (64.0, True)
    assert found.decline == pytest.approx(0.2, abs=0.02)
    assert "throughput falls beyond the peak" in found.limited_by


def test_throughput_that_still_rises_at_the_largest_load_is_no_peak() -> None:
    found = find_peak(closed(lambda load: load), PeakOptions(Bounds(1.0, 64.0, whole=True)))

    assert (found.load, found.reached, found.sure) == (64.0, False, False)
    assert found.limited_by == "the largest load that was allowed, 64: throughput was still rising"


def test_a_load_that_the_server_refuses_ends_the_climb() -> None:
    found = find_peak(refusing(closed(lambda load: load), 100, "errors"), OPTIONS)

    assert found.load is not None
    assert 80 <= found.load <= 100
    assert found.limited_by.startswith("the server: at load 1")
    assert "errors: see there" in found.limited_by
    assert not found.sure


def test_a_client_at_its_end_is_no_evidence_about_the_server() -> None:
    found = find_peak(refusing(closed(lambda load: load), 100, "client CPU"), OPTIONS)

    assert found.limited_by.startswith("the load generator: at load 1")
    assert any("the load generator could not make load" in doubt for doubt in found.doubts)


def test_when_the_lowest_load_fails_there_is_no_answer() -> None:
    found = find_peak(refusing(closed(lambda load: load), 0, "errors"), OPTIONS)

    assert (found.load, found.throughput, found.sure) == (None, None, False)
    assert found.limited_by == "not even the lowest load, 1, was carried: errors: see there"


def test_a_budget_that_is_spent_is_told_with_what_is_known() -> None:
    found = find_peak(closed(batch_engine(64)), PeakOptions(Bounds(1.0, 1024.0, whole=True), max_probes=4))

    assert (found.load, len(found.probes), found.sure) == (64.0, 4, False)
    assert found.doubts[0] == (
        "the search ended early: all 4 load points of the budget are measured (--max-probes)"
    )


def test_whoever_measures_may_end_the_search() -> None:
    service = closed(batch_engine(64))

    def for_a_while(load: float, repeat: int) -> object:
        if load > 16:
            raise NoMoreProbes("30 minutes are over (--budget)")
        return service(load, repeat)

    found = find_peak(for_a_while, OPTIONS)  # type: ignore[arg-type]

    assert found.load == 16.0
    assert found.doubts[0] == "the search ended early: 30 minutes are over (--budget)"


def test_the_same_results_lead_to_the_same_search() -> None:
    service = closed(batch_engine(200), noise=0.01, seed=3)
    stored: dict[tuple[float, int], object] = {}

    def recording(load: float, repeat: int) -> object:
        return stored.setdefault((load, repeat), service(load, repeat))

    first = find_peak(recording, OPTIONS)  # type: ignore[arg-type]
    again = find_peak(lambda *which: stored[which], OPTIONS)  # type: ignore[arg-type, return-value]

    assert again == first


def test_a_rate_is_raised_until_it_is_no_longer_carried() -> None:
    service = queue(lambda rate: 1.0 / (10.0 - rate), capacity=10.0)
    options = PeakOptions(Bounds(0.1, 100.0, whole=False), closed=False)

    found = find_peak(service, options)

    assert found.load == pytest.approx(10.0, rel=0.13)
    assert found.throughput == pytest.approx(1000.0, rel=0.01)
    assert (found.sure, found.least_load) == (True, pytest.approx(10.0))


def test_with_a_limit_in_flight_no_rate_above_littles_law_is_tried() -> None:
    # 8 permits and 0.5 s: no more than 16 per second, whatever is asked for.
    service = queue(lambda _: 0.5, capacity=16.0)
    options = PeakOptions(Bounds(1.0, 1000.0, whole=False), closed=False, permits=8)

    found = find_peak(service, options)

    assert max(probe.load for probe in found.probes) == 16.0
    assert found.limited_by == "the limit of 8 in flight: by Little's law it carries no rate above 16"


@pytest.mark.parametrize(
    ("places", "noise", "heavy"),
    [(64, 0.005, False), (200, 0.005, False), (64, 0.02, False), (200, 0.01, True)],
)
def test_noise_makes_it_doubt_rather_than_err(places: int, noise: float, heavy: bool) -> None:
    def noisy(seed: int) -> Measure:
        if not heavy:
            return closed(batch_engine(places), noise, seed)
        rng = np.random.default_rng(seed)  # one measurement of ten is slow
        return closed(
            lambda load: batch_engine(places)(load) * (0.95 if rng.random() < 0.1 else 1.0), noise / 4, seed
        )

    truth, top = batch_engine(places), batch_engine(places)(1e6)
    results = [find_peak(noisy(seed), OPTIONS) for seed in range(40)]

    wrong = sum(result.sure and truth(result.load or 1.0) < 0.97 * top for result in results)
    assert wrong <= 2
    assert np.median([truth(result.load or 1.0) / top for result in results]) > 0.98
    if noise <= 0.005:
        assert sum(result.sure for result in results) >= 24


def test_the_simulated_engine_peaks_where_its_places_end() -> None:
    server = Batching(SimSettings(max_num_seqs=32), answer_spread=0.3)

    found = find_peak(
        virtual(server, input_len=64, output_len=32), PeakOptions(Bounds(1.0, 128.0, whole=True))
    )

    assert found.load is not None
    assert 27 <= found.load <= 40
    assert found.reached
    assert all(probe.steady for probe in found.probes)


def test_on_real_sweeps_a_rise_to_the_last_load_is_never_called_a_peak() -> None:
    rising = peaked = 0
    for name, curve in real_curves():
        loads = list(curve)
        rates = [requests_per_s for requests_per_s, _ in curve.values()]
        found = find_peak(along(curve), PeakOptions(Bounds(loads[0], loads[-1], whole=True)))
        assert found.load is not None
        if max(rates[:-1]) < 0.97 * rates[-1]:
            rising += 1
            assert (found.sure, found.load > loads[-2]) == (False, True), name
        elif max(rates[:-1]) > 1.03 * rates[-1]:
            peaked += 1
            assert found.load < loads[-1], name
            assert found.throughput == pytest.approx(max(rates) * 100, rel=0.03), name
    assert rising > 40
    assert peaked >= 1

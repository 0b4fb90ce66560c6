"""Searches on servers whose capacity is known from theory, by twenty seeds each, in virtual time."""

import random

import numpy as np
import pytest
from search_world import CARRIED_PER_S, SERVICE_S, search, spec_for, true_rate, waiting_at_most
from virtual_servers import Batching, Fifo

from inferometer.metrics.latency import PointData
from inferometer.simulator import SimSettings
from inferometer.spec import LoadPoint, RunSpec
from inferometer.tuner.points import Wanted, point_of

SEEDS = range(20)


def test_the_waiting_time_of_theory_is_that_of_textbooks() -> None:
    assert waiting_at_most(0.0, 0.5) == pytest.approx(0.5)
    assert waiting_at_most(1.0, 0.5) == pytest.approx(0.8244, abs=1e-4)  # 0.5 e^0.5
    assert true_rate(6.0, 0.9) == pytest.approx(7.996, abs=0.001)


def test_capacity_within_3_percent_in_19_of_20_seeds() -> None:
    truth, close, covered = true_rate(6.0, 0.95), 0, 0
    for seed in SEEDS:
        found = search(Fifo(SERVICE_S), spec_for(("p95_ttft<=600ms",), seed))
        assert found.status in ("found", "bracketed")
        assert len(found.probes) <= 12
        assert found.load is not None
        assert found.low is not None
        assert found.high is not None
        close += abs(found.load / truth - 1.0) <= 0.03
        covered += found.low <= truth <= found.high
    assert close >= 19
    assert covered >= 18


def test_saturation_bounds_a_limit_that_hardly_binds() -> None:
    found = search(Fifo(SERVICE_S), spec_for(("p90_ttft<=4s",)))
    assert found.carried_per_s == pytest.approx(CARRIED_PER_S, rel=0.02)
    assert found.load == pytest.approx(true_rate(40.0, 0.9), rel=0.03)


def test_concurrency_of_a_batching_engine_is_known_to_one_request() -> None:
    engine = Batching(SimSettings(), answer_spread=0.3)
    spec = spec_for(("p90_tpot<=24ms",), variable="max-concurrency")
    found = search(engine, spec, start=1.0)
    assert found.status == "found"
    assert found.limited_by == "p90_tpot<=24ms"
    assert found.load is not None
    truth = {off: long_p90_tpot_ms(engine, spec, found.load + off) for off in (-2.0, 3.0)}
    assert truth[-2.0] <= 24.0 < truth[3.0]


def long_p90_tpot_ms(engine: Batching, spec: RunSpec, concurrency: float) -> float:
    """Over so many requests that its error does not matter."""
    table = engine.serve(point_of(spec, Wanted(concurrency, 1, 3000), 99))
    return float(np.percentile(PointData(table).tpot_ms, 90))


def test_a_server_that_is_slow_at_middling_loads_is_not_called_sure() -> None:
    def dip(point: LoadPoint) -> float:
        middling = 4.5 < (point.request_rate or 0.0) < 7.0
        return (1.5 if middling else 1.0) * random.Random(point.seed).gauss(1.0, 0.05)

    results = [search(Fifo(SERVICE_S, slower=dip), spec_for(("p90_ttft<=600ms",), seed)) for seed in range(8)]
    assert sum(found.status == "unsure" for found in results) >= 6
    # Up to 4.5 all is good, in the dip up to 8 / 1.5 = 5.3: whoever is sure has to mean that edge, not the one beyond.
    assert all(4.3 < (found.load or 0.0) < 5.6 for found in results if found.status == "found")


def test_a_server_that_differs_from_point_to_point_is_not_called_sure() -> None:
    def mood(point: LoadPoint) -> float:
        return random.Random(point.seed).choice((0.7, 1.0, 1.4))

    words = {
        search(Fifo(SERVICE_S, slower=mood), spec_for(("p90_ttft<=600ms",), seed)).status for seed in range(6)
    }
    assert "found" not in words
    assert "unsure" in words

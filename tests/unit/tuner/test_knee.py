"""The knee: where theory puts it, where real curves bend, and none where there is none."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from services import along, batch_engine, closed, queue, real_curves, refusing, virtual
from virtual_servers import Batching

from inferometer.tuner.knee import KneeOptions, find_knee
from inferometer.tuner.ledger import Bounds

CLOSED = KneeOptions(Bounds(1.0, 1024.0, whole=True))
OPEN = KneeOptions(Bounds(0.1, 20.0, whole=False))


def mm1(rate: float) -> float:
    return 1.0 / (10.0 - rate)


def md1(rate: float) -> float:
    return 0.1 * (1.0 + rate / 10.0 / (2.0 * (1.0 - rate / 10.0)))


@pytest.mark.parametrize(("latency_s", "share"), [(mm1, 0.5), (md1, 2.0 - math.sqrt(2.0))])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_a_queue_has_its_knee_where_theory_says(
    latency_s: Callable[[float], float], share: float, noise: float
) -> None:
    results = [find_knee(queue(latency_s, 10.0, noise, seed), OPEN) for seed in range(20)]

    assert all(result.low <= 10.0 * share <= result.high for result in results if result.low and result.high)
    assert np.median([result.load / 10.0 for result in results if result.load]) == pytest.approx(
        share, rel=0.12
    )
    assert sum(result.sure for result in results) >= 17


@pytest.mark.parametrize("noise", [0.0, 0.005])
def test_a_batch_engine_has_its_knee_where_the_batch_doubles_the_time(noise: float) -> None:
    # N / (b + s N) squared over N is largest at N = b / s.
    results = [find_knee(closed(batch_engine(1e6), noise, seed), CLOSED) for seed in range(20)]

    assert all(result.low <= 50.0 <= result.high for result in results if result.low and result.high)
    assert sum(result.sure for result in results) >= 17
    assert all(len(result.probes) <= CLOSED.max_probes for result in results)
    if noise == 0.0:
        assert [(r.load, r.bend) for r in results[:1]] == [(50.0, True)]
        assert results[0].gain_below is not None
        assert results[0].gain_above is not None
        assert results[0].gain_below > 0.5 > results[0].gain_above


def test_an_engine_with_few_places_has_its_knee_there() -> None:
    found = find_knee(closed(batch_engine(32)), CLOSED)

    assert (found.load, found.sure) == (32.0, True)
    assert found.limited_by == "E2EL, which grows faster than throughput beyond it"


def test_a_line_has_no_knee() -> None:
    found = find_knee(closed(lambda load: load), KneeOptions(Bounds(1.0, 256.0, whole=True)))

    assert (found.load, found.bend, found.sure, found.low) == (256.0, False, False, None)
    assert found.doubts == ["the curve does not bend where it was measured"]
    assert found.limited_by == (
        "the largest load that was measured, 256: up to there throughput outgrows latency"
    )


def test_a_service_that_is_full_with_one_request_has_no_knee_above() -> None:
    found = find_knee(closed(lambda _: 5.0), CLOSED)

    assert (found.load, found.bend, found.sure) == (1.0, False, False)
    assert found.limited_by == "latency, which outgrows throughput from the lowest load on, 1"


def test_a_curve_that_ends_in_errors_says_so() -> None:
    found = find_knee(refusing(closed(lambda load: load), 50, "errors"), CLOSED)

    assert not found.bend
    assert "was not carried: errors: see there" in found.limited_by


def test_a_dip_on_the_way_to_the_knee_is_told() -> None:
    def hiccup(load: float) -> float:
        # A batch size for which the engine has no captured graph.
        return batch_engine(1e6)(load) * (0.6 if 20 < load < 40 else 1.0)

    found = find_knee(closed(hiccup), CLOSED)

    assert not found.sure
    assert found.doubts == ["power falls and rises again at 32: more than one knee"]


def test_a_budget_that_is_spent_leaves_a_doubt() -> None:
    found = find_knee(closed(batch_engine(1e6)), KneeOptions(Bounds(1.0, 1024.0, whole=True), max_probes=7))

    assert found.bend
    assert any("were measured once: all 7 load points" in doubt for doubt in found.doubts)


def test_the_knee_of_the_simulated_engine_does_not_depend_on_the_range() -> None:
    server = Batching(answer_spread=0.2)
    narrow, wide = (
        find_knee(virtual(server, output_len=16), KneeOptions(Bounds(1.0, upper, whole=True)))
        for upper in (64.0, 256.0)
    )

    assert narrow.load is not None
    assert wide.load is not None
    assert wide.load == pytest.approx(narrow.load, rel=0.3)


def test_on_real_sweeps_the_knee_is_the_best_measured_load_and_stays_when_the_last_is_left_out() -> None:
    bent = moved = 0
    for name, curve in real_curves():
        loads = list(curve)
        power = [requests_per_s / latency_s for requests_per_s, latency_s in curve.values()]
        place = int(np.argmax(power))
        if not 0 < place < len(loads) - 1:
            continue
        bent += 1
        found = find_knee(along(curve), KneeOptions(Bounds(loads[0], loads[-1], whole=True)))
        assert found.load is not None
        assert loads[place - 1] < found.load < loads[place + 1], name
        if place < len(loads) - 2:
            less = find_knee(along(curve), KneeOptions(Bounds(loads[0], loads[-2], whole=True)))
            moved += less.load is None or not 0.7 < less.load / found.load < 1.4
    assert bent > 30
    assert moved <= 1

"""Averages of a closed loop are near to replays of it, which is what lets a fit walk along them."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from inferometer.simulator.calibration.fit import NAMES, Prior
from inferometer.simulator.calibration.steady import SteadyState
from inferometer.simulator.calibration.table import Habits, Point, TableProblem, predict
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.experts import TouchedExperts
from inferometer.simulator.latency.model import Coefficients

COST = Coefficients(
    weights_s=8e-3,
    token_s=3e-5,
    step_s=3e-3,
    sequence_s=2e-5,
    kv_token_s=3e-8,
    attention_s=1e-9,
    arrival_s=4e-3,
    first_token_s=1e-3,
    prompt_step_s=2e-3,
)
CHUNKED = EngineLimits(max_num_seqs=64, max_num_batched_tokens=4096)
WHOLE = EngineLimits(scheduler="prefill-first", max_num_seqs=64, max_num_batched_tokens=4096)
FEW_SEATS = msgspec.structs.replace(CHUNKED, max_num_seqs=8)
PLACES = [(1, 512, 128), (8, 512, 256), (16, 2048, 256), (32, 512, 512)]


def points() -> list[Point]:
    return [Point(concurrency=c, input_tokens=i, output_tokens=o) for c, i, o in PLACES]


@pytest.mark.parametrize("limits", [CHUNKED, WHOLE, FEW_SEATS], ids=["chunked", "prefill-first", "few seats"])
@pytest.mark.parametrize("experts", [None, TouchedExperts(routed=0.9, picked=0.06)], ids=["dense", "mixture"])
def test_averages_are_near_to_replays(limits: EngineLimits, experts: TouchedExperts | None) -> None:
    means = SteadyState(points(), [limits] * len(PLACES), experts).averages(COST)
    told = [predict(point, limits, COST, Habits(rounds=50), experts) for point in points()]
    assert means.tpot_s == pytest.approx([row.tpot_s for row in told], rel=0.15)
    assert means.ttft_s == pytest.approx([row.ttft_s for row in told], rel=0.6)


def test_a_correction_makes_averages_equal_to_replays() -> None:
    measured = [msgspec.structs.replace(point, ttft_s=0.1, tpot_s=0.02) for point in points()]
    problem = TableProblem(measured, CHUNKED, Habits())
    logs = np.append(Prior(COST, (1.0,) * len(NAMES)).logs(), np.log(10.0))
    replayed = problem.simulated(logs)
    assert not np.allclose(problem.averaged(logs), replayed)
    problem.correct(logs, replayed)
    assert np.allclose(problem.averaged(logs), replayed)

"""Fits find the coefficients that made the times, and say which ones the times cannot show."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from inferometer.errors import UsageError
from inferometer.simulator.calibration.capacity import capacity_seen
from inferometer.simulator.calibration.evidence import Observed
from inferometer.simulator.calibration.evidence_fit import Evidence, JointFit, fit_evidence
from inferometer.simulator.calibration.evolution import minimise
from inferometer.simulator.calibration.fit import NAMES, coefficients_of, fit
from inferometer.simulator.calibration.replay import Times, open_load, replay
from inferometer.simulator.calibration.requests import RunTimes
from inferometer.simulator.calibration.seen import identifiability, warnings
from inferometer.simulator.calibration.table import Habits, Point, fit_table, point_noise, predict
from inferometer.simulator.instance.limits import EngineLimits, SchedulerName
from inferometer.simulator.latency.model import Coefficients

TRUTH = Coefficients(
    weights_s=8e-3,
    token_s=4e-5,
    step_s=6e-3,
    sequence_s=4e-5,
    kv_token_s=5e-8,
    attention_s=4e-9,
    arrival_s=2e-3,
    first_token_s=1e-3,
    prompt_step_s=3e-3,
)
LIMITS = EngineLimits(max_num_seqs=32, max_num_batched_tokens=1024, kv_blocks=20_000)


HABITS = Habits(rounds=3)


def measured(limits: EngineLimits = LIMITS, requests: int = 60) -> RunTimes:
    random = np.random.default_rng(3)
    inputs = random.integers(50, 2000, requests).tolist()
    outputs = random.integers(20, 200, requests).tolist()
    load = open_load(inputs, outputs, np.cumsum(random.exponential(0.1, requests)).tolist())
    return RunTimes(load, replay(load, limits, TRUTH))


def fitted(
    run: RunTimes, limits: EngineLimits = LIMITS, first: int | None = None, pool: bool = True
) -> JointFit:
    used = np.arange(len(run.load.jobs)) < (first or len(run.load.jobs))
    point = Observed(name="run", configuration="run", run=run, used=used, limits=limits)
    return fit_evidence(Evidence(observed=(point,), limits=limits, pool_known=pool))


def test_first_half_of_a_run_predicts_the_second() -> None:
    run = measured()
    found = fitted(run, first=30)
    told = replay(run.load, LIMITS, found.fit.coefficients)
    off = told.e2e_s()[30:] / run.times.e2e_s()[30:] - 1
    assert np.abs(off).mean() < 0.03
    assert abs(told.ttft_s()[30:].mean() / run.times.ttft_s()[30:].mean() - 1) < 0.02


def test_times_not_used_are_not_looked_at() -> None:
    run = measured(requests=16)
    blind = run.times.last_s.copy()
    blind[8:] = np.nan
    hidden = RunTimes(run.load, Times(run.times.arrival_s, run.times.first_s, blind))
    one, other = fitted(run, first=8), fitted(hidden, first=8)
    assert np.array_equal(one.fit.logs, other.fit.logs)


def test_the_pool_is_found_where_requests_wait_for_it() -> None:
    small = msgspec.structs.replace(LIMITS, kv_blocks=700, max_model_len=8192)
    run = measured(small, requests=24)
    seen = capacity_seen(run.load, run.times, small.max_num_seqs)
    assert seen.limits
    found = fitted(run, pool=False)
    assert found.pool.how == "fitted"
    assert np.exp(found.fit.logs[-1]) == pytest.approx(700 * small.block_tokens, rel=0.1)


def test_the_pool_is_found_where_waits_for_it_are_short() -> None:
    small = msgspec.structs.replace(LIMITS, kv_blocks=700, max_model_len=8192)
    whole = measured(small, requests=24)
    early = fitted(whole, first=16, pool=False)
    assert not capacity_seen(whole.load, whole.times, small.max_num_seqs, np.arange(24) < 16).limits
    assert early.pool.how == "fitted"
    assert np.exp(early.fit.logs[-1]) == pytest.approx(700 * small.block_tokens, rel=0.1)


def test_a_pool_that_nobody_waits_for_is_not_fitted() -> None:
    run = measured(requests=20)
    assert not capacity_seen(run.load, run.times, LIMITS.max_num_seqs).limits
    assert fitted(run, pool=False).pool.how == "never full"


def points_of(
    *places: tuple[int, int, int], habits: Habits = HABITS, limits: EngineLimits = LIMITS
) -> list[Point]:
    rows = []
    for concurrency, given, made in places:
        bare = Point(concurrency=concurrency, input_tokens=given, output_tokens=made)
        told = predict(bare, limits, TRUTH, habits)
        rows.append(msgspec.structs.replace(bare, ttft_s=told.ttft_s, tpot_s=told.tpot_s))
    return rows


PLACES = ((1, 256, 64), (16, 256, 64), (1, 2048, 64), (16, 2048, 64), (8, 256, 256))


@pytest.mark.parametrize("scheduler", ["chunked", "prefill-first"])
def test_five_points_predict_another(scheduler: SchedulerName) -> None:
    limits = msgspec.structs.replace(LIMITS, scheduler=scheduler)
    found = fit_table(points_of(*PLACES, limits=limits), limits, habits=HABITS)
    (other,) = points_of((8, 1024, 128), limits=limits)
    told = predict(other, limits, found.coefficients, found.habits)
    assert told.tpot_s == pytest.approx(other.tpot_s, rel=0.03)
    assert told.ttft_s == pytest.approx(other.ttft_s, rel=0.1)


def test_a_seat_too_few_shows_in_the_first_tokens() -> None:
    short = Habits(rounds=10, held_back=1)
    found = fit_table(points_of(*PLACES, habits=short), LIMITS)
    assert found.habits.held_back == 1
    assert found.habits.rounds == pytest.approx(10, rel=0.2)


def test_a_point_that_no_step_explains_does_not_bend_the_others() -> None:
    rows = points_of(*PLACES, (16, 1024, 128))
    rows[-1] = msgspec.structs.replace(rows[-1], ttft_s=5 * (rows[-1].ttft_s or 0.0))
    found = fit_table(rows, LIMITS, habits=HABITS)
    (other,) = points_of((8, 1024, 128))
    told = predict(other, LIMITS, found.coefficients, found.habits)
    assert told.ttft_s == pytest.approx(other.ttft_s, rel=0.15)


def test_what_one_client_cannot_show_is_named() -> None:
    run = measured(msgspec.structs.replace(LIMITS, max_num_seqs=1), requests=12)
    found = fitted(run, msgspec.structs.replace(LIMITS, max_num_seqs=1))
    rows = identifiability(found.fit, found.prior)
    assert {row.name for row in rows} == set(NAMES) - {"comm_token_s"}
    unseen = {row.name for row in rows if not row.seen}
    assert "sequence_s" in unseen
    assert "token_s" not in unseen
    assert any("sequence_s" in line and "concurrency 256" in line for line in warnings(rows))


@pytest.mark.parametrize(("ttft", "tpot"), [(None, 0.01), (0.1, None)])
def test_a_table_without_a_column_is_refused(ttft: float | None, tpot: float | None) -> None:
    row = Point(concurrency=1, input_tokens=10, output_tokens=10, ttft_s=ttft, tpot_s=tpot)
    with pytest.raises(UsageError, match="TTFT and one TPOT"):
        fit_table([row], LIMITS)


def test_a_held_coefficient_stays() -> None:
    center = np.log(np.full(len(NAMES), 1e-3))
    spread = np.zeros(len(NAMES))
    spread[0] = 1.0
    found = fit(lambda logs: (logs[:1] - np.log(5e-3)) / 0.01, center, spread)
    assert found.coefficients.weights_s == pytest.approx(5e-3, rel=1e-3)
    assert coefficients_of(found.logs).token_s == pytest.approx(1e-3)


def test_evolution_finds_the_bottom_of_a_valley_and_repeats() -> None:
    def valley(at: np.ndarray) -> float:
        return float((at[0] - 1) ** 2 + 100 * (at[1] - at[0] ** 2) ** 2)

    one = minimise(valley, np.array([-1.0, 1.0]), np.eye(2) * 0.1, 5, evaluations=1500)
    again = minimise(valley, np.array([-1.0, 1.0]), np.eye(2) * 0.1, 5, evaluations=1500)
    assert one[1] < 1e-6
    assert np.array_equal(one[0], again[0])


def test_noise_of_load_points_begins_with_what_fits_assume() -> None:
    told, spread = np.full(5, 0.02), np.full(5, 0.01)
    exact = point_noise("tpot_s", told, told, spread)
    off = point_noise("tpot_s", told, told * 1.1, spread)
    strange = point_noise("tpot_s", told, told * [1, 1, 1, 1, 50], spread)
    assert exact.freedom == 10
    assert exact.share == pytest.approx(0.03 / 2**0.5)
    assert exact.share < off.share < 0.1
    assert strange.share < 0.07

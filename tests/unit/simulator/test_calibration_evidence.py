"""Load points become evidence; what is left out of a fit is predicted blindly."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from calibrated_run import LIMITS, TRUTH, Asked, load_of, write_run

from inferometer.errors import UsageError
from inferometer.record.store import read_run
from inferometer.simulator.calibration.blocks import blocks_of, configurations, cross_validate, time_blocks
from inferometer.simulator.calibration.evidence import Observed, in_closed_loop, observed_of, shown_of
from inferometer.simulator.calibration.evidence_fit import (
    Evidence,
    everything,
    fit_evidence,
    pool_of,
    residuals_of,
    seconds_of,
)
from inferometer.simulator.calibration.evidence_noise import coverage_of, noise_from
from inferometer.simulator.calibration.fit import Prior
from inferometer.simulator.calibration.replay import replay
from inferometer.simulator.calibration.requests import RunTimes
from inferometer.simulator.calibration.residuals import (
    Compared,
    compare,
    compare_steps,
    errors_of,
    held_out,
    poor_fit,
)
from inferometer.simulator.calibration.steps import Record
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.instance.shape import StepShape
from inferometer.simulator.latency.experts import MixtureModel, TouchedExperts


def observed(asked: Asked, name: str = "run", limits: EngineLimits = LIMITS) -> Observed:
    load = load_of(asked)
    run = RunTimes(load, replay(load, limits, TRUTH))
    used = np.ones(len(load.jobs), np.bool_)
    return Observed(name=name, configuration=str(asked), run=run, used=used, limits=limits)


def test_a_closed_loop_is_replayed_as_one(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [Asked(concurrency=3, requests=20), Asked(rate=5.0, requests=20)])
    closed, open_loop = read_run(folder).measured
    (seen,) = observed_of(closed, "a", LIMITS, 100)
    assert seen.run.load.concurrency == 3
    assert not any(job.arrival_ns for job in seen.run.load.jobs[3:])
    again = replay(seen.run.load, LIMITS, TRUTH)
    assert np.allclose(again.ttft_s(), seen.run.times.ttft_s(), atol=1e-8)
    (seen,) = observed_of(open_loop, "b", LIMITS, 100)
    assert seen.run.load.concurrency is None


def test_clients_that_did_not_wait_are_no_closed_loop() -> None:
    run = observed(Asked(rate=30.0, requests=20)).run
    assert in_closed_loop(run, 4) is run


def test_refused_requests_are_no_load(tmp_path: Path) -> None:
    (table,) = read_run(write_run(tmp_path, [Asked(rate=5.0, requests=8)])).measured
    table.requests["status"][:3] = "http_error"
    (seen,) = observed_of(table, "a", LIMITS, 100)
    assert len(seen.run.load.jobs) == 5
    table.requests["status"][:] = "http_error"
    with pytest.raises(UsageError, match="no request"):
        observed_of(table, "a", LIMITS, 100)


def test_servers_that_took_turns_are_instances_of_their_own(tmp_path: Path) -> None:
    (table,) = read_run(write_run(tmp_path, [Asked(concurrency=4, requests=9)])).measured
    table.requests["server"][:] = np.arange(9) % 2
    seen = observed_of(table, "a", LIMITS, 100)
    assert [(each.name, each.requests) for each in seen] == [("a, server 0", 5), ("a, server 1", 4)]


def test_of_a_long_load_point_the_first_requests_count(tmp_path: Path) -> None:
    (table,) = read_run(write_run(tmp_path, [Asked(rate=5.0, requests=40)])).measured
    (seen,) = observed_of(table, "a", LIMITS, 10)
    assert seen.requests == 10
    assert seen.used[:10].all()
    last = seen.run.times.last_s[:10].max()
    assert 10 < len(seen.run.load.jobs) < 40
    assert (seen.run.times.arrival_s <= last).all()


def test_prompts_from_a_cache_are_told(tmp_path: Path) -> None:
    (table,) = read_run(
        write_run(tmp_path, [Asked(rate=5.0, requests=8)], row={"cached_tokens": 50})
    ).measured
    (seen,) = observed_of(table, "a", LIMITS, 100)
    assert "came from a prefix cache, and are replayed as found there" in seen.warnings[0]
    assert [job.ready_tokens for job in seen.run.load.jobs] == [50] * 8
    assert replay(seen.run.load, LIMITS, TRUTH).ttft_s()[0] == pytest.approx(
        seen.run.times.ttft_s()[0] - 50 * TRUTH.token_s, abs=5e-4
    )
    (seen,) = observed_of(table, "a", msgspec.structs.replace(LIMITS, scheduler="prefill-first"), 100)
    assert "but are replayed as computed" in seen.warnings[0]
    assert not any(job.ready_tokens for job in seen.run.load.jobs)


def test_where_a_load_lies() -> None:
    where = max(shown_of(observed(Asked(concurrency=4, requests=30))), key=lambda each: each.kv_tokens)
    assert where.decodes == 4
    assert where.step_tokens < 2048
    assert where.output_tokens < where.kv_tokens < 4 * 1000


def test_blocks_and_configurations_leave_out_each_request_once() -> None:
    evidence = Evidence(observed=(observed(Asked(rate=5.0)), observed(Asked(concurrency=4, requests=40))))
    for parts, count in ((time_blocks(evidence), 4), (configurations(evidence), 2)):
        found = [out for _, _, out in parts]
        assert len(found) == count
        assert sum(out.total for out in found) == everything(evidence).total == 100
    assert blocks_of(np.ones(15, np.bool_)).tolist() == [-1] * 15, "too few for four blocks"


def test_nothing_to_calibrate_from() -> None:
    with pytest.raises(UsageError, match="nothing to calibrate from"):
        Evidence()


def test_a_full_pool_shows_itself() -> None:
    tight = EngineLimits(max_num_seqs=256, kv_blocks=300, max_model_len=4800)
    seen = observed(Asked(rate=40.0, requests=80, input_tokens=800), limits=tight)
    assert pool_of(Evidence(observed=(seen,))).how == "fitted"
    assert pool_of(Evidence(observed=(seen,), pool_known=True)).how == "told"
    assert pool_of(Evidence(observed=(observed(Asked(rate=1.0)),))).how == "never full"


def truth_prior() -> Prior:
    return Prior(TRUTH, tuple(1.0 if getattr(TRUTH, name) else 0.0 for name in TRUTH.__struct_fields__))


def test_residuals_of_all_evidence_are_nought_at_the_truth() -> None:
    shapes = [StepShape(20, 20, 900, 0.0, 0, 20), StepShape(900, 4, 100, 4e5, 897, 3)]
    steps = tuple(Record(shape, TRUTH.step_seconds(shape)) for shape in shapes)
    evidence = Evidence(observed=(observed(Asked(rate=5.0)), observed(Asked(concurrency=4))), steps=steps)
    residuals = residuals_of(evidence, everything(evidence))(truth_prior().logs())
    assert len(residuals) == 3 * 120 + 2
    assert np.abs(residuals).max() < 1e-6


def test_seconds_of_a_mixture_are_those_of_its_model() -> None:
    experts = TouchedExperts(routed=0.8, picked=0.05)
    shape = StepShape(20, 20, 900, 0.0, 0, 20)
    told = seconds_of(np.array([shape], dtype=np.float64), TRUTH, experts)
    assert told[0] == pytest.approx(MixtureModel(TRUTH, experts).step_s(shape), rel=1e-12)


def test_step_records_alone_give_the_coefficients_of_steps() -> None:
    random = np.random.default_rng(0)
    shapes = []
    for _ in range(60):
        decodes, count = int(random.integers(1, 64)), int(random.choice([0, 0, 1, 4]))
        prompt = count * int(random.integers(50, 500))
        context = decodes * int(random.integers(100, 2000))
        shapes.append(
            StepShape(
                prompt + decodes, decodes + count, context, prompt**2 / max(2, 2 * count), prompt, decodes
            )
        )
    evidence = Evidence(steps=tuple(Record(shape, TRUTH.step_seconds(shape)) for shape in shapes))
    whole = fit_evidence(evidence)
    left = cross_validate(evidence, whole, lambda done, of: None)
    errors = held_out([], compare_steps(evidence, whole, left))
    assert errors["steps_step_mape"] < 0.01
    assert whole.fit.coefficients.token_s == pytest.approx(TRUTH.token_s, rel=0.05)
    assert whole.fit.coefficients.kv_token_s == pytest.approx(TRUTH.kv_token_s, rel=0.05)


def test_blind_predictions_are_close_where_the_model_is_true() -> None:
    evidence = Evidence(observed=(observed(Asked(rate=6.0, requests=20)),), pool_known=True)
    whole = fit_evidence(evidence, truth_prior())
    left = cross_validate(evidence, whole, lambda done, of: None)
    (row,) = compare(evidence, whole, left, [whole.fit.logs, whole.fit.logs + 0.01])
    assert errors_of([row], "blocked")["e2el_mape"] < 0.01
    assert np.isfinite(row.blocked["tpot"]).all()
    assert np.isnan(row.elsewhere["tpot"]).all(), "there is one configuration only"


def made_up(share: float) -> Compared:
    """Errors of a known share in four blocks."""
    random = np.random.default_rng(1)
    count = 400
    measured = np.full(count, 2.0)
    told = measured * np.exp(share * random.standard_normal(count))
    columns = dict.fromkeys(("ttft", "tpot", "e2el"), told)
    nothing = {name: np.full(count, np.nan) for name in columns}
    return Compared(
        name="a", configuration="c", at_s=np.arange(count, dtype=np.float64), block=np.arange(count) // 100,
        measured=dict.fromkeys(columns, measured), fitted=columns, blocked=columns, elsewhere=nothing,
        members=(columns, columns),
    )  # fmt: skip


def test_noise_is_that_of_the_errors_and_intervals_with_it_cover() -> None:
    noise = noise_from([made_up(0.05)], [])
    assert set(noise) == {
        f"{prefix}{metric}" for prefix in ("", "mean_", "p50_", "p99_") for metric in ("ttft", "tpot", "e2el")
    }
    spread = np.hypot(noise["ttft"].share, noise["ttft"].seconds / 2.0)
    assert spread == pytest.approx(0.05, rel=0.2)
    assert noise["mean_ttft"].freedom <= 4, "four blocks are four means"
    assert 0.85 < coverage_of([made_up(0.05)])["e2el"] < 0.95


def test_a_model_that_does_not_describe_what_was_measured_is_told() -> None:
    assert poor_fit({"blocks_ttft_median": 0.1, "blocks_ttft_mape": 0.9}) == []
    (said,) = poor_fit({"blocks_ttft_median": 0.3, "configurations_tpot_median": 0.41})
    assert "held-out configurations: half of the TPOT errors are above 41%" in said


def test_errors_of_means_keep_their_sign() -> None:
    times = {"ttft": np.array([1.0, 3.0]), "tpot": np.array([np.nan, np.nan]), "e2el": np.array([2.0, 4.0])}
    short = {name: values * 0.9 for name, values in times.items()}
    row = Compared(
        name="a", configuration="c", at_s=np.zeros(2), block=np.full(2, -1), measured=times, fitted=short,
        blocked=short, elsewhere=short,
    )  # fmt: skip
    errors = errors_of([row], "fitted")
    assert errors["ttft_mean"] == pytest.approx(-0.1)
    assert errors["e2el_mape"] == pytest.approx(0.1)
    assert "tpot_mape" not in errors, "one token has no TPOT"
    assert "ttft_p99" not in errors, "two requests have no 99th percentile"

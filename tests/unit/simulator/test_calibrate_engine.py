"""From run folders to a profile, its page and the command line."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from calibrated_run import LIMITS, TRUTH, Asked, launched, load_of, write_run

from inferometer.api.calibrating_engine import Effort, Measured, _Reading, calibrate_engine, pools_of
from inferometer.api.calibration_sources import (
    RunFacts,
    read_points,
    read_runs,
    run_facts,
    run_warnings,
    with_facts,
)
from inferometer.api.measured_engine import Told, measured_engine
from inferometer.cli.simulate_calibrate import main
from inferometer.errors import DataError, UsageError
from inferometer.record.folder import read_meta, write_meta
from inferometer.record.store import read_run
from inferometer.report.residual_plots import Series, scatter
from inferometer.simulator.calibration.calibrated import Calibrated
from inferometer.simulator.calibration.evidence_fit import JointFit, Pool
from inferometer.simulator.calibration.fit import NAMES, Fit, Prior
from inferometer.simulator.calibration.replay import replay
from inferometer.simulator.latency.profile import read_profile

POINTS = (Asked(rate=8.0, requests=28), Asked(concurrency=8, requests=16, seed=3))
CACHE = {'vllm:cache_config_info{block_size="16",num_gpu_blocks="2588"}': 1.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs"), POINTS, series=CACHE)


@pytest.fixture(scope="module")
def found(folder: Path) -> Calibrated:
    told = []
    result = calibrate_engine(
        Measured(runs=(folder,)), effort=Effort(members=8), progress=lambda *what: told.append(what)
    )
    assert told[0] == ("reading", 0, 1)
    assert told[-1] == ("refits", 8, 8)
    return result


def test_another_load_is_predicted(found: Calibrated) -> None:
    other = load_of(Asked(rate=5.0, requests=40, seed=9))
    told, real = (replay(other, LIMITS, cost) for cost in (found.profile.coefficients, TRUTH))
    assert np.mean(told.e2e_s()) == pytest.approx(np.mean(real.e2e_s()), rel=0.02)
    assert np.mean(told.ttft_s()) == pytest.approx(np.mean(real.ttft_s()), rel=0.05)


def test_a_profile_says_what_it_is_made_of(found: Calibrated, folder: Path) -> None:
    profile = found.profile
    assert (profile.limits.kv_blocks, profile.limits.block_tokens, profile.kv_blocks_known) == (
        2588,
        16,
        True,
    )
    assert "vllm:cache_config_info" in found.kv_source
    assert profile.provenance.runs == (folder.name,)
    assert profile.provenance.method == "requests"
    assert profile.provenance.observations == 44
    assert {"blocks_tpot_mape", "configurations_ttft_mape"} <= set(profile.provenance.held_out)
    assert profile.provenance.held_out["blocks_e2el_mape"] < 0.02
    assert len(profile.ensemble) == 8
    assert {"ttft", "tpot", "e2el", "mean_ttft"} <= set(profile.noise)
    assert len(profile.seen) == 2 * 12


def test_the_command_writes_a_profile_and_a_page(
    found: Calibrated,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("inferometer.api.calibrating_engine.calibrate_engine", lambda *_: found)
    assert main([str(folder), "-o", str(tmp_path / "p.json"), "--json", "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[-1])["held_out"] == found.profile.provenance.held_out
    assert any(line.startswith("token_s") for line in lines)
    assert read_profile(tmp_path / "p.json") == found.profile
    page = (tmp_path / "p.html").read_text("utf-8")
    assert "http" not in page.replace("http://engine", ""), "a page without any link"
    assert page.count("<svg viewBox") == 9
    assert "nan" not in page.lower()
    for text in ("误差", "held out", folder.name, "kv_token_s"):
        assert text in page
    with pytest.raises(UsageError, match=r"p\.json exists"):
        main([str(folder), "-o", str(tmp_path / "p.json"), "--quiet"])


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["-o", "{tmp}/p.json"], "nothing to calibrate from"),
        (["{run}", "-o", "{tmp}"], "is a directory"),
        (["{run}", "-o", "{tmp}/no/p.json"], "is no directory"),
        (["{run}", "-o", "{tmp}/p.html"], "both to be"),
        (["{run}", "-o", "{tmp}/p.json", "--engine", "vlm"], "vlm"),
        (["{run}", "-o", "{tmp}/p.json", "--engine-args", "--max-num-seqs many"], "many"),
        (["{run}", "-o", "{tmp}/p.json", "--device", "h100"], "belong together"),
        (["{run}", "-o", "{tmp}/p.json", "--members", "2"], "too few"),
        (["-o", "{tmp}/p.json", "--step-log", "{run}"], "--step-log .*: there is no such file"),
        (
            ["{run}", "-o", "{tmp}/p.json", "--table", "{tmp}/none.csv"],
            "--table .*none.csv: there is no such file",
        ),
        (["absent", "-o", "{tmp}/p.json", "--out", "{tmp}"], "no run 'absent'"),
    ],
)
def test_bad_input_is_refused_before_any_work(
    argv: list[str], said: str, folder: Path, tmp_path: Path
) -> None:
    words = [word.format(tmp=tmp_path, run=folder) for word in argv]
    with pytest.raises(UsageError, match=said):
        main([*words, "--quiet"])
    assert not (tmp_path / "p.json").exists()


def test_a_run_without_counts_of_tokens_is_refused(tmp_path: Path) -> None:
    row = {"input_tokens_server": None, "output_tokens_server": None}
    folder = write_run(tmp_path, [Asked(rate=8.0, requests=4)], row=row)
    with pytest.raises(UsageError, match="counts of its input and output tokens"):
        calibrate_engine(Measured(runs=(folder,)))


def test_runs_of_two_models_are_refused(tmp_path: Path) -> None:
    folders = [write_run(tmp_path, [Asked(rate=8.0, requests=2)], model=name) for name in ("a", "b")]
    with pytest.raises(UsageError, match=r"2 models: a in .*; b in"):
        read_runs(folders)


def test_an_invalid_run_is_used_and_told(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [Asked(rate=8.0, requests=2)])
    meta = read_meta(folder)
    meta.verdict, meta.simulated = {"word": "INVALID", "failed": ["send lag"]}, True
    write_meta(folder, meta)
    (record,) = read_runs([folder])
    warnings = run_warnings(record)
    assert "is INVALID (send lag)" in warnings[0]
    assert "measured a simulated engine" in warnings[1]


def test_an_engine_that_the_run_started_tells_its_limits(tmp_path: Path) -> None:
    folder = write_run(
        tmp_path, [Asked(rate=8.0, requests=2)], engine=launched(kv_tokens=40_000, max_model_len=4096)
    )
    record = read_run(folder)
    facts = run_facts(record)
    assert (facts.kv_tokens, facts.source) == (40_000, "the engine's own words")
    engine, hardware = measured_engine(facts, "vllm serve m --max-num-seqs 64", Told())
    assert (engine.limits.max_num_seqs, engine.limits.kv_blocks, engine.limits.max_model_len) == (
        64,
        2500,
        4096,
    )
    assert hardware is None
    engine, _ = measured_engine(
        facts, "vllm serve m --max-num-seqs 64", Told(flags="--max-num-seqs 32", kv_tokens=8000)
    )
    assert (engine.limits.max_num_seqs, engine.limits.kv_blocks, engine.kv_source) == (32, 500, "--kv-tokens")


def test_flags_that_do_not_fit_the_load_give_way(tmp_path: Path) -> None:
    """What was measured went through: limits that would refuse it are not the engine's."""
    (record,) = read_runs([write_run(tmp_path, [Asked(rate=8.0, requests=2, input_tokens=900)])])
    told = Told(
        engine="vllm", flags="--no-enable-chunked-prefill --max-model-len 512 --max-num-batched-tokens 512"
    )
    reading = _Reading(Measured(runs=(record.path,)), told, Effort())
    (seen,) = reading.evidence.observed
    longest = max(job.prompt_tokens + job.output_tokens for job in seen.run.load.jobs)
    assert longest > 512
    assert seen.limits.max_model_len == longest
    assert seen.limits.max_num_batched_tokens == longest
    assert not seen.limits.prefix_cache


def test_ranks_behind_one_address_are_refused() -> None:
    with pytest.raises(UsageError, match="2 data-parallel ranks"):
        measured_engine(RunFacts(), None, Told(flags="--data-parallel-size 2"))


def test_facts_fit_into_limits() -> None:
    limits = with_facts(LIMITS, RunFacts(kv_tokens=1600, block_tokens=32), None)
    assert (limits.kv_blocks, limits.block_tokens, limits.max_model_len) == (50, 32, 1600)


def test_a_table_gives_a_profile_too(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    rows = [(1, 512, 64, 0.043, 0.0101), (8, 512, 64, 0.075, 0.0114), (4, 2000, 32, 0.16, 0.0139)]
    lines = ["Concurrency,Input Len,Output Len,Mean TTFT (ms),tpot_s"]
    lines += [f"{c},{i},{o},{ttft * 1e3},{tpot}" for c, i, o, ttft, tpot in rows]
    table.write_text("\n".join(lines))
    found, again = (calibrate_engine(Measured(tables=(table,)), effort=Effort(members=8)) for _ in range(2))
    assert found.profile == again.profile, "the same seed gives the same profile"
    assert any("nothing says which engine it was" in text for text in found.warnings)
    assert any("size of the KV cache is not known" in text for text in found.warnings)
    assert found.profile.provenance.method == "table"
    assert found.fitted["table_tpot_mape"] < 0.1
    assert "table_tpot_mape" in found.profile.provenance.held_out
    assert [each.decodes for each in found.profile.seen] == [1, 8, 4]
    assert read_points(table)[0].ttft_s == pytest.approx(0.043)


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("", UsageError, "no rows"),
        ("concurrency,input,output,ttft\n1,2,3,4\n", UsageError, "does not say its unit"),
        ("input,output,ttft_s\n1,2,3\n", UsageError, "no column concurrency"),
        ("concurrency,input,output,ttft_s\n1,x,3,4\n", DataError, "line 2: input='x' is no number"),
        ("concurrency,input,output,ttft_s\n1,nan,3,4\n", DataError, "line 2: input='nan' is no number"),
        ("concurrency,input,output,ttft_s\n1,2,3,inf\n", DataError, "line 2: ttft_s='inf' is no number"),
        ("concurrency,input,output,ttft_s\n1,2,3,4\n1,,3,4\n", DataError, "line 3 has no input_tokens"),
        ("concurrency,input,output,ttft_s\n1,2,3,-4\n", DataError, "must be above 0"),
    ],
)
def test_a_table_that_cannot_be_used(text: str, error: type[Exception], said: str, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(text)
    with pytest.raises(error, match=said):
        read_points(table)


def test_a_fitted_pool_is_as_unsure_as_its_refits() -> None:
    prior = Prior(TRUTH, (1.0,) * len(NAMES))
    logs = np.append(prior.logs(), np.log(40_000.0))
    fit = Fit(logs, np.zeros((1, len(logs))), np.zeros(1), 0.0)
    whole = JointFit(fit=fit, prior=prior, center=logs, spread=logs, pool=Pool(how="fitted"))
    assert pools_of(whole, [logs, logs + np.log(1.2)]) == pytest.approx((1.0, 1.2))
    assert pools_of(msgspec.structs.replace(whole, pool=Pool(how="told")), [logs]) == ()


def test_a_narrow_range_has_ticks_too() -> None:
    values = np.array([15.0, 19.0, 24.0])
    plot = scatter([Series("fit", values, values)], "TPOT", "ms")
    for tick in ("15", "20", "25"):
        assert plot.count(f">{tick}</text>") == 2, "one for each axis"


def test_a_profile_is_one_small_file(found: Calibrated) -> None:
    assert len(msgspec.json.encode(found.profile)) < 10_000

"""``inferometer simulate``: the load points of a run, a sweep and a search in virtual time, into a run folder."""

import json

import numpy as np
import pytest
from commands import PAGE_FAULT, folders, here

from inferometer import api, cli
from inferometer.api.simulating import simulate
from inferometer.errors import UsageError
from inferometer.loadgen.progress import NullObserver
from inferometer.loadgen.stop import StopSignal
from inferometer.record.folder import JOURNAL, read_meta
from inferometer.record.prediction import read_prediction
from inferometer.record.store import read_run
from inferometer.simulator.instance.limits import EngineLimits
from inferometer.simulator.latency.model import Coefficients
from inferometer.simulator.latency.profile import Noise, Profile, Provenance, write_profile
from inferometer.spec import Load, Output, RunSpec, Workload
from inferometer.spec.simulation import Simulation

# A step of one token takes 10 ms, each further one 0.1 ms; nothing else takes time.
BEST = Coefficients(weights_s=0.0, token_s=0.0001, step_s=0.0099)
LIMITS = EngineLimits(max_num_seqs=16, max_num_batched_tokens=256, kv_blocks=1000, max_model_len=1024)
SHORT = ("--input-len", "41", "--output-len", "5", "--quiet")


@pytest.fixture
def profile(tmp_path):
    path = tmp_path / "engine.json"
    slower = [BEST, Coefficients(weights_s=0.0, token_s=0.0001, step_s=0.0109)]
    noise = {"ttft": Noise(share=0.05), "tpot": Noise(share=0.05), "e2el": Noise(share=0.05)}
    write_profile(
        Profile(
            coefficients=BEST,
            limits=LIMITS,
            ensemble=(*slower, *slower),
            noise=noise,
            provenance=Provenance(method="requests"),
        ),
        path,
    )
    return path


def simulated(profile, out, *flags):
    return here("simulate", "--profile", str(profile), "--out", str(out), *SHORT, *flags)


def test_a_sweep_is_a_run_folder_marked_simulated_with_intervals(profile, tmp_path):
    done = simulated(
        profile, tmp_path / "runs", "--max-concurrency", "1", "4", "--num-prompts", "40", "--json"
    )
    assert done.code == 0, done.err
    folder = tmp_path / "runs" / json.loads(done.out.splitlines()[-1])["run"].rpartition("/")[2]
    record = read_run(folder)
    assert record.meta.simulated
    assert record.meta.server["max_model_len"] == 1024
    alone, four = record.measured
    # One request at a time: a step of 41 prompt tokens, then four of one token.
    ttft_s, took_s = 0.0099 + 41 * 0.0001, 0.0099 + 41 * 0.0001 + 4 * 0.01
    sent, first, end = (alone.number(name) / 1e9 for name in ("sent_ns", "first_token_ns", "end_ns"))
    assert np.allclose(first - sent, ttft_s, atol=2e-9)
    assert np.allclose(end - sent, took_s, atol=6e-9)
    assert alone.number("output_tokens_server").tolist() == [5.0] * 40
    assert np.asarray(alone.chunks["tokens"]).sum() == 200
    assert four.point.epoch_ns == alone.point.end_ns  # one virtual axis

    summary = api.report(folder)
    names = {condition.name for point in summary.points for condition in point.verdict.conditions}
    assert not names & {"send lag", "receive clock", "receive lag", "client CPU", "workers", "clock"}
    assert summary.points[0].client.receive_clock == "virtual"
    assert summary.verdict.word == "WARN"  # for the 40 requests alone
    prediction = read_prediction(folder)
    assert prediction is not None
    for point in summary.points:
        found = {(n.metric, n.statistic): n for n in prediction.of_point(point.index).numbers}
        for metric in ("ttft_ms", "tpot_ms", "itl_ms", "e2el_ms"):
            number = found[metric, "mean"]
            assert number.value == pytest.approx(point.stats[metric].mean, rel=1e-9)
            assert number.low < number.value < number.high
        rate = found["output_throughput_per_s", "value"]
        assert rate.value == pytest.approx(point.values["output_throughput_per_s"], rel=1e-9)
    again = here("report", str(folder))
    assert again.code == 0
    assert "90 % prediction intervals (simulated)" in again.out
    assert "[simulated]" in here("runs", "list", "--out", str(tmp_path / "runs")).out


def test_the_same_seed_gives_the_same_rows(profile, tmp_path):
    spec = RunSpec(
        simulation=Simulation(profile=str(profile), intervals=False),
        load=Load(request_rate=(80.0,), num_prompts=(50,), seed=3),
        workload=Workload(input_len=(41,), output_len=(5,)),
        output=Output(out=str(tmp_path)),
    )
    tables = [read_run(simulate(spec).path).measured[0] for _ in range(2)]
    assert all(
        np.array_equal(tables[0].number(name), tables[1].number(name))
        for name in ("planned_ns", "first_token_ns", "end_ns")
    )


def test_a_search_finds_the_rate_that_the_engine_carries(profile, tmp_path):
    flags = ("--slo", "p99_ttft<=60ms", "--target", "slo", "--max-probes", "6", "--no-intervals", "--json")
    done = simulated(profile, tmp_path / "runs", *flags)
    found = json.loads(done.out.splitlines()[-1])
    assert "simulated: no real server was measured" in done.out
    # 16 answers of 5 tokens at a time: a request every 5 * (9.9 + 1.6) / 16 + 4.1 ms at most, some 130 a second.
    assert 60 < found["load"] < 140


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--url", "http://127.0.0.1:1"), "--url is about a server"),
        (("--cancel-share", "0.5"), "--cancel-share is not simulated"),
        (("--resume",), "begun anew"),
        (("--tokenizer", "server"), "--tokenizer server asks a server"),
    ],
)
def test_what_cannot_be_simulated_is_refused(profile, tmp_path, flags, words):
    done = simulated(profile, tmp_path / "runs", "--max-concurrency", "1", *flags)
    assert done.code == 2
    assert words in done.err


def test_a_simulation_is_not_measured_by_run_or_resumed(profile, tmp_path):
    file = tmp_path / "spec.yaml"
    file.write_text(f"simulation:\n  profile: {profile}\nendpoint:\n  url: http://127.0.0.1:1\n", "utf-8")
    done = here("run", "-c", str(file))
    assert (done.code, "inferometer simulate" in done.err) == (2, True)
    done = here("simulate", "-c", str(file), "--max-concurrency", "1", "--out", str(tmp_path / "runs"))
    assert done.code == 0
    assert "--url (from file" in done.err
    done = here("run", "--resume", "--out", str(tmp_path / "runs"))
    assert (done.code, "was simulated" in done.err) == (2, True)


class StopAtFirstProgress(NullObserver):
    """Presses Ctrl-C as soon as the second load point goes on."""

    def __init__(self, stop):
        self.stop = stop

    def on_progress(self, progress):
        if progress.point == 2:
            self.stop.request()


def test_an_interrupted_simulation_keeps_what_was_simulated(profile, tmp_path):
    stop = StopSignal()
    spec = RunSpec(
        simulation=Simulation(profile=str(profile), intervals=False),
        load=Load(max_concurrency=(1, 2, 4), num_prompts=(3000,)),
        workload=Workload(input_len=(41,), output_len=(5,)),
        output=Output(out=str(tmp_path)),
    )
    result = simulate(spec, StopAtFirstProgress(stop), stop)
    meta = read_meta(result.path)
    assert (result.exit_code, meta.state) == (130, "interrupted")
    assert [point.stop_reason for point in meta.points if point.kind == "measure"] == [
        "complete",
        "interrupted",
        None,
    ]
    assert not (result.path / JOURNAL).exists()


def test_prompts_longer_than_the_context_are_refused_as_a_server_would(profile, tmp_path):
    spec = RunSpec(
        simulation=Simulation(profile=str(profile), intervals=False),
        load=Load(max_concurrency=(1,), num_prompts=(30,)),
        workload=Workload(input_dist="uniform:min=900,max=1100", output_len=(5,)),
        output=Output(out=str(tmp_path)),
    )
    table = read_run(simulate(spec).path).measured[0]
    too_long = table.number("input_tokens_client") > 1019
    assert 0 < too_long.sum() < 30
    assert (table.text("status") == np.where(too_long, "http_error", "ok")).all()
    assert set(table.number("http_status")[too_long]) == {400.0}
    assert "exceed the context of 1024 tokens" in table.text("error")[too_long][0]


def test_answers_of_unknown_length_are_refused(profile, tmp_path):
    file = tmp_path / "questions.jsonl"
    file.write_text('{"question": "why?"}\n' * 30, "utf-8")
    spec = RunSpec(
        simulation=Simulation(profile=str(profile)),
        load=Load(max_concurrency=(1,), num_prompts=(20,)),
        workload=Workload(dataset="openqa", dataset_path=str(file)),
        output=Output(out=str(tmp_path)),
    )
    with pytest.raises(UsageError, match="does not say how long its answer is"):
        simulate(spec)


def test_a_service_that_refuses_all_is_told_of_and_has_no_intervals(profile, tmp_path):
    where = ("--profile", str(profile), "--out", str(tmp_path / "runs"))
    load = ("--max-concurrency", "1", "--num-prompts", "20", "--warmup", "0", "--input-len", "1100")
    done = here("simulate", *where, *load, "--quiet")
    assert done.code == 5
    told = " ".join(done.out.split())  # as it is wrapped
    assert "see the failures" in told
    assert "client machine" not in told
    assert "prediction intervals" not in told


def test_what_the_client_gave_up_counts_in_no_predicted_number(profile, tmp_path):
    spec = RunSpec(
        simulation=Simulation(profile=str(profile)),
        load=Load(request_rate=(40.0,), duration_s=2.0, grace_s=0.2),
        workload=Workload(input_len=(41,), output_len=(40,)),
        output=Output(out=str(tmp_path)),
    )
    result = simulate(spec)
    (point,) = result.summary.points
    assert point.counts.cut_off > 0
    assert result.summary.prediction is not None
    numbers = {(n.metric, n.statistic): n for n in result.summary.prediction.of_point(1).numbers}
    assert numbers["e2el_ms", "mean"].value == pytest.approx(point.stats["e2el_ms"].mean, rel=1e-9)
    rate = numbers["request_throughput_per_s", "value"].value
    assert rate == pytest.approx(point.values["request_throughput_per_s"], rel=1e-9)


def test_a_fault_in_the_page_takes_nothing_away_that_was_measured(profile, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("inferometer.report.page.render.render_page", lambda page: {}["what a server said"])
    asked = ("--max-concurrency", "1", "--num-prompts", "4", "--out", str(tmp_path))
    assert cli.main(["simulate", "--profile", str(profile), *SHORT, *asked]) == 0
    out, err = capsys.readouterr()
    (folder,) = folders(tmp_path)
    assert "Successful requests:                     4" in out
    assert f"run  {folder}" in out
    assert "report  " not in out
    assert f"warning: {folder}/{PAGE_FAULT}KeyError at report/files.py:" in err
    assert "what a server said" not in err, "values may be anything"
    assert (folder / "summary.json").exists()
    assert read_meta(folder).verdict["word"] in ("VALID", "WARN")

"""Imported runs: what their folders hold, and what is computed from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from import_samples import DATA, NOW, imported

from inferometer import cli
from inferometer.api.importing import import_files
from inferometer.exchange.importing import Found, FoundPoint, formats
from inferometer.exchange.importing.found import load_of
from inferometer.metrics.percentiles import samples_needed
from inferometer.record.imported import ImportedPoint
from inferometer.record.store import read_run


def test_a_run_with_requests_is_computed_anew_beside_what_was_stated(tmp_path: Path) -> None:
    result = imported("vllm/detailed.json", tmp_path)
    source = json.loads((DATA / "vllm/detailed.json").read_text("utf-8"))
    [point] = result.summary.points
    assert point.counts.ok == point.counts.planned == 6
    assert point.stats["ttft_ms"].mean == pytest.approx(source["mean_ttft_ms"], rel=1e-6)
    assert point.stats["tpot_ms"].mean == pytest.approx(source["mean_tpot_ms"], rel=1e-4)
    assert point.stats["itl_ms"].count == sum(map(len, source["itls"]))
    assert point.values["request_throughput_per_s"] == pytest.approx(source["request_throughput"], rel=0.01)
    # six requests are too few for our p99; what the tool stated of them stays in the record
    assert point.stats["ttft_ms"].percentiles["p99"] is None
    assert result.summary.imported is not None
    [told] = result.summary.imported.points
    assert told.stats["ttft_ms"].percentiles["99"] == source["p99_ttft_ms"]
    assert any("concurrency_peak is 6.00 as vllm states it, 2.00" in note for note in result.summary.notes)

    run = read_run(result.path)
    assert run.imported is not None
    [(name, sha256)] = run.imported.files.items()
    kept = (result.path / "imported" / name).read_bytes()
    assert kept == (DATA / "vllm/detailed.json").read_bytes()
    assert hashlib.sha256(kept).hexdigest() == sha256
    assert run.tables[0].number("first_token_ns")[0] == pytest.approx(source["ttfts"][0] * 1e9, abs=1)


def test_a_run_without_requests_has_what_was_stated_and_nothing_else(tmp_path: Path) -> None:
    result = imported("vllm/appended.jsonl", tmp_path)
    first, second = result.summary.points
    assert first.stats["ttft_ms"].percentiles == {"p50": 10.61615099752089, "p99": 12.549728999147192}
    assert first.stats["ttft_ms"].count == 6 < samples_needed(99.0)
    assert first.stats["ttft_ms"].min != first.stats["ttft_ms"].min  # absent, and not 0
    assert first.stats["itl_ms"].count == 0  # of gaps, whose number the file does not tell
    assert "e2el_ms" not in first.stats
    assert first.values["input_throughput_per_s"] is None
    assert second.load["request_rate"] == 20.0
    assert result.summary.verdict.word == "WARN"
    assert {c.name for c in first.verdict.failed} == {"samples"}
    assert [row.estimates["ttft_ms.p50"].low for row in result.summary.rows] == [None, None]


def test_send_times_that_nobody_recorded_are_not_made_up(tmp_path: Path) -> None:
    [point] = imported("genai-bench", tmp_path).summary.points
    assert point.stats["ttft_ms"].count == 44
    assert point.values["concurrency_mean"] is None
    assert point.values["request_throughput_per_s"] == 37.59555935680629  # as stated


def test_failures_above_the_limit_make_it_invalid_and_unknown_ones_do_not(tmp_path: Path) -> None:
    with_failures = imported("made_llmperf", tmp_path).summary
    assert with_failures.verdict.word == "INVALID"
    assert with_failures.points[0].counts.by_status == {"http_error": 1, "ok": 2}
    unknown = imported("made_sglang", tmp_path).summary
    assert unknown.verdict.word == "WARN"
    assert [c.name for c in unknown.points[0].verdict.unknown] == ["errors"]


def test_a_failed_request_whose_end_is_not_told_is_not_taken_to_last_until_the_end(tmp_path: Path) -> None:
    content = json.loads((DATA / "vllm/detailed.json").read_text("utf-8"))
    content["errors"][0] = "Service Unavailable"
    content |= {"completed": 5, "failed": 1}
    path = tmp_path / "failed.json"
    path.write_text(json.dumps(content))
    [point] = import_files([path], tmp_path / "runs", now_utc=NOW)[0].summary.points
    assert (point.counts.ok, point.counts.failed) == (5, 1)
    assert point.values["concurrency_mean"] is None
    assert point.values["concurrency_peak"] == content["max_concurrent_requests"]  # as stated
    assert point.values["request_throughput_per_s"] is not None


def test_a_failed_request_of_guidellm_ends_when_it_was_resolved(tmp_path: Path) -> None:
    content = json.loads((DATA / "guidellm/benchmarks.json").read_text("utf-8"))
    requests = content["benchmarks"][0]["requests"]
    failed = requests["successful"].pop()
    failed |= {"request_latency": None, "time_to_first_token_ms": None, "output_tokens": None}
    timings = failed["info"]["timings"]
    timings |= {"last_token_iteration": None, "resolve_end": failed["request_start_time"] + 0.25}
    requests["errored"] = [failed]
    path = tmp_path / "benchmarks.json"
    path.write_text(json.dumps(content))
    run = read_run(import_files([path], tmp_path / "runs", now_utc=NOW)[0].path)
    [table] = run.tables
    took_ns = table.number("end_ns") - table.number("sent_ns")
    assert took_ns[table.text("status") == "stream_error"] == pytest.approx([0.25e9], rel=1e-6)


def test_an_error_of_aiperf_keeps_its_http_status(tmp_path: Path) -> None:
    line = json.loads((DATA / "aiperf/profile_export.jsonl").read_text("utf-8").splitlines()[0])
    error = {"code": 503, "type": "Service Unavailable", "message": "too busy"}
    path = tmp_path / "profile_export.jsonl"
    path.write_text(json.dumps(line) + "\n" + json.dumps(line | {"metrics": {}, "error": error}) + "\n")
    [point] = import_files([path], tmp_path / "runs", now_utc=NOW)[0].summary.points
    assert point.counts.by_status == {"ok": 1, "http_error": 1}
    assert [(e.http_status, e.example) for e in point.counts.errors] == [(503, "too busy")]


def test_latencies_of_zero_are_no_measurements(tmp_path: Path) -> None:
    """vLLM writes a TPOT of 0 for answers of one token; EvalScope, of answers that were not streamed."""
    content = json.loads((DATA / "vllm/detailed.json").read_text("utf-8"))
    for name in ("mean", "median", "std", "p50", "p99"):
        content[f"{name}_tpot_ms"] = 0.0
    content["output_lens"] = [1] * 6
    path = tmp_path / "one_token.json"
    path.write_text(json.dumps(content))
    summary = import_files([path], tmp_path / "runs", now_utc=NOW)[0].summary
    assert "tpot_ms" not in summary.points[0].stats
    assert summary.imported is not None
    zeros = summary.imported.points[0].stated["0, as nothing was measured"]
    assert zeros["tpot_ms"]["mean"] == 0.0  # nothing is lost

    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("benchmark_summary.json", "benchmark_args.json"):
        content = json.loads((DATA / "evalscope" / name).read_text("utf-8"))
        content |= {"Avg TPOT (ms)": 0.0, "Avg ITL (ms)": 0.0} if "summary" in name else {"stream": False}
        (folder / name).write_text(json.dumps(content))
    [point] = import_files([folder], tmp_path / "runs", now_utc=NOW)[0].summary.points
    assert {"ttft_ms", "tpot_ms", "itl_ms"}.isdisjoint(point.stats)
    assert "e2el_ms" in point.stats


def test_what_we_exported_as_invalid_is_not_sound_when_it_comes_back(tmp_path: Path) -> None:
    source = (DATA / "made_inferencex/agg_sample.json").read_text("utf-8")
    for name, mark in (("sound.json", {}), ("marked.json", {"verdict": "INVALID: client CPU"})):
        (tmp_path / name).write_text(json.dumps(json.loads(source) | mark))
        verdict = import_files([tmp_path / name], tmp_path / "runs", now_utc=NOW)[0].summary.verdict
        assert verdict.word == ("INVALID" if mark else "WARN")
        assert any("INVALID: client CPU" in c.next_step for c in verdict.failed) == bool(mark)


def test_rows_without_a_limit_of_concurrency_are_not_repeats(tmp_path: Path) -> None:
    """LMDeploy's table holds the rate alone, which is infinite for every number of concurrent requests."""
    header, first, *_ = (DATA / "made_lmdeploy/restful.csv").read_text("utf-8").splitlines()
    cells = dict(zip(header.split(","), first.split(","), strict=True)) | {"request_rate": "inf"}
    row = ",".join(cells[name] for name in header.split(","))
    path = tmp_path / "results.csv"
    path.write_text("\n".join([header, row, row]) + "\n")
    [result] = import_files([path], tmp_path / "runs", now_utc=NOW)
    repeats = [point.load["repeat"] for point in result.summary.points]
    assert repeats == [1, 1]


def test_a_summary_of_aiperf_without_any_success_is_known(tmp_path: Path) -> None:
    failed = {"unit": "requests", "avg": 5.0}
    phases = {"phases": [{"name": "profiling", "concurrency": 2}]}
    path = tmp_path / "profile_export_aiperf.json"
    path.write_text(json.dumps({"input_config": phases, "error_request_count": failed}))
    [result] = import_files([path], tmp_path / "runs", now_utc=NOW)
    [point] = result.summary.points
    assert (result.tool, point.load["max_concurrency"], point.counts.failed) == ("aiperf", 2, 5)


def test_several_files_are_several_runs_or_one_together(tmp_path: Path) -> None:
    files = [DATA / "vllm/detailed.json", DATA / "vllm/appended.jsonl"]
    assert [len(r.summary.points) for r in import_files(files, tmp_path, now_utc=NOW)] == [1, 2]
    [one] = import_files(files, tmp_path, together=True, label="both", now_utc=NOW)
    assert len(one.summary.points) == 3
    assert "-both-" in one.path.name


def test_time_series_are_the_telemetry_of_the_run(tmp_path: Path) -> None:
    run = read_run(imported("made_openmetrics", tmp_path).path)
    labels = 'engine="0",model_name="Qwen/Qwen3-0.6B"'
    at_ns, values = run.telemetry.series(1, labels, "vllm:generation_tokens_total")
    assert at_ns.tolist() == [0, 10**9, 2 * 10**9, 3 * 10**9]
    assert values.tolist() == [7.0, 107.0, 207.0, 307.0]


def test_the_verb_imports_and_report_shows_whose_figures_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["import", str(DATA / "made_mindie"), "--out", str(tmp_path), "--json"]) == 0
    [told] = json.loads(capsys.readouterr().out)["runs"]
    assert (told["tool"], told["points"], told["verdict"]) == ("mindie", 1, "WARN")

    assert cli.main(["report", told["run"]]) == 0
    shown = capsys.readouterr().out
    assert "As mindie states it, by its own definitions" in shown
    assert "394.77" in shown
    assert cli.main(["report", told["run"], "--table", "ours"]) == 0
    assert "394.77" in capsys.readouterr().out
    assert cli.main(["report", told["run"], "--as", "vllm"]) == 2
    assert "do not list them with send times" in capsys.readouterr().err


def test_a_sweep_has_repeats_and_combinations(tmp_path: Path) -> None:
    line = json.loads((DATA / "vllm/appended.jsonl").read_text("utf-8").splitlines()[0])
    for case in ("a", "b"):
        (tmp_path / "sweep" / case).mkdir(parents=True)
        for number in (0, 1):
            content = line | {"output_throughput": 300.0 + number}
            (tmp_path / "sweep" / case / f"run={number}.json").write_text(json.dumps(content))
        (tmp_path / "sweep" / case / "summary.json").write_text(json.dumps([line, line]))
    [result] = import_files([tmp_path / "sweep"], tmp_path / "runs", now_utc=NOW)
    assert [(p.load["case"], p.load["repeat"]) for p in result.summary.points] == [
        ("a", 1), ("a", 2), ("b", 1), ("b", 2)
    ]  # fmt: skip
    assert [row.estimates["output_throughput_per_s"].mean for row in result.summary.rows] == [300.5, 300.5]


def test_what_says_that_it_was_simulated_stays_simulated(tmp_path: Path) -> None:
    assert imported("made_inferometer", tmp_path).summary.simulated  # a table of a simulated run
    text = (DATA / "made_mindie/result_common_1755518818114.csv").read_text("utf-8")
    path = tmp_path / "result_common_1.csv"
    path.write_text(text.replace("qwen", "qwen (simulated)"))
    assert import_files([path], tmp_path, now_utc=NOW)[0].summary.simulated
    assert not imported("made_mindie", tmp_path).summary.simulated


def test_another_package_can_add_a_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def points(group: str) -> list[EntryPoint]:
        return [EntryPoint("tiny", f"{__name__}:TINY", group)]

    monkeypatch.setattr(formats, "entry_points", points)
    (tmp_path / "a.tiny").write_text("tiny 42.5")
    [result] = import_files([tmp_path / "a.tiny"], tmp_path / "runs", now_utc=NOW)
    assert (result.tool, result.summary.points[0].values["output_throughput_per_s"]) == ("tiny", 42.5)


def _read_tiny(parts: Sequence[formats.Part]) -> Found:
    values = {"output_throughput_per_s": float(parts[0].source.text.split()[1])}
    return Found("tiny", "tiny text", [FoundPoint(load_of(), ImportedPoint(point=0, values=values))])


TINY = formats.Format(
    "tiny", "tiny text", lambda s: "text" if s.head.startswith("tiny ") else None, _read_tiny
)

import sqlite3
from typing import Any

import pytest
from exported import SAMPLES, closed, files, rows, sample, source, strict

from inferometer.exchange.exporting.model import Asked

_DETAILED = Asked(detailed=True)


def missing(real: Any, ours: Any, path: str = "") -> list[str]:
    """Keys of a real file that ours has not got, at every depth; what is None there may be missing."""
    if not isinstance(real, dict) or not isinstance(ours, dict):
        return []
    found = []
    for key, value in real.items():
        if key not in ours:
            found += [] if value is None else [f"{path}{key}"]
        else:
            found += missing(value, ours[key], f"{path}{key}.")
    return found


def test_guidellm_has_the_keys_of_a_real_benchmark_but_for_those_with_a_default() -> None:
    made = strict(files("guidellm", source(closed(failed=2), asked=_DETAILED))["benchmarks.json"])
    real, ours = sample("guidellm/benchmarks.json")["benchmarks"][0], made["benchmarks"][0]
    free = ("config.", "scheduler_state.", "warnings", "scheduler_metrics.generation_delay", "metrics.root_dispatch",
            "scheduler_metrics.dataset_incomplete", "metrics.slo_")  # fmt: skip
    absent = [key for key in missing(real, ours) if not key.startswith(free)]
    assert [key for key in absent if ".text.tokens." not in key and not key.startswith("metrics.text.")] == []
    assert made["metadata"]["version"] == 2
    assert made["config"]["spec"]["profile"] == {"kind": "concurrent", "streams": [1]}


def test_guidellm_wants_a_number_everywhere_and_gets_0_for_a_statistic_of_nothing() -> None:
    benchmark = strict(files("guidellm", source(closed()))["benchmarks.json"])["benchmarks"][0]
    metrics = benchmark["metrics"]
    assert metrics["time_to_first_token_ms"]["successful"]["mean"] == pytest.approx(30.0)
    nothing = metrics["time_to_first_token_ms"]["errored"]
    assert (nothing["mean"], nothing["count"], nothing["percentiles"]["p99"]) == (0.0, 0, 0.0)
    scheduler = benchmark["scheduler_metrics"]
    assert scheduler["queued_time_avg"] == 0.0
    assert "queued_time_avg" in scheduler["not_recorded"]


def test_guidellm_lists_requests_under_their_status_in_unix_seconds() -> None:
    of = source(closed(count=3, failed=1), asked=_DETAILED)
    listed = strict(files("guidellm", of)["benchmarks.json"])["benchmarks"][0]["requests"]
    assert [len(listed[status]) for status in ("successful", "errored", "incomplete")] == [3, 1, 0]
    first = listed["successful"][0]["info"]["timings"]
    assert first["request_start"] == pytest.approx(1000.0, abs=1.0)
    assert first["first_token_iteration"] - first["request_start"] == pytest.approx(0.03, abs=1e-6)
    assert listed["errored"][0]["info"]["error"] == "busy"
    plain = strict(files("guidellm", source(closed()))["benchmarks.json"])["benchmarks"][0]
    assert plain["requests"]["successful"] == []


def test_guidellm_calls_bursty_arrivals_poisson_and_tells_the_load_beside() -> None:
    of = source(closed(1, None, request_rate=2.0, burstiness=0.5, closed=False))
    config = strict(files("guidellm", of)["benchmarks.json"])["benchmarks"][0]["config"]
    assert config["strategy"]["type_"] == "poisson"
    assert config["profile"]["inferometer_load"]["burstiness"] == 0.5


def test_aiperf_has_a_line_a_request_with_times_in_nanoseconds() -> None:
    made = files("aiperf", source(closed(count=3, failed=1)))
    assert sorted(made) == ["profile_export.jsonl", "profile_export_aiperf.csv", "profile_export_aiperf.json"]
    lines = [strict(line) for line in made["profile_export.jsonl"].splitlines()]
    real = strict((SAMPLES / "aiperf" / "profile_export.jsonl").read_bytes().splitlines()[0])
    assert {"session_num", "request_start_ns", "request_end_ns", "worker_id", "record_processor_id",
            "benchmark_phase"} <= set(lines[0]["metadata"]) & set(real["metadata"])  # fmt: skip
    assert set(lines[0]["metrics"]) <= set(real["metrics"])
    assert lines[0]["metrics"]["time_to_first_token"] == {"value": pytest.approx(30.0), "unit": "ms"}
    assert lines[0]["metrics"]["inter_chunk_latency"]["value"] == [pytest.approx(30.0)] * 2
    assert lines[0]["metadata"]["request_start_ns"] == 1_000_000_000_000
    assert lines[3]["error"] == {"code": 503, "type": "http_error", "message": "busy"}


def test_aiperf_names_its_metrics_in_csv_as_a_real_file_does() -> None:
    made = files("aiperf", source(closed()))
    ours = [row[0] for row in rows(made["profile_export_aiperf.csv"]) if row]
    theirs = [row[0] for row in rows((SAMPLES / "aiperf" / "profile_export_aiperf.csv").read_bytes()) if row]
    assert set(ours) <= set(theirs)
    whole = strict(made["profile_export_aiperf.json"])
    assert whole["input_config"]["phases"][0]["concurrency"] == 1
    assert set(whole["time_to_first_token"]) == set(
        sample("aiperf/profile_export_aiperf.json")["time_to_first_token"]
    )


def test_evalscope_has_the_folder_its_loader_looks_for_and_no_null_in_it() -> None:
    made = files("evalscope", source(closed(failed=2)))
    folder = "qwen2.5-7b-INVALID-errors/parallel_1_number_22"
    summary = strict(made[f"{folder}/benchmark_summary.json"])
    assert set(sample("evalscope/benchmark_summary.json")) - set(summary) <= {"Avg Turns/Request"}
    assert None not in summary.values()
    percentiles = strict(made[f"{folder}/benchmark_percentile.json"])
    assert set(percentiles[0]) <= set(sample("evalscope/benchmark_percentile.json")[0])
    opened = files("evalscope", source(closed(1, None, request_rate=2.5, closed=False)))
    assert "qwen2.5-7b/rate_2.5_number_20/benchmark_args.json" in opened


def test_evalscope_keeps_repeats_apart() -> None:
    made = files("evalscope", source(closed(1), closed(2, repeat=2)))
    assert "repeat_2/qwen2.5-7b/parallel_1_number_20/benchmark_summary.json" in made


def test_evalscope_details_are_a_database_with_a_row_a_request_and_no_pickle(tmp_path: Any) -> None:
    made = files("evalscope", source(closed(count=3, failed=1), asked=_DETAILED))
    path = tmp_path / "benchmark_data.db"
    path.write_bytes(made["qwen2.5-7b-INVALID-errors/parallel_1_number_4/benchmark_data.db"])
    connection = sqlite3.connect(path)
    try:
        found = connection.execute(
            "SELECT start_time, success, first_chunk_latency, completion_tokens, response_messages FROM result"
        ).fetchall()
    finally:
        connection.close()
    assert found[0] == (1000.0, 1, pytest.approx(0.03), 3, None)
    assert [row[1] for row in found] == [1, 1, 1, 0]
    assert found[3][2] is None

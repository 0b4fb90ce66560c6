"""A run of 2,000 requests: its folder alone gives the same numbers again, and vLLM's keys are vLLM's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from inferometer import api, cli
from inferometer.metrics.summary import RunSummary
from inferometer.record.store import read_run
from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.spec import Endpoint, Load, Output, RunSpec, Workload

# What ``vllm bench serve --save-result`` writes (vllm/benchmarks/serve.py), arrays of --save-detailed left out.
VLLM_KEYS = {
    "date", "endpoint_type", "backend", "label", "model_id", "tokenizer_id", "num_prompts", "request_rate",
    "burstiness", "max_concurrency", "duration", "completed", "failed", "total_input_tokens",
    "total_output_tokens", "request_throughput", "request_goodput", "output_throughput",
    "total_token_throughput", "max_output_tokens_per_s", "max_concurrent_requests",
}  # fmt: skip
PERCENTILES = (99,)  # vLLM's default, unless others are asked for
VLLM_STATISTICS = {
    f"{statistic}_{name}_ms"
    for name in ("ttft", "tpot", "itl", "e2el")
    for statistic in ("mean", "median", "std", *(f"p{p}" for p in PERCENTILES))
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with start_simulated_server(SimSettings(base_s=0.001)) as server:
        spec = RunSpec(
            endpoint=Endpoint(url=server.url),
            load=Load(max_concurrency=(32,), num_prompts=(2000,)),
            workload=Workload(input_len=(32,), output_len=(8,)),
            output=Output(out=str(tmp_path_factory.mktemp("runs"))),
        )
        yield api.run(spec).path


def test_the_report_from_the_folder_is_the_report_of_the_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "summary.json").read_bytes()
    vllm = (folder / "vllm.json").read_bytes()
    (folder / "summary.json").unlink()
    (folder / "vllm.json").unlink()
    assert cli.main(["report", str(folder)]) == 0
    assert (folder / "summary.json").read_bytes() == before
    assert (folder / "vllm.json").read_bytes() == vllm
    shown = capsys.readouterr().out
    summary = msgspec.json.decode(before, type=RunSummary)
    (point,) = summary.points
    assert (point.counts.planned, point.counts.ok, point.counts.failed) == (2000, 2000, 0)
    assert re.search(r"^Successful requests: +2000 *$", shown, re.M)
    assert re.search(r"^Failed requests: +0 *$", shown, re.M)
    assert f"{point.values['request_throughput_per_s']:.2f}" in shown
    assert "simulated" in shown


def test_vllm_json_has_exactly_the_keys_of_vllm(folder: Path) -> None:
    result = json.loads((folder / "vllm.json").read_text())
    unexpected = set(result) - VLLM_KEYS - VLLM_STATISTICS
    missing = (VLLM_KEYS | VLLM_STATISTICS) - set(result)
    assert (unexpected, missing) == (set(), set())
    assert result["completed"] == 2000
    assert result["total_output_tokens"] == 16000
    assert result["output_throughput"] == pytest.approx(16000 / result["duration"])


def test_every_token_of_every_request_was_seen(folder: Path) -> None:
    table = read_run(folder).measured[0]
    assert (table.number("output_tokens_server") == 8).all()
    output = table.chunks["kind"] <= 2
    assert output.sum() == 16000
    assert (
        table.number("input_tokens_server") == 32
    ).all()  # exact: the simulator counts as the estimator does
    assert (table.number("input_tokens_target") == 32).all()


def test_the_folder_holds_no_prompt_and_no_answer(folder: Path) -> None:
    table = read_run(folder).measured[0]
    assert set(table.text("prompt")) == set(table.text("output")) == {None}
    assert {path.name for path in folder.iterdir()} == {
        "run.json", "requests.parquet", "chunks.parquet", "telemetry.parquet", "summary.json", "vllm.json",
        "report.html",
    }  # fmt: skip


def test_the_run_says_what_was_sent(folder: Path) -> None:
    point = read_run(folder).measured[0].point
    assert point.dataset["name"] == "random"
    assert point.dataset["salt"] == f"{folder.name}-1"
    assert point.dataset["tokenizer"] == "builtin"
    assert point.repeated_prompts == 0

"""Runs exported as other tools' files, as a person would, and read back by our own importers."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import pytest
from commands import folders, here

from inferometer.api.exporting import Asked, export
from inferometer.api.importing import import_files
from inferometer.exchange.importing import Source, read_all, sources_of
from inferometer.metrics.summary import summarize
from inferometer.record.store import read_run

# Formats whose figures our own importers read, and those that list the requests when asked.
_STATES = (
    "vllm",
    "pytorch",
    "inferencex",
    "sglang",
    "lmdeploy",
    "evalscope",
    "guidellm",
    "mindie",
    "llm-d",
    "csv",
)
_LISTS = ("vllm", "sglang", "evalscope", "guidellm", "genai-bench")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two load points in virtual time."""
    out = tmp_path_factory.mktemp("runs")
    flags = ("--max-concurrency", "1", "4", "--input-len", "64", "--output-len", "8", "--num-prompts", "12")
    done = here("simulate", "--device", "h100", "--model-config", "llama-3.1-8b", *flags, "--out", str(out))
    assert done.code == 0, done
    return folders(out)[-1]


@pytest.fixture(scope="module")
def ours(simulated: Path) -> list[float]:
    """Mean TTFT of its load points, least first."""
    return sorted(point.stats["ttft_ms"].mean for point in summarize(read_run(simulated)).points)


def _exported(run: Path, form: str, place: Path, *, detailed: bool) -> list[Source]:
    settings = {"hw": "h100", "tp": "1"} if form == "inferencex" else {}
    export(run, form, f"{place}/", asked=Asked(detailed=detailed, settings=settings))
    return sources_of(place)


@pytest.mark.parametrize("form", _STATES)
def test_figures_of_an_export_come_back_through_import(
    form: str, simulated: Path, ours: list[float], tmp_path: Path
) -> None:
    found, _ = read_all(_exported(simulated, form, tmp_path, detailed=False), None)
    stated = sorted(point.reported.stats["ttft_ms"].mean or 0.0 for point in found.points)
    assert stated == pytest.approx(ours, rel=1e-3)


@pytest.mark.parametrize("form", _LISTS)
def test_requests_of_an_export_come_back_one_by_one(
    form: str, simulated: Path, ours: list[float], tmp_path: Path
) -> None:
    found, _ = read_all(_exported(simulated, form, tmp_path, detailed=True), None)
    means = [fmean(1e3 * (each.ttft_s or 0.0) for each in point.requests) for point in found.points]
    assert sorted(means) == pytest.approx(ours, rel=1e-6)
    assert [len(point.requests) for point in found.points] == [12, 12]


def test_an_imported_summary_goes_out_again_where_a_format_takes_statistics(
    simulated: Path, ours: list[float], tmp_path: Path
) -> None:
    export(simulated, "vllm", f"{tmp_path / 'out'}/")
    (imported,) = import_files([tmp_path / "out"], tmp_path / "runs")
    again = export(imported.path, "vllm", str(tmp_path / "again.jsonl"))
    lines = [json.loads(line) for line in again.paths[0].read_text().splitlines()]
    assert sorted(line["mean_ttft_ms"] for line in lines) == pytest.approx(ours)
    assert [line["measured_by"] for line in lines] == ["vllm", "vllm"]
    done = here("export", str(imported.path), "--as", "guidellm", "--to", str(tmp_path / "g.json"))
    assert (done.code, "these take statistics: vllm, pytorch" in done.err) == (2, True)
    assert not (tmp_path / "g.json").exists()


def test_the_command_writes_says_so_and_leaves_what_is_there(simulated: Path, tmp_path: Path) -> None:
    target = tmp_path / "trace.json"
    done = here("export", str(simulated), "--as", "chrome-trace", "--to", str(target), "--points", "1")
    assert (done.code, done.out) == (0, f"chrome-trace  {target}\n")
    assert done.err == "hint: the run is simulated, and what was written says so\n"
    again = here("export", str(simulated), "--as", "chrome-trace", "--to", str(target))
    assert again.code == 2
    assert "exists already" in again.err
    forced = here(
        "export", str(simulated), "--as", "chrome-trace", "--to", str(target), "--overwrite", "--json"
    )
    assert json.loads(forced.out)["files"] == [str(target)]


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--as", "vllm", "--points", "9"), "9 is no measured load point"),
        (("--as", "vllm", "--to", "x.csv"), "end the name in .jsonl or .json"),
        (
            ("--as", "vllm", "--to", "x.json"),
            "end the name in .jsonl, name a folder, or choose one with --points",
        ),
        (("--as", "evalscope", "--to", "x.json"), "name a folder"),
        (
            (
                "--as",
                "inferencex",
            ),
            "--set hw=h100 --set tp=8",
        ),
        (("--as", "inferencex", "--set", "tp=two", "hw=x"), "a whole number from 1 on"),
        (("--as", "vllm", "--set", "tp"), "a setting is KEY=VALUE"),
        (("--as", "wandb", "--to", "x"), "leave --to out"),
    ],
)
def test_what_cannot_be_is_refused_with_a_next_step(
    flags: tuple[str, ...], text: str, simulated: Path
) -> None:
    done = here("export", str(simulated), *flags)
    assert done.code == 2
    assert text in " ".join(done.err.split())
    assert not Path("x.json").exists()


def test_without_a_format_all_are_listed() -> None:
    done = here("export")
    assert done.code == 0
    for name in ("vllm", "guidellm", "chrome-trace", "xlsx", "html", "mlflow"):
        assert f"\n{name} " in f"\n{done.out}"

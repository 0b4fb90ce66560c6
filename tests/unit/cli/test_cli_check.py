"""``inferometer check``: what it says of the machine, the envelope and a plan. Nothing is measured here."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from inferometer import cli
from inferometer.checks.envelope import Envelope, save_envelope
from inferometer.checks.machine import this_machine
from inferometer.checks.trial import Trial
from inferometer.cli.live_check import calibration_watcher


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache directory, and none of the variables of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("INFEROMETER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("INFEROMETER_CACHE_DIR", str(tmp_path))
    return tmp_path


def store(cache: Path, **fields: float) -> None:
    values = {"events_per_s": 320_000.0, "streams": 12_345.0, "requests_per_s": 3_456.0} | fields
    save_envelope(
        cache,
        Envelope(
            workers=1,
            error_p99_us=40.4,
            cpu_us_per_event=7.25,
            receive_clock="kernel",
            measured_at_utc="2026-11-21T10:00:00+00:00",
            machine=this_machine(),
            **values,
        ),
    )


def test_without_an_envelope_it_says_how_to_get_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check"]) == 0
    said = capsys.readouterr()
    for name in ("receive clock", "timer", "cores", "descriptors", "source ports"):
        assert any(name in line and line.split()[0] in ("ok", "warning") for line in said.out.splitlines())
    assert said.out.splitlines()[-1].endswith("inferometer check --calibrate")
    assert said.err == ""


def test_the_stored_envelope_is_shown(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(cache)
    assert cli.main(["check"]) == 0
    out = capsys.readouterr().out
    assert (
        "this machine, 1 worker: up to 320,000 events/s, 12,000 streams and 3,400 requests/s, chunk times within "
        "40 us (p99)"
    ) in out
    assert "7.2 us of CPU per event" in out
    assert "your plan" not in out


def test_a_plan_is_held_against_it(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(cache)
    plan = ["--max-concurrency", "512", "--output-len", "256", "--workers", "1"]
    assert cli.main(["check", *plan]) == 0
    assert (
        "your plan needs 8 % of it: concurrency 512 makes 25,600 events/s at an assumed 20 ms per token, and "
        "1 worker can carry 320,000"
    ) in capsys.readouterr().out


def test_the_last_line_is_json_when_asked_for(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(cache)
    assert cli.main(["check", "--request-rate", "4000", "--output-len", "5", "--workers", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["need"]["dimension"] == "requests"
    assert told["need"]["share"] == pytest.approx(4000 / 3456)
    assert told["envelope"]["streams"] == 12_345
    assert told["trials"] == []
    assert {finding["name"] for finding in told["findings"]} >= {"descriptors", "source ports"}


def test_workers_alone_are_no_plan(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(cache)
    assert cli.main(["check", "--workers", "2"]) == 0
    assert "your plan" not in capsys.readouterr().out


def test_a_plan_that_run_would_refuse_is_refused_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--max-concurrency", "70000000"]) == 2
    said = capsys.readouterr()
    assert "receive clock" in said.out
    assert said.err.startswith("error: ")
    assert "70000000 connections" in said.err


def test_a_plan_that_may_fail_is_doubted_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--request-rate", "inf", "--num-prompts", "70000000"]) == 0
    out = capsys.readouterr().out
    assert "warning  plan           all at once opens 70000000 connections" in out
    assert "requests will fail unless early answers free enough of them in time" in out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--keep", "x"], "--keep is for --calibrate"),
        (["--dry-run"], "--dry-run is for run"),
        (["--calibrat"], "unknown flag --calibrat"),
        (["--workers", "none"], "--workers 'none'"),
        (["--max-concurrency", "0"], "--max-concurrency"),
    ],
)
def test_what_it_cannot_do(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", *argv]) == 2
    assert words in capsys.readouterr().err


def test_the_cache_directory_is_a_known_variable(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--url", "http://h", "--dry-run"]) == 0
    assert "INFEROMETER_CACHE_DIR" not in capsys.readouterr().err


@pytest.mark.parametrize("terminal", [True, False])
def test_each_trial_leaves_a_line(terminal: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with calibration_watcher("rich", terminal) as observer:
        observer.on_trial("events", 12_800.0)
        observer.on_notice("look out")
        observer.on_outcome(Trial(dimension="events", level=12_800.0, figure=12_700.0, outcome="held"))
    said = " ".join(capsys.readouterr().err.split())
    assert "12,800 events/s: reached 12,700" in said
    assert "warning: look out" in said


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with calibration_watcher("none", True) as observer:
        observer.on_trial("events", 12_800.0)
        observer.on_outcome(Trial(dimension="events", level=12_800.0, figure=12_700.0, outcome="held"))
    assert capsys.readouterr() == ("", "")

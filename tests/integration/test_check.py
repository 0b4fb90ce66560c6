"""Limits are met before a run, not in the middle of it; and the generator can be measured against known times."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from commands import LIMIT_S, SHORT, Command, check_message, here, stored

from inferometer.api import measuring, preparing
from inferometer.checks import calibration
from inferometer.checks.envelope import FILE, Envelope, save_envelope
from inferometer.checks.limits import SystemLimits
from inferometer.checks.machine import this_machine
from inferometer.checks.trial import Pace
from inferometer.checks.truth import MODULE, TruthProcess
from inferometer.errors import LoadgenError
from inferometer.loadgen.progress import Observer
from inferometer.loadgen.run import RunPlan, execute
from inferometer.record.types import ClientHealth, PointRecord
from inferometer.simulator import SimSettings, start_simulated_server


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with start_simulated_server(SimSettings(base_s=0.002)) as server:
        yield server.url


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where this test keeps its envelope."""
    monkeypatch.setenv("INFEROMETER_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def store(cache: Path, events_per_s: float) -> None:
    envelope = Envelope(workers=1, events_per_s=events_per_s, measured_at_utc="x", machine=this_machine())
    save_envelope(cache, envelope)


def test_too_few_descriptors_are_told_before_anything_is_sent(tmp_path: Path) -> None:
    argv = [
        "run",
        "--url",
        "http://127.0.0.1:9",
        "--max-concurrency",
        "1000",
        "--out",
        str(tmp_path / "runs"),
    ]
    with Command(tmp_path, [*argv, "--workers", "1"], shell="ulimit -n 256") as command:
        done = command.finish()
    check_message(done, 2, "1064 file descriptors, and 256 are allowed", "ulimit -n 1064")
    assert not (tmp_path / "runs").exists()


def test_a_plan_beyond_the_envelope_is_warned_of_before_it_starts(
    cache: Path, url: str, tmp_path: Path
) -> None:
    store(cache, events_per_s=100.0)
    done = here("run", "--url", url, "--out", str(tmp_path), "--ui", "plain", "--workers", "1", *SHORT)
    first, *rest = done.err.splitlines()
    assert first.startswith("warning: this plan needs much of what the generator can carry")
    assert "200 % of it: concurrency 4 makes 200 events/s at an assumed 20 ms per token" in first
    assert not [line for line in rest if line.startswith("warning:")]
    assert stored(tmp_path).meta.notes[0] == first.removeprefix("warning: ")


def test_a_plan_within_the_envelope_is_not(cache: Path, url: str, tmp_path: Path) -> None:
    store(cache, events_per_s=100_000.0)
    done = here("run", "--url", url, "--out", str(tmp_path), "--ui", "plain", *SHORT)
    assert "warning" not in done.err
    assert stored(tmp_path).meta.notes == []


def test_a_broken_envelope_stops_no_run(cache: Path, url: str, tmp_path: Path) -> None:
    cache.mkdir()
    (cache / FILE).write_bytes(b"\0")
    done = here("run", "--url", url, "--out", str(tmp_path), "--ui", "plain", *SHORT)
    assert done.code in (0, 5)
    assert "warning" not in done.err


def test_doubts_before_and_warnings_during_a_run_are_kept_in_it(
    cache: Path, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The system is said to have 10 source ports, and the server not to keep connections."""

    def execute_without_keep_alive(plan: RunPlan, observer: Observer, *others: Any) -> Path:
        folder = execute(plan, observer, *others)
        health = ClientHealth(receive_clock="kernel", cpu_s=0.1, wall_s=1.0, keep_alive=False)
        observer.on_point_end(PointRecord(index=1, kind="measure", load={}, health=[health]))
        return folder

    for module in (preparing, measuring):
        monkeypatch.setattr(module, "system_limits", lambda: SystemLimits(None, None, (40_000, 40_009)))
    monkeypatch.setattr(measuring, "execute", execute_without_keep_alive)
    argv = ["--request-rate", "inf", "--num-prompts", "20", "--input-len", "8", "--output-len", "8"]
    done = here("run", "--url", url, "--out", str(tmp_path), "--ui", "plain", *argv)
    doubt, warning = stored(tmp_path).meta.notes
    assert doubt.startswith("all at once opens 20 connections to one address")
    assert warning.startswith("the server does not keep connections")
    for text in (doubt, warning):
        assert f"warning: {text}" in done.err.splitlines()


@pytest.fixture
def short_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """One level of one dimension, and no more time than it takes."""
    monkeypatch.setattr(calibration, "LATEST_S", {"requests": 0.0})
    monkeypatch.setattr(calibration, "START", {"requests": 80.0})


@pytest.mark.usefixtures("short_sweep")
def test_a_calibration_measures_prints_and_stores(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    done = here("check", "--calibrate", "--workers", "1", "--ui", "plain", "--json")
    assert done.code == 0, done
    assert done.err.startswith("80 requests/s: reached ")
    told = json.loads(done.out.splitlines()[-1])
    (trial,) = told["trials"]
    assert (trial["dimension"], trial["level"], trial["workers"]) == ("requests", 80.0, 1)
    # Every chunk that was received is in the server's log; how late it was is up to this machine.
    assert trial["error_p50_us"] > 0
    assert trial["error_p99_us"] is None  # 480 chunks
    assert trial["server_late_p50_us"] >= 0
    assert told["envelope"] == json.loads((cache / FILE).read_text())
    figure = min(80.0, trial["figure"])
    assert told["envelope"]["requests_per_s"] == (figure if trial["outcome"] == "held" else None)
    assert list((tmp_path / "scratch").iterdir()) == []
    assert not servers()


@pytest.mark.usefixtures("short_sweep", "cache")
def test_the_run_folders_of_a_sweep_can_be_kept(tmp_path: Path) -> None:
    done = here("check", "--calibrate", "--workers", "1", "--keep", str(tmp_path / "kept"), "--quiet")
    assert done.code == 0, done
    assert done.err == ""
    (folder,) = (path.parent for path in (tmp_path / "kept").glob("2*/run.json"))
    assert done.out.count(str(tmp_path / "kept")) == 1
    assert (folder / "requests.parquet").exists()


def test_ctrl_c_stores_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    variables = {"INFEROMETER_CACHE_DIR": str(tmp_path / "cache"), "TMPDIR": str(scratch)}
    with Command(tmp_path, ["check", "--calibrate", "--ui", "plain"], variables) as command:
        command.wait_for("events/s: reached")
        started = started_by(command)
        command.interrupt()
        done = command.finish()
    gone, left = psutil.wait_procs(started, timeout=LIMIT_S)
    assert done.code == 130
    assert done.err.splitlines()[-1] == "error: interrupted: nothing was stored"
    assert done.out == ""
    assert not (tmp_path / "cache").exists()
    assert list(scratch.iterdir()) == []
    assert len(gone) >= 2
    assert left == []


def started_by(command: Command) -> list[psutil.Process]:
    """The processes of a command, its truth server among them, once that runs."""
    limit = time.monotonic() + LIMIT_S
    while True:
        assert time.monotonic() < limit
        found = psutil.Process(command.process.pid).children(recursive=True)
        if len(found) > 1 and any(is_server(process) for process in found):
            return found
        time.sleep(0.02)


def is_server(process: psutil.Process) -> bool:
    try:
        return any(MODULE in word for word in process.cmdline())
    except psutil.NoSuchProcess:
        return False


def servers() -> list[psutil.Process]:
    """Truth servers that this process left running."""
    return [process for process in psutil.Process().children(recursive=True) if is_server(process)]


def test_a_truth_server_that_cannot_start_says_why() -> None:
    with pytest.raises(LoadgenError, match=r"the truth server did not start: .*Invalid argument"):
        TruthProcess(Pace(0.01, 0.01), cores=[100_000])
    assert not servers()

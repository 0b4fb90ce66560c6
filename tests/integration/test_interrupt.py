"""Ctrl-C, a server that dies, a disk that fills: the run ends by itself and what had finished is kept."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import (
    Command,
    Done,
    check_message,
    check_sound,
    folders,
    here,
    run,
    statuses,
    stored,
    successes,
)

from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.simulator.server.faults import Fault
from inferometer.testing.fault_server import FaultServer, Script

WARMUP = 2


@pytest.fixture
def url() -> Iterator[str]:
    with start_simulated_server(SimSettings(base_s=0.01)) as server:
        yield server.url


@pytest.fixture(scope="module")
def fast_url() -> Iterator[str]:
    with start_simulated_server(SimSettings(base_s=0.001)) as server:
        yield server.url


def flags(url: str, out: Path, output_len: int, *more: str) -> list[str]:
    load = ["--max-concurrency", "4", "--warmup", str(WARMUP), "--input-len", "8"]
    return ["run", "--url", url, "--out", str(out), *load, "--output-len", str(output_len), *more]


def check_closed(out: Path, done: Done) -> Path:
    """One folder, closed, which can be reported again."""
    (folder,) = folders(out)
    assert f"run  {folder}" in done.out + done.err
    assert not (folder / "journal").exists()
    assert "Traceback" not in done.err
    assert here("report", str(folder)).code == 0
    return folder


# --- Ctrl-C --------------------------------------------------------------------------------------------------


def test_once_drains(url: str, tmp_path: Path) -> None:
    with Command(tmp_path, flags(url, tmp_path, 50, "--duration", "60s")) as command:
        command.wait_for("point 1/1")
        time.sleep(0.8)
        command.interrupt()
        done = command.finish()
    assert done.code == 130
    assert "draining" in done.err
    check_closed(tmp_path, done)
    record = stored(tmp_path)
    found = statuses(record)
    assert record.meta.state == "interrupted"
    assert len(found) >= 4
    assert set(found) == {"ok"}
    assert len(found) == successes(url) - WARMUP


def test_twice_stops_at_once_and_loses_nothing_that_had_finished(url: str, tmp_path: Path) -> None:
    with Command(tmp_path, flags(url, tmp_path, 200, "--num-prompts", "100")) as command:
        command.wait_for("point 1/1")
        while successes(url) < WARMUP + 4:  # a request takes 2 s: the next four have just begun
            time.sleep(0.05)
        command.interrupt()
        command.wait_for("press Ctrl-C again")
        time.sleep(0.3)
        command.interrupt()
        asked = time.monotonic()
        done = command.finish()
        assert time.monotonic() - asked < 1.5
    assert done.code == 130
    assert "stopping at once" in done.err
    check_closed(tmp_path, done)
    found = statuses(stored(tmp_path))
    assert (found.count("ok"), found.count("cancelled")) == (4, 4)


def test_points_that_were_not_come_to_are_no_failures(url: str, tmp_path: Path) -> None:
    load = ("--max-concurrency", "8", "16", "--duration", "60s")
    with Command(tmp_path, flags(url, tmp_path, 20, *load)) as command:
        command.wait_for("point 1/3")
        time.sleep(0.5)
        command.interrupt()
        done = command.finish()
    assert done.code == 130
    assert [table.point.index for table in stored(tmp_path).measured] == [1]
    check_sound(tmp_path)


def test_while_the_server_is_silent(tmp_path: Path) -> None:
    with (
        FaultServer(lambda request: Script([], hang_s=30)) as server,
        Command(tmp_path, flags(server.url, tmp_path / "runs", 8)) as command,
    ):
        while not server.served:
            time.sleep(0.02)
        command.interrupt()
        done = command.finish()
    assert done.code == 130
    assert "interrupted while" in done.err
    assert not (tmp_path / "runs").exists()


# --- the server goes -----------------------------------------------------------------------------------------


def test_a_server_that_dies(tmp_path: Path) -> None:
    with (
        start_simulated_server(SimSettings(base_s=0.002)) as server,
        Command(tmp_path, flags(server.url, tmp_path, 8, "--num-prompts", "400")) as command,
    ):
        command.wait_for("point 1/1")
        time.sleep(0.3)
        os.kill(server.pid, signal.SIGKILL)
        done = command.finish()
    assert done.code == 5
    assert done.out.startswith("INVALID: failed ")
    check_closed(tmp_path, done)
    found = statuses(stored(tmp_path))
    assert len(found) == 400
    assert found.count("ok") > 4
    assert found.count("connect_error") > 100


def test_a_server_that_dies_under_a_time_limit_does_not_fail_until_the_limit(tmp_path: Path) -> None:
    load = ["--request-rate", "300", "200", "--duration", "60s", "--input-len", "8", "--output-len", "8"]
    with (
        start_simulated_server(SimSettings(base_s=0.002)) as server,
        Command(tmp_path, ["run", "--url", server.url, "--out", str(tmp_path), *load]) as command,
    ):
        command.wait_for("point 1/2")
        time.sleep(0.3)
        os.kill(server.pid, signal.SIGKILL)
        killed = time.monotonic()
        done = command.finish()
        assert time.monotonic() - killed < 20
    record = stored(tmp_path)
    assert done.code == 5
    assert [table.point.stop_reason for table in record.measured] == ["unreachable"]
    assert "the server was gone; load points left out after it: 1" in " ".join(done.out.split())


def test_requests_that_hang_end_at_the_read_timeout(tmp_path: Path) -> None:
    settings = SimSettings(base_s=0.001, fault=Fault(kind="hang", share=0.2))
    with start_simulated_server(settings) as server:
        done = run(server.url, tmp_path, "--read-timeout", "500ms", "--warmup", "0")
    found = statuses(stored(tmp_path))
    assert done.code == 5
    assert "no byte for 0.5 s (--read-timeout)" in done.out
    assert 0 < found.count("timeout") == 20 - found.count("ok")


# --- the disk fills ------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        shutil.which("mount") is None
        or os.geteuid() != 0
        or mount("-t", "tmpfs", "-o", "size=160k", "tmpfs", str(disk))
    ):
        pytest.skip("mounting a small file system is not permitted here; the ulimit test stands in for it")
    yield disk
    subprocess.run(["umount", str(disk)], check=True, timeout=10)


def mount(*words: str) -> int:
    return subprocess.run(["mount", *words], capture_output=True, check=False, timeout=10).returncode


def test_a_full_disk(fast_url: str, small_disk: Path, tmp_path: Path) -> None:
    with Command(tmp_path, flags(fast_url, small_disk, 64, "--num-prompts", "300", "-q")) as command:
        done = command.finish()
    (folder,) = folders(small_disk)
    check_message(done, 5, "journal", "No space left on device", "free some space", f"runs recover {folder}")
    check_message(here("report", str(folder)), 2, "was not closed", "runs recover")
    check_message(here("runs", "recover", str(folder)), 2, "No space left on device", "the journal is kept")
    assert mount("-o", "remount,size=8m", str(small_disk)) == 0
    recovered = here("runs", "recover", str(folder))
    assert (recovered.code, recovered.err) == (0, "")
    record = stored(small_disk)
    assert statuses(record).count("ok") > 20
    assert record.meta.state == "recovered"
    assert here("report", str(folder)).out.startswith("INVALID: records")


def test_a_quota(fast_url: str, tmp_path: Path) -> None:
    """A limit on the size of files: the journal fails, the tables still fit."""
    with Command(tmp_path, flags(fast_url, tmp_path, 64, "-q"), shell="ulimit -f 32") as command:
        done = command.finish()
    check_message(done, 5, "worker-0.seg", "File too large", "free some space")
    folder = check_closed(tmp_path, done)
    record = stored(tmp_path)
    assert statuses(record).count("ok") > 5
    assert record.meta.state == "failed"
    assert any("File too large" in note for note in record.meta.notes)
    assert (folder / "requests.parquet").is_file()

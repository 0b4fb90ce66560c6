"""Killed at any moment, the generator loses no finished request, and no folder becomes unreadable."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from inferometer import api
from inferometer.api import stored
from inferometer.errors import RunFolderError
from inferometer.loadgen.progress import Progress
from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.spec import Endpoint, Load, Output, RunSpec, Workload

CONCURRENCY = 8
SCRIPT = """
import sys
from inferometer import api
from inferometer.spec import Endpoint, Load, Output, RunSpec, Workload

class Tell:
    def on_progress(self, p):
        if p.kind == "measure":
            print(p.done, flush=True)
    def on_point_end(self, p):
        pass

url, out = sys.argv[1:]
api.run(RunSpec(endpoint=Endpoint(url=url), load=Load(max_concurrency=(8,), num_prompts=(5000,), warmup=2, workers=2),
    workload=Workload(input_len=(16,), output_len=(8,)), output=Output(out=out)), Tell())
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with start_simulated_server(SimSettings(base_s=0.002)) as server:
        yield server.url


def finished_by_server(url: str) -> int:
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as reply:
        text = reply.read().decode()
    return sum(
        int(float(n))
        for n in re.findall(r'^vllm:request_success_total\{[^}]*"(?:length|stop)"[^}]*\} (\S+)', text, re.M)
    )


def start(url: str, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, url, str(out)], stdout=subprocess.PIPE, text=True)


def generator_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The parent first, then its workers."""
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def told(process: subprocess.Popen[str]) -> int:
    """The last number of finished requests that the run reported before it died."""
    assert process.stdout is not None
    return max((int(line) for line in process.stdout.read().split()), default=0)


def only_folder(out: Path) -> Path:
    (folder,) = (p.parent for p in out.glob("*/run.json") if not p.parent.is_symlink())
    return folder


@pytest.mark.parametrize("moment", range(10))
def test_kill_9_at_a_random_moment(moment: int, url: str, tmp_path: Path) -> None:
    before = finished_by_server(url)
    with start(url, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdigit()  # the measured point has begun
        time.sleep(random.Random(moment).uniform(0.0, 1.2))
        for victim in reversed(generator_of(process)):
            victim.send_signal(signal.SIGKILL)
        process.wait()
        reported = told(process)
    run = api.recover(only_folder(tmp_path))
    table = run.measured[0]
    ok = int((table.text("status") == "ok").sum())
    warmup = 2
    assert ok >= reported
    assert ok + warmup >= finished_by_server(url) - before - CONCURRENCY
    assert run.meta.state == "recovered"
    assert table.point.dispatched == len(table.text("status"))
    summary = api.report(run.path)
    assert summary.points[0].counts.ok == ok
    assert summary.verdict.word == "INVALID"  # 5,000 were planned
    assert [listing.state for listing in api.list_runs(tmp_path)] == ["recovered"]


def test_a_killed_parent_takes_its_workers_along(url: str, tmp_path: Path) -> None:
    with start(url, tmp_path) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) == 0:
            pass
        parent, *workers = generator_of(process)
        assert len(workers) == 2
        parent.kill()
        process.wait()
        for worker in workers:
            worker.wait(timeout=10)
    run = api.recover(only_folder(tmp_path))
    statuses = set(run.measured[0].text("status"))
    assert statuses <= {"ok", "cancelled"}
    assert "ok" in statuses
    assert set(run.measured[0].number("worker")) == {0, 1}


def test_recover_leaves_a_run_alone_that_goes_on(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "KILLED_WORKER_S", 0.1)

    class Recover:
        refused = 0

        def on_progress(self, progress: Progress) -> None:
            if progress.kind == "measure" and progress.done > 20 and not self.refused:
                self.refused = 1
                with pytest.raises(RunFolderError, match="still going on"):
                    api.recover(only_folder(tmp_path))

        def on_point_end(self, point: object) -> None:
            pass

    observer = Recover()
    spec = RunSpec(
        endpoint=Endpoint(url=url),
        load=Load(max_concurrency=(8,), num_prompts=(400,), warmup=1),
        workload=Workload(input_len=(16,), output_len=(8,)),
        output=Output(out=str(tmp_path)),
    )
    result = api.run(spec, observer)
    assert observer.refused
    assert result.summary.points[0].counts.ok == 400


def test_files_in_the_current_directory_do_not_stand_in_for_the_library(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People keep a random.py, and a bench.py beside it."""
    for name in ("random.py", "selectors.py", "queue.py"):
        (tmp_path / name).write_text("raise SystemExit('not the library')")
    monkeypatch.chdir(tmp_path)
    spec = RunSpec(
        endpoint=Endpoint(url=url),
        load=Load(max_concurrency=(2,), num_prompts=(4,), warmup=0),
        workload=Workload(input_len=(16,), output_len=(8,)),
        output=Output(out=str(tmp_path / "runs")),
    )
    assert api.run(spec).summary.points[0].counts.ok == 4


def test_ctrl_c_in_a_notebook_is_an_interruption(url: str, tmp_path: Path) -> None:
    class Interrupt:
        def on_progress(self, progress: Progress) -> None:
            if progress.kind == "measure" and progress.done > 20:
                raise KeyboardInterrupt

        def on_point_end(self, point: object) -> None:
            pass

    spec = RunSpec(
        endpoint=Endpoint(url=url),
        load=Load(max_concurrency=(8,), num_prompts=(5000,), warmup=1),
        workload=Workload(input_len=(16,), output_len=(8,)),
        output=Output(out=str(tmp_path)),
    )
    with pytest.raises(KeyboardInterrupt):
        api.run(spec, Interrupt())
    (listing,) = api.list_runs(tmp_path)
    assert listing.state == "interrupted"
    assert listing.requests > 20

"""Several worker processes share a load point: together they are one generator, and one that dies ends the run."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from commands import Command, check_message, folders, here, stored, successes

from inferometer import api
from inferometer.client.target import resolve
from inferometer.errors import LoadgenError
from inferometer.loadgen import crew, shards
from inferometer.loadgen import process as processes
from inferometer.loadgen.messages import MoreRequests, Setup, WireRequest
from inferometer.loadgen.process import WorkerProcess
from inferometer.loadgen.progress import NullObserver, Progress
from inferometer.loadgen.stop import StopSignal
from inferometer.record.tables import PointTable, RunRecord
from inferometer.record.types import PointRecord
from inferometer.schedule import owner_of, planned_offsets_ns
from inferometer.schedule.loops import START_STAGGER_NS
from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.spec import Endpoint, Load, LoadPoint, Output, RunSpec, Workload, load_points


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with start_simulated_server(SimSettings(base_s=0.005)) as server:
        yield server.url


def asked(url: str, out: Path, **load: Any) -> RunSpec:
    return RunSpec(
        endpoint=Endpoint(url=url),
        load=Load(**{"warmup": 0, **load}),
        workload=Workload(input_len=(16,), output_len=(8,)),
        output=Output(out=str(out)),
    )


class Watching(NullObserver):
    """Runs what it is given, once, when the measured load has done more than ``after`` requests."""

    def __init__(self, act: Callable[[], None], after: int) -> None:
        self._act: Callable[[], None] | None = act
        self._after = after
        self.seen: list[Progress] = []

    def on_progress(self, progress: Progress) -> None:
        self.seen.append(progress)
        if progress.kind == "measure" and progress.done > self._after and self._act is not None:
            act, self._act = self._act, None
            act()


def workers_of_this_process() -> list[psutil.Process]:
    """In the order in which they were started."""
    children = psutil.Process().children()
    return sorted(
        (child for child in children if "loadgen.worker" in " ".join(child.cmdline())),
        key=lambda child: (child.create_time(), child.pid),
    )


def kill_the_last_worker() -> None:
    workers_of_this_process()[-1].kill()


def peak_in_flight(table: PointTable) -> int:
    """The most requests that were under way at one time, by the records."""
    starts, ends = table.number("sent_ns"), table.number("end_ns")
    times = np.concatenate([starts, ends])
    steps = np.concatenate([np.ones(len(starts), np.int64), -np.ones(len(ends), np.int64)])
    order = np.lexsort((steps, times))  # at one instant an end comes before a start
    return int(np.cumsum(steps[order]).max())


def check_shared(record: RunRecord, point: LoadPoint, workers: int) -> PointTable:
    """Every request once, by the worker that owns it, and each worker reported."""
    (table,) = record.measured
    count = point.num_prompts or 0
    assert table.number("index").tolist() == list(range(count))
    assert set(table.text("status")) == {"ok"}
    owners = [owner_of(point, index, workers) for index in range(count)]
    assert table.number("worker").tolist() == owners
    assert set(owners) == set(range(workers))
    assert (table.point.workers, table.point.dispatched) == (workers, count)
    assert table.point.stop_reason == "complete"
    assert [health.worker for health in table.point.health] == list(range(workers))
    pinned = [health.cpu for health in table.point.health if health.cpu is not None]
    assert len(set(pinned)) == len(pinned)
    assert len(pinned) in (0, workers)
    return table


@pytest.mark.parametrize(("workers", "permits"), [(2, 7), (3, 8)])
def test_a_closed_loop_is_shared(workers: int, permits: int, url: str, tmp_path: Path) -> None:
    spec = asked(url, tmp_path, max_concurrency=permits, num_prompts=90, workers=workers)
    watching = Watching(lambda: None, 0)
    result = api.run(spec, watching)
    record = api.recover(result.path)
    table = check_shared(record, load_points(spec)[0], workers)
    assert peak_in_flight(table) == permits
    # From the one epoch of all workers, to the nanosecond.
    first = table.number("planned_ns")[:permits]
    assert first.tolist() == [slot * START_STAGGER_NS for slot in range(permits)]
    assert watching.seen[-1].done == 90
    assert {progress.planned for progress in watching.seen} == {90}
    assert max(progress.in_flight for progress in watching.seen) <= permits
    assert sorted(path.name for path in result.path.glob("*.log")) == []


@pytest.mark.parametrize("workers", [2, 3])
def test_an_open_loop_is_shared(workers: int, url: str, tmp_path: Path) -> None:
    spec = asked(url, tmp_path, request_rate=200.0, num_prompts=100, workers=workers, seed=3)
    result = api.run(spec)
    (point,) = load_points(spec)
    table = check_shared(api.recover(result.path), point, workers)
    assert table.number("planned_ns").tolist() == list(planned_offsets_ns(point))


def test_an_open_loop_never_exceeds_its_limit(url: str, tmp_path: Path) -> None:
    spec = asked(url, tmp_path, request_rate=400.0, max_concurrency=5, num_prompts=80, workers=3)
    result = api.run(spec)
    (point,) = load_points(spec)
    table = check_shared(api.recover(result.path), point, 3)
    assert peak_in_flight(table) == 5


def test_points_take_as_many_of_the_workers_as_they_can_use(url: str, tmp_path: Path) -> None:
    spec = asked(url, tmp_path, max_concurrency=(1, 3, 2), num_prompts=12, workers=3, warmup=2)
    record = api.recover(api.run(spec).path)
    assert [table.point.workers for table in record.measured] == [1, 3, 2]
    assert [set(table.number("worker")) for table in record.measured] == [{0}, {0, 1, 2}, {0, 1}]
    assert [len(table.point.health) for table in record.measured] == [1, 3, 2]


def test_time_ends_all_workers(url: str, tmp_path: Path) -> None:
    spec = asked(url, tmp_path, max_concurrency=4, duration_s=0.5, workers=2)
    (table,) = api.recover(api.run(spec).path).measured
    assert table.point.stop_reason == "duration"
    assert table.point.dispatched == len(table.text("status"))
    assert set(table.number("worker")) == {0, 1}
    assert table.number("planned_ns").max() < 0.5e9


def test_ctrl_c_reaches_all_workers(url: str, tmp_path: Path) -> None:
    stop = StopSignal()
    spec = asked(url, tmp_path, max_concurrency=4, num_prompts=5000, workers=2)
    result = api.run(spec, Watching(stop.request, 20), stop)
    (table,) = api.recover(result.path).measured
    assert (result.exit_code, table.point.stop_reason) == (130, "interrupted")
    assert set(table.text("status")) == {"ok"}
    assert table.point.dispatched == len(table.text("status")) < 5000


def test_prompts_that_do_not_fit_into_a_pipe_reach_every_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "BATCH_BYTES", 150_000)
    file = tmp_path / "long.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"{n} " + "word " * 40_000}) + "\n" for n in range(16)))
    room = SimSettings(
        base_s=0.001,
        per_token_s=0.0,
        per_kv_token_s=0.0,
        max_num_batched_tokens=1 << 18,
        max_model_len=1 << 18,
    )
    with start_simulated_server(room) as server:
        spec = asked(server.url, tmp_path, max_concurrency=4, num_prompts=16, workers=2).model_copy(
            update={"workload": Workload(dataset="openqa", dataset_path=str(file), output_len=(2,))}
        )
        record = api.recover(api.run(spec).path)
    table = check_shared(record, load_points(spec)[0], 2)
    assert table.number("bytes_out").min() > 200_000


# --- one of them dies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_killed_worker_ends_the_run_and_nothing_finished_is_lost(
    workers: int, url: str, tmp_path: Path
) -> None:
    before = successes(url)
    spec = asked(url, tmp_path, max_concurrency=(6, 7), num_prompts=5000, workers=workers)
    watching = Watching(kill_the_last_worker, 30)
    result = api.run(spec, watching)
    assert result.exit_code == 5
    assert result.summary.verdict.word == "INVALID"
    record = api.recover(result.path)
    assert record.meta.state == "failed"
    (note,) = record.meta.notes
    assert f"worker {workers - 1} ended by signal SIGKILL: it said nothing" in note
    assert "load points left out after it: 1" in note
    (table,) = record.measured  # the second point was not come to
    assert table.point.stop_reason == "lost"
    status = table.text("status")
    killed = table.number("worker") == workers - 1
    assert set(status) == {"ok"}  # the others drained
    assert set(table.number("worker")) == set(range(workers))
    assert len(status) >= max(progress.done for progress in watching.seen)
    permits = len(range(workers - 1, 6, workers))
    assert (
        len(status) >= successes(url) - before - permits
    )  # only what the killed one had in flight is missing
    assert [health.worker for health in table.point.health] == list(range(workers - 1))
    assert table.point.dispatched >= int((~killed).sum())


def test_the_command_line_reports_a_run_that_lost_a_worker(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching = Watching(lambda: workers_of_this_process()[0].send_signal(signal.SIGKILL), 10)
    monkeypatch.setattr("inferometer.cli.live.NullObserver", lambda: watching)
    flags = ("--max-concurrency", "4", "--num-prompts", "5000", "--input-len", "8", "--output-len", "8")
    done = here("run", "--url", url, "--out", str(tmp_path), "--quiet", *flags, "--workers", "2")
    assert done.code == 5
    assert done.out.startswith("INVALID: ")
    assert "worker 0 ended by signal SIGKILL" in " ".join(done.out.split())
    assert "error:" not in done.err
    (folder,) = folders(tmp_path)
    assert here("report", str(folder)).code == 0


def test_a_worker_that_dies_between_points_makes_the_next_one_invalid(url: str, tmp_path: Path) -> None:
    class KillAfterTheFirst(Watching):
        def on_point_end(self, point: PointRecord) -> None:
            if point.index == 1:
                kill_the_last_worker()

    spec = asked(url, tmp_path, max_concurrency=(4, 5), num_prompts=20, workers=2)
    result = api.run(spec, KillAfterTheFirst(lambda: None, 0))
    assert result.exit_code == 5
    record = api.recover(result.path)
    assert [table.point.stop_reason for table in record.measured] == ["complete", "lost"]
    assert [len(table.text("status")) for table in record.measured] == [20, 0]
    assert result.summary.points[1].verdict.word == "INVALID"
    assert record.meta.state == "failed"


def test_a_full_disk_of_one_worker_stops_the_others(url: str, tmp_path: Path) -> None:
    """A limit on the size of files: whichever journal reaches it first."""
    flags = ("--max-concurrency", "4", "--num-prompts", "5000", "--input-len", "8", "--output-len", "64")
    argv = ["run", "--url", url, "--out", str(tmp_path), "-q", *flags, "--workers", "2"]
    with Command(tmp_path, argv, shell="ulimit -f 32") as command:
        done = command.finish()
    check_message(done, 5, ".seg", "File too large", "free some space")
    record = stored(tmp_path)
    (table,) = record.measured
    # The end of its share does not fit either; the note says why.
    assert (record.meta.state, table.point.stop_reason) == ("failed", "lost")
    assert any("File too large" in note for note in record.meta.notes)
    assert set(table.text("status")) <= {"ok", "cancelled"}
    assert set(table.number("worker")) == {0, 1}


def test_a_worker_that_cannot_start_is_an_error_with_its_last_words(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = [sys.executable, "-c", "import sys; sys.exit('out of memory')"]
    monkeypatch.setattr(processes, "own_program", lambda module: program)
    with pytest.raises(LoadgenError, match=r"worker [01] ended with exit code 1: out of memory"):
        api.run(asked(url, tmp_path, max_concurrency=4, num_prompts=20, workers=2))
    (folder,) = folders(tmp_path)
    assert api.recover(folder).meta.state == "failed"


def test_a_worker_that_the_system_does_not_grant_is_an_error_with_a_way_out(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    real = subprocess.Popen

    def popen(*args: Any, **how: Any) -> Any:
        if started:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        started.append(real(*args, **how))
        return started[0]

    monkeypatch.setattr(processes.subprocess, "Popen", popen)
    with pytest.raises(LoadgenError, match="worker 1 cannot be started: Resource temp") as caught:
        api.run(asked(url, tmp_path, max_concurrency=4, num_prompts=20, workers=2))
    assert caught.value.next_step == "lower --workers"
    assert started[0].returncode is not None, "the first one was ended"
    (folder,) = folders(tmp_path)
    assert not list(folder.glob("*.log"))
    assert api.recover(folder).meta.state == "failed"


def test_a_worker_that_is_stuck_is_not_waited_for(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a limit this would never end: pytest-timeout is the only clock here."""
    monkeypatch.setattr(crew, "STUCK_NS", 1_000_000_000)
    stop = StopSignal()

    def halt() -> None:
        workers_of_this_process()[-1].send_signal(signal.SIGSTOP)
        stop.request()
        stop.request()

    spec = asked(url, tmp_path, max_concurrency=(4, 5), num_prompts=5000, workers=2)
    result = api.run(spec, Watching(halt, 20), stop)
    assert result.summary.verdict.word == "INVALID"
    record = api.recover(result.path)
    (note,) = record.meta.notes
    assert "worker 1 ended by signal SIGKILL, as it did not stop when asked to: it said nothing" in note
    (table,) = record.measured
    assert table.point.stop_reason == "lost"
    assert [health.worker for health in table.point.health] == [0]
    assert set(table.text("status")) <= {"ok", "cancelled"}
    assert set(table.number("worker")) == {0, 1}, "what the stuck one had finished is kept"


def test_a_worker_far_behind_the_other_ends_the_point_and_the_run_says_why(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one request may wait here, so the first worker that asks twice before the other is too far ahead."""
    monkeypatch.setattr(shards, "WAITING_BYTES", 0)
    monkeypatch.setattr(shards, "BATCH_BYTES", 1)
    spec = asked(url, tmp_path, max_concurrency=4, duration_s=60.0, workers=2)
    result = api.run(spec)
    record = api.recover(result.path)
    (note,) = record.meta.notes
    assert "MiB of prompts waited for it" in note
    (table,) = record.measured
    assert table.point.stop_reason == "data"
    assert table.point.dispatched == len(table.text("status"))
    assert set(table.text("status")) == {"ok"}, "nothing that was sent is lost"


def test_the_parent_does_not_wait_for_a_worker_that_does_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "import os\nos.read(0, 1)\nos.write(1, b'x')\nwhile os.read(0, 1 << 20): pass"
    monkeypatch.setattr(processes, "own_program", lambda module: [sys.executable, "-c", program])
    setup = Setup(resolve("http://127.0.0.1:1"), "", 0, "openai-chat", "builtin", False)
    lock = os.open(tmp_path, os.O_RDONLY)
    with WorkerProcess(setup, tmp_path / "worker-0.log", lock) as worker:
        worker.send(MoreRequests([WireRequest(bytes(64 << 20))], True))
        kept = [worker.unsent]  # true, and yet we are here
        while worker.unsent:
            worker.flush()
    assert kept == [True]
    os.close(lock)

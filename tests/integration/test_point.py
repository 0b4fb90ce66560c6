"""One load point against a real socket: the end of its time, old connections, a parent that does not listen."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inferometer.client import reactor as transport
from inferometer.client.decode import DecodeOptions
from inferometer.client.dialects import DIALECTS, BodyOptions
from inferometer.client.reactor import Reactor
from inferometer.client.target import resolve
from inferometer.clock import MonotonicClock
from inferometer.loadgen import backlog, worker
from inferometer.loadgen.messages import (
    Conversation,
    FromWorker,
    Later,
    Need,
    Ready,
    Setup,
    StartPoint,
    Status,
    WireRequest,
)
from inferometer.loadgen.plan import point_record
from inferometer.loadgen.point import PointRun
from inferometer.loadgen.progress import Progress
from inferometer.record.journal import JournalWriter, StoredRequest, read_journal
from inferometer.record.types import PointRecord, RequestRecord
from inferometer.schedule import make_schedule
from inferometer.spec import LoadPoint
from inferometer.testing.fault_server import FaultServer
from inferometer.testing.streams import answering, delta, sse, stream
from inferometer.workload import Turn

ANSWER = stream([(0.0, sse(delta("x", finish="stop")) + sse("[DONE]"))])


def load(**fields: Any) -> LoadPoint:
    usual: dict[str, Any] = {
        "index": 1,
        "kind": "measure",
        "max_concurrency": None,
        "request_rate": None,
        "burstiness": 1.0,
        "num_prompts": None,
        "duration_s": None,
        "input_len": None,
        "output_len": None,
        "seed": 0,
    }
    return LoadPoint(**{**usual, **fields})


class Bench:
    """A reactor and a journal, and point after point on them."""

    def __init__(self, url: str, home: Path, ready: Callable[[PointRun], None] | None = None) -> None:
        self.ready = ready or self.go
        self.reactor = Reactor(resolve(url), MonotonicClock())
        self.path = home / "a.seg"
        self.journal = JournalWriter(self.path)
        self.said: list[FromWorker] = []
        self.hears: Callable[[FromWorker], None] = lambda message: None

    def run(self, point: LoadPoint, requests: int, turns: int = 1) -> PointRecord:
        later = Later([], [Turn(content="go on")] * (turns - 1)) if turns > 1 else None
        start = StartPoint(
            point=point_record(point),
            load={name: getattr(point, name) for name in LoadPoint.__slots__},
            path="/v1/chat/completions",
            stream=True,
            grace_s=5.0,
            requests=[
                WireRequest(b"{}", index=turns * n if later else None, later=later) for n in range(requests)
            ],
            complete=True,
            points_total=1,
            title="",
            conversation=Conversation(BodyOptions(model="m", default_max_tokens=1)) if later else None,
        )
        setup = Setup(self.reactor.target, str(self.path), 0, "openai-chat", "builtin", False)
        decoding = DecodeOptions(DIALECTS.get("openai-chat"), True, [])
        parts = (self.reactor, make_schedule(point), self.journal, decoding)

        def say(message: FromWorker) -> None:
            self.said.append(message)
            self.hears(message)
            if isinstance(message, Ready):
                self.ready(run)

        run = PointRun(start, setup, parts, say, lambda: None)
        return run.run()

    def go(self, run: PointRun) -> None:
        run.go(self.reactor.clock.now_ns() + 20_000_000)

    def records(self) -> list[RequestRecord]:
        return [frame.record for frame in read_journal(self.path) if isinstance(frame, StoredRequest)]

    def close(self) -> None:
        self.reactor.close()
        self.journal.close()


def test_what_is_due_just_before_the_time_is_up_is_sent(tmp_path: Path) -> None:
    """The last arrival is due one microsecond before the end; no generator wakes up that exactly."""
    point = load(request_rate=50.0, burstiness=float("inf"), duration_s=0.200001)
    with FaultServer(answering(ANSWER)) as server:
        bench = Bench(server.url, tmp_path)
        done = bench.run(point, 100)
        bench.close()
    assert done.planned_requests == 11
    assert done.dispatched == 11
    assert [record.status for record in bench.records()] == ["ok"] * 11


def test_a_closed_loop_that_time_ends_sends_nothing_after_it(tmp_path: Path) -> None:
    with FaultServer(answering(stream([(0.03, sse(delta("x", finish="stop")) + sse("[DONE]"))]))) as server:
        bench = Bench(server.url, tmp_path)
        done = bench.run(load(max_concurrency=3, duration_s=0.2), 1000)
        bench.close()
    records = bench.records()
    assert done.dispatched == len(records)
    assert {record.status for record in records} == {"ok"}
    assert done.epoch_ns is not None
    assert max(record.planned_ns for record in records) < done.epoch_ns + 200_000_000


def test_no_turn_of_a_session_is_due_after_the_time_limit(tmp_path: Path) -> None:
    """The worker stands still until all first answers are there: some of them wait while others have been read."""
    answer = stream([(0.2, sse(delta("x", finish="stop")) + sse("[DONE]"))])
    still = [0.3]
    with FaultServer(answering(answer)) as server:
        bench = Bench(server.url, tmp_path, lambda run: run.go(run.clock.now_ns() - 100_000_000))
        bench.hears = lambda message: (
            time.sleep(still.pop()) if still and isinstance(message, Status) else None
        )
        done = bench.run(load(max_concurrency=16, num_prompts=16, duration_s=0.2), 16, turns=50)
        bench.close()
    assert done.stop_reason == "duration"
    found = sorted((record.index, record.turns_left) for record in bench.records())
    assert found == [(50 * n, 49) for n in range(16)]


def test_connections_that_grew_old_between_points_are_replaced_before_the_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "IDLE_REUSE_NS", 200_000_000)
    with FaultServer(answering(ANSWER)) as server:
        bench = Bench(server.url, tmp_path)
        bench.run(load(max_concurrency=2, num_prompts=2), 2)
        time.sleep(0.19)
        bench.run(load(max_concurrency=2, num_prompts=2), 2)
        bench.close()
    assert [record.connect_start_ns for record in bench.records()] == [None] * 4


def test_a_point_that_is_stopped_before_the_common_start_never_began(tmp_path: Path) -> None:
    with FaultServer(answering(ANSWER)) as server:
        bench = Bench(server.url, tmp_path, ready=lambda run: run.stop(1))
        done = bench.run(load(max_concurrency=2, num_prompts=4), 4)
        bench.close()
    assert (done.epoch_ns, done.end_ns, done.dispatched) == (None, None, 0)
    assert done.stop_reason == "interrupted"
    assert list(read_journal(bench.path)) == []


def test_a_full_backlog_is_decoded_before_more_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "MAX_BYTES", 100_000)
    long = stream([(0.0, sse(delta("x")) * 300 + sse(delta("y", finish="stop")) + sse("[DONE]"))])
    with FaultServer(answering(long)) as server:
        bench = Bench(server.url, tmp_path)
        done = bench.run(load(max_concurrency=16, num_prompts=400), 400)
        bench.close()
    assert [record.status for record in bench.records()] == ["ok"] * 400
    one = bench.records()[0].bytes_in
    assert done.health[0].backlog_peak_bytes < 100_000 + 17 * one  # what one turn can bring


def test_a_parent_that_does_not_listen_does_not_stop_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal held with Ctrl-S, or a pager: reports are dropped, the batch is asked for all the same."""
    outlet, inlet = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(inlet, fcntl.F_SETPIPE_SZ, 4096)
    monkeypatch.setattr(worker, "STDOUT", inlet)
    progress = Progress(
        point=1,
        points_total=1,
        kind="measure",
        title="",
        planned=None,
        done=0,
        failed=0,
        in_flight=0,
        output_tokens=0,
        elapsed_s=0.0,
        limit_s=None,
    )
    for _ in range(5000):
        worker.say(Status(progress))
    worker.say(Need())  # it returns, though the pipe is full
    assert 0 < len(os.read(outlet, 1 << 20)) < 5000 * 20
    os.close(inlet)
    os.close(outlet)

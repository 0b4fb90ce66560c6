"""One node's workers between the parent's sockets and a real agent, with no cluster between them."""

from __future__ import annotations

import queue
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inferometer.client.target import resolve
from inferometer.clock import MonotonicClock
from inferometer.loadgen.messages import Setup
from inferometer.loadgen.nodes.agent import Agent
from inferometer.loadgen.nodes.bridge import Bridge
from inferometer.loadgen.nodes.cluster import NodeLostError
from inferometer.loadgen.nodes.gateway import shared_out
from inferometer.loadgen.nodes.talk import Ended
from inferometer.record.folder import JOURNAL
from inferometer.record.types import NodeRecord

END_S = 60.0  # of a wait for what comes in any case


class Here:
    """A node that is this machine; it can be lost."""

    node_id, address = "n", "10.0.0.1"

    def __init__(self, place: Path) -> None:
        self.agent = Agent(MonotonicClock(), lambda: False, place)
        self.lost = False

    def call(self, name: str, *arguments: Any) -> Any:
        if self.lost:
            raise NodeLostError("it gave no answer for 30 s")
        return getattr(self.agent, name)(*arguments)

    def look(self) -> dict[str, Any]:
        return {}

    def open(self) -> dict[str, Any]:
        return self.agent.facts()


class Run:
    """A bridge, and the parent's side of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / JOURNAL).mkdir()
        self.node = Here(folder)
        self.endings: queue.Queue[Ended] = queue.Queue()
        self.record = NodeRecord(node_id="n", name="n", address="10.0.0.1", workers=[0, 1], folder="/far")
        self.bridge = Bridge(self.node, self.record, {0: (0, 2), 1: (1, 2)}, self.endings.put)
        self.lines: list[socket.socket] = []

    def hire(self, worker: int) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.settimeout(END_S)
        self.lines.append(ours)
        setup = Setup(resolve("http://127.0.0.1:1"), "elsewhere", worker, "openai-chat", "builtin", False)
        self.bridge.hire(setup, self.folder, theirs)
        return ours

    def ended(self, line: socket.socket) -> Ended:
        """Hang up on a worker, and wait until the parent is told that it has ended."""
        line.shutdown(socket.SHUT_WR)
        return self.endings.get(timeout=END_S)

    def close(self) -> str | None:
        left = self.bridge.close()
        for line in self.lines:
            line.close()
        return left


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_a_worker_that_is_hired_after_all_others_have_ended_is_listened_to(run: Run) -> None:
    """As in a search, which needs more of them later."""
    first = run.ended(run.hire(0))
    assert first.how == "node n (10.0.0.1): worker 0 ended with exit code 0: it said nothing"
    late = run.hire(1)
    assert run.ended(late).worker == 1
    assert late.recv(1) == b"", "the parent finds the end of its output"
    assert run.close() is None
    assert sorted(path.name for path in (run.folder / JOURNAL).iterdir()) == ["worker-0.seg", "worker-1.seg"]
    assert list(run.folder.glob("inferometer-node-*")) == []


def test_a_worker_that_cannot_be_started_is_told_as_that(run: Run) -> None:
    (run.folder / JOURNAL / "worker-0.seg").touch()
    assert run.hire(0).recv(1) == b""
    told = run.endings.get(timeout=END_S).how
    assert told == (
        "worker 0 cannot be started on node n (10.0.0.1): its journal cannot be stored here: File exists"
    )
    assert run.close() is None


def test_a_node_that_does_not_answer_any_more_is_told_with_where_its_journals_are(run: Run) -> None:
    line = run.hire(0)
    run.node.lost = True
    ended = run.endings.get(timeout=END_S)
    assert line.recv(1) == b""
    assert ended.node_lost == run.record.lost
    assert ended.node_lost == (
        "it gave no answer for 30 s; what its workers finished in the last moment may be missing here, and is there: "
        "/far/worker-0.seg"
    )
    assert run.close() == "/far"
    run.node.agent.close({0: 1 << 30})


def test_nothing_is_told_of_a_worker_before_the_caller_knows_it_is_there(tmp_path: Path) -> None:
    agent = Agent(MonotonicClock(), lambda: False, tmp_path)
    setup = Setup(resolve("http://127.0.0.1:1"), "elsewhere", 5, "openai-chat", "builtin", False)
    assert agent.hire(msgspec.msgpack.encode(setup), 0, 1) is None
    agent.give([(5, None)])
    assert agent.take({5: 0}, END_S)["journal"]
    found = agent.take({}, 0.0)
    assert (found["journal"], found["said"], found["endings"]) == ([], [], {})
    agent.close({5: 1 << 30})


def test_workers_are_dealt_to_nodes_in_turn_and_share_the_cores_of_one_computer() -> None:
    shares = shared_out(["boot-a net:[1]", "boot-b net:[1]", "boot-a net:[2]"], 2)
    assert shares == [{0: (0, 4), 3: (1, 4)}, {1: (0, 2), 4: (1, 2)}, {2: (2, 4), 5: (3, 4)}]

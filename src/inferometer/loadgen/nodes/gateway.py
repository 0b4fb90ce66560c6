"""The gateway: a process of its own that is in the cluster, so that the parent need not be.

What joins a cluster gets threads, signal handlers and a death of its own: a Ray driver is ended when its raylet is.
Here that ends the gateway alone, and the run is closed with what had come. It also outlives the parent for a moment:
when that is killed, workers on all nodes are told to end, and what they have written is still fetched.
"""

from __future__ import annotations

import os
import platform
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from inferometer.clock import MonotonicClock
from inferometer.errors import InferometerError, UsageError
from inferometer.loadgen.messages import Inbox, pack
from inferometer.loadgen.nodes.bridge import Bridge
from inferometer.loadgen.nodes.clocks import compare
from inferometer.loadgen.nodes.cluster import Cluster, Node, NodeLostError, RayCluster
from inferometer.loadgen.nodes.talk import (
    Begin,
    Close,
    Closed,
    Connect,
    Connected,
    FromGateway,
    Hire,
    Kill,
    MarkClocks,
    Marked,
    Refused,
    ToGateway,
)
from inferometer.loadgen.nodes.troubles import node_problem
from inferometer.record.folder import CLOCKS, JOURNAL
from inferometer.record.journal import JournalWriter
from inferometer.record.types import ClockMark, NodeRecord
from inferometer.spec.problems import Problem, raise_problems

READ_BYTES = 1 << 16
NOT_JOINED = "not joined"  # the next step of a refusal that the parent explains
_TOGETHER = 16  # nodes that are asked at one time
_encoder = msgspec.msgpack.Encoder()


class Gateway:
    """Serves one run.

    Args:
        control: the parent's line.
        join: joins a cluster by its address.
    """

    def __init__(self, control: socket.socket, join: Callable[[str], Cluster]) -> None:
        self._control = control
        self._join = join
        self._guard = threading.Lock()
        self._clock = MonotonicClock()
        self._cluster: Cluster | None = None
        self._bridges: list[Bridge] = []
        self._first: list[ClockMark] = []
        self._marks: JournalWriter | None = None
        self._run = Path()

    def serve(self) -> None:
        """Do what the parent asks for until it closes its line."""
        inbox, lines = Inbox(ToGateway), list[int]()
        try:
            while True:
                data, received, _, _ = socket.recv_fds(self._control, READ_BYTES, 16)
                lines += received
                if not data:
                    break
                for message in inbox.feed(data):
                    line = socket.socket(fileno=lines.pop(0)) if isinstance(message, Hire) else None
                    self._obey(message, line)
        finally:
            self._leave()

    def _obey(self, message: ToGateway, line: socket.socket | None) -> None:
        if isinstance(message, Connect):
            self._say(self._connected(message))
        elif isinstance(message, Begin):
            self._run = Path(message.folder)
            self._marks = JournalWriter(self._run / JOURNAL / CLOCKS)
            self._note(self._first)
        elif isinstance(message, Hire):
            assert line is not None
            self._of(message.setup.worker).hire(message.setup, self._run, line)
        elif isinstance(message, Kill):
            self._of(message.worker).kill(message.worker)
        elif isinstance(message, MarkClocks):
            marks = self._compared()
            self._note([mark for mark in marks if mark is not None])
            for bridge in self._bridges:
                bridge.sync()
            self._say(Marked(marks))
        elif isinstance(message, Close):
            self._say(Closed(self._leave()))

    def _of(self, worker: int) -> Bridge:
        return next(bridge for bridge in self._bridges if worker in bridge.record.workers)

    def _say(self, message: FromGateway) -> None:
        try:
            with self._guard:
                self._control.sendall(pack(message))
        except OSError:  # the parent is gone, which its line tells
            return

    def _note(self, marks: list[ClockMark]) -> None:
        if self._marks is not None:
            for mark in marks:
                self._marks.append(mark)

    def _connected(self, asked: Connect) -> Connected | Refused:
        try:
            self._cluster = self._join(asked.address)
            if not self._cluster.nodes:
                raise UsageError(
                    f"the cluster --nodes {asked.address} has no node that is alive", "see `ray status`"
                )
            with ThreadPoolExecutor(_TOGETHER) as together:
                looked = list(together.map(_look, self._cluster.nodes))
                raise_problems(problem for _, problem in looked if problem is not None)
                opened = list(together.map(lambda node: _opened(node, asked), self._cluster.nodes))
            raise_problems(problem for _, problems in opened for problem in problems)
        except InferometerError as error:
            return Refused(error.message, error.next_step)
        seen = [facts for facts, _ in opened]
        shares = shared_out([str(facts["host"]) for facts in seen], asked.workers_per_node)
        for node, facts, places in zip(self._cluster.nodes, seen, shares, strict=True):
            record = NodeRecord(
                node_id=node.node_id,
                name=str(facts["name"]),
                address=node.address,
                workers=list(places),
                versions={**self._cluster.versions, **facts["versions"]},
                cores=facts["cores"],
                files=facts["files"],
                ports=facts["ports"],
                folder=str(facts["folder"]),
            )
            self._bridges.append(Bridge(node, record, places, self._say))
        for bridge, mark in zip(self._bridges, self._compared(), strict=True):
            if mark is None:
                return Refused(
                    f"{bridge.named} was lost before the run began", "see `ray status`, and start again"
                )
            bridge.record.clock.append(mark)
            self._first.append(mark)
        return Connected([bridge.record for bridge in self._bridges])

    def _compared(self) -> list[ClockMark | None]:
        """The clocks of all nodes against ours, one after the other, so that none waits for another."""
        return [self._compared_with(bridge) for bridge in self._bridges]

    def _compared_with(self, bridge: Bridge) -> ClockMark | None:
        if bridge.record.lost is not None:
            return None
        try:
            return compare(lambda: int(bridge.node.call("now_ns")), self._clock, bridge.record.workers)
        except NodeLostError:  # which its threads tell
            return None

    def _leave(self) -> dict[str, str]:
        """End everything of ours on the nodes; folders that are left there, with their nodes."""
        left = {}
        with ThreadPoolExecutor(_TOGETHER) as together:
            folders = together.map(Bridge.close, self._bridges)
            for bridge, folder in zip(self._bridges, folders, strict=True):
                if folder is not None:
                    left[folder] = bridge.named
        self._bridges = []
        if self._marks is not None:
            self._marks.close()
            self._marks = None
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None
        return left


def shared_out(hosts: list[str], per_node: int) -> list[dict[int, tuple[int, int]]]:
    """The workers of each node; of each its place among those on the same computer, and how many those are.

    They are dealt in turn, so that few streams, which need few workers, still come from all nodes.

    Args:
        hosts: ``host_identity`` of each node.
        per_node: workers on each.
    """
    computers = [host.split()[0] for host in hosts]
    together = {name: computers.count(name) * per_node for name in computers}
    shares = []
    for node, name in enumerate(computers):
        before = computers[:node].count(name) * per_node
        shares.append(
            {place * len(hosts) + node: (before + place, together[name]) for place in range(per_node)}
        )
    return shares


def _look(node: Node) -> tuple[Node, Problem | None]:
    try:
        seen = node.look()
    except NodeLostError as error:
        step = (
            "see `ray status`, and the log of that node; a node that is there must be able to start an actor"
        )
        return node, Problem(f"node {node.address} cannot take part: {error.message}", step)
    return node, node_problem(f"{seen['name']} ({node.address})", seen, platform.python_version())


def _opened(node: Node, asked: Connect) -> tuple[dict[str, Any], list[Problem]]:
    """Start the agent of a node; what it knows, and what keeps it from sending load."""
    try:
        facts = node.open()
        whose = f"node {facts['name']} ({node.address})"
        problems: list[Problem] = []
        if asked.here is not None and facts["host"] != asked.here:
            told = f"{asked.target.host_header} is {whose} itself when asked from there, not the server of this machine"
            return facts, [
                Problem(told, "give --url with a name or address that means the server on every node")
            ]
        lacking = node.call("missing", asked.files)
        problems += [
            Problem(f"{whose} does not have {path}", "put it there too, under this path") for path in lacking
        ]
        for reason in node.call("unreachable", _encoder.encode(asked.target)):
            step = "every node has to reach the server: look at its network and firewall, and at --url"
            problems.append(Problem(f"from {whose}: {reason}", step))
    except NodeLostError as error:
        return {}, [Problem(f"node {node.address} cannot take part: {error.message}", "see `ray status`")]
    return facts, problems


def main() -> int:
    """Serve the parent, whose line is the descriptor that is given as argument."""
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "3")  # 20 of them, a second each, tell no more
    with socket.socket(fileno=int(sys.argv[1])) as control:
        Gateway(control, join_ray).serve()
    return 0


def join_ray(address: str) -> Cluster:
    """Join a Ray cluster.

    Raises:
        LoadgenError: with what Ray said as message; the parent knows its log too, and explains both.
    """
    try:
        return RayCluster(address)
    except InferometerError:
        raise
    except Exception as error:  # noqa: BLE001 - of many kinds, ValueError and RuntimeError among them
        raise UsageError(f"{type(error).__name__}: {error}", NOT_JOINED) from None

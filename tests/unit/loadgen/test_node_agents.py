"""Why a cluster or a node cannot take part, how clocks are compared, and what an agent hands out."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from inferometer.client.target import resolve
from inferometer.clock import MonotonicClock, VirtualClock
from inferometer.loadgen.messages import Setup
from inferometer.loadgen.nodes.agent import Agent
from inferometer.loadgen.nodes.clocks import SAMPLES, compare
from inferometer.loadgen.nodes.fleet import files_of
from inferometer.loadgen.nodes.troubles import explain, node_problem
from inferometer.version import __version__

LOOKED = {"inferometer": __version__, "python": "3.11.7", "executable": "/opt/python", "name": "b"}


def test_the_shortest_round_trip_decides_and_bounds_what_the_offset_can_be_off() -> None:
    clock = VirtualClock(1_000_000)
    ways = iter([(900, 100)] + [(5_000, 1_000)] * SAMPLES)  # there and back

    def ask() -> int:
        there, back = next(ways)
        clock.advance_ns(there)
        theirs = clock.now_ns() + 7_000_000
        clock.advance_ns(back)
        return theirs

    mark = compare(ask, clock, [3])
    assert mark.offset_ns == 7_000_400, "as far off as an uneven way makes it"
    assert (mark.bound_ns, mark.round_trip_max_ns, mark.workers) == (500, 6_000, [3])


@pytest.mark.parametrize(
    ("said", "log", "message", "step"),
    [
        (
            "ConnectionError: Failed",
            "RPC error: InvalidAuthToken: ...",
            "does not accept our",
            "RAY_AUTH_TOKEN_PATH",
        ),
        (
            "AuthenticationError: but no authentication token was found.",
            "",
            "none was found here",
            "RAY_AUTH_MODE",
        ),
        (
            "RuntimeError: Version mismatch: The cluster was started with:\n    Ray: 2.44.0\n    Python: 3.10.1\n"
            "This process on node 10.0.0.1 was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n",
            "",
            "Ray 2.44.0 and Python 3.10.1 there, Ray 2.60.0 and Python 3.11.7 here",
            "same versions",
        ),
        (
            "ValueError: Ray Client requires pip package `ray[client]`.",
            "",
            "client part",
            "pip install 'ray[client]'",
        ),
        (
            "ConnectionError: Could not find any running Ray instance.",
            "",
            "found no Ray cluster",
            "ray start",
        ),
        ("ConnectionError: ray client connection timeout", "", "does not let us in", "RAY_AUTH_TOKEN_PATH"),
        ("OSError: odd", "", "cannot be joined: OSError: odd", "ray status"),
    ],
)
def test_what_ray_raises_is_explained(said: str, log: str, message: str, step: str) -> None:
    problem = explain("10.0.0.1:6379", said, log)
    assert message in problem.message
    assert step in problem.next_step


def test_a_node_with_other_versions_or_without_us_is_named_with_what_to_do() -> None:
    assert node_problem("b", LOOKED, "3.11.2") is None
    missing = node_problem("b", {**LOOKED, "inferometer": None}, "3.11.2")
    older = node_problem("b", {**LOOKED, "inferometer": "0.0.1"}, "3.11.2")
    python = node_problem("b", {**LOOKED, "python": "3.12.1"}, "3.11.2")
    assert missing is not None
    assert older is not None
    assert python is not None
    assert missing.message == "node b: inferometer is not installed for /opt/python"
    assert missing.next_step == f"on that node: /opt/python -m pip install 'inferometer=={__version__}'"
    assert older.message == f"node b has inferometer 0.0.1, this machine {__version__}"
    assert python.message == "node b runs Python 3.12.1, this machine 3.11.2"


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(MonotonicClock(), (tmp_path / "deserted").exists, tmp_path)


def hired(agent: Agent) -> None:
    setup = Setup(resolve("http://127.0.0.1:1"), "elsewhere", 5, "openai-chat", "builtin", False)
    assert agent.hire(msgspec.msgpack.encode(setup), 0, 1) is None


def taken(agent: Agent) -> tuple[bytes, str]:
    """All of the journal, and how the worker ended."""
    journal = b""
    while True:
        found = agent.take({5: len(journal)}, 0.1)
        journal += b"".join(piece for _, piece in found["journal"])
        if 5 in found["endings"]:
            return journal, found["endings"][5][0]


def test_a_worker_that_is_killed_is_told_with_its_signal_after_all_of_its_journal(
    agent: Agent, tmp_path: Path
) -> None:
    hired(agent)
    assert agent.take({5: 0}, 30.0)["journal"], "it has begun"
    agent.kill(5)
    journal, how = taken(agent)
    assert how.startswith("worker 5 ended by signal SIGKILL, as it did not stop when asked to")
    (stored,) = tmp_path.glob("inferometer-node-*/worker-5.seg")
    assert stored.read_bytes() == journal
    assert agent.close({5: len(journal)}) is None
    assert list(tmp_path.glob("inferometer-node-*")) == []


def test_an_agent_that_is_deserted_ends_its_workers_and_still_hands_out_what_they_wrote(
    agent: Agent, tmp_path: Path
) -> None:
    hired(agent)
    (tmp_path / "deserted").touch()
    journal, how = taken(agent)
    assert how.startswith("worker 5 ended with exit code 0")
    assert agent.take({5: len(journal)}, 0.0)["alone"]
    assert journal.startswith(b"INFJ1")
    assert agent.close({5: len(journal)}) is None


def test_a_journal_that_did_not_come_whole_stays_where_it_is(agent: Agent, tmp_path: Path) -> None:
    hired(agent)
    agent.give([(5, None)])
    journal, _ = taken(agent)
    left = agent.close({5: len(journal) - 1})
    assert left is not None
    assert (Path(left) / "worker-5.seg").read_bytes() == journal


def test_files_that_workers_read_are_looked_for_on_every_node_and_names_are_not(tmp_path: Path) -> None:
    own = tmp_path / "tokenizer.json"
    own.write_text("{}")
    target = msgspec.structs.replace(resolve("http://127.0.0.1:1"), ca_file="/etc/ca.pem")
    assert files_of(target, str(own), "builtin", None) == ["/etc/ca.pem", str(own)]

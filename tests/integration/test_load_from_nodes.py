"""Load from several machines: a real cluster of two nodes, whose clocks are a day apart."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from clusters import AHEAD_S, TwoNodes, two_nodes, why_not
from commands import OWN_TIMING, folders

from inferometer import api
from inferometer.record.tables import RunRecord

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
CLUSTER = "127.0.0.1:6390"
URL = "http://127.0.0.1:8123"
SHORT = ("--url", URL, "--warmup", "0", "--input-len", "16", "--output-len", "16", "--nodes", CLUSTER)
# A comparison of clocks is as exact as the way is quick, which a busy machine decides.
OWN = OWN_TIMING | {"node start"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[TwoNodes]:
    with two_nodes() as nodes:
        yield nodes


@pytest.fixture(scope="module")
def server(cluster: TwoNodes) -> Iterator[TwoNodes]:
    """A simulated server in the cluster's namespace."""
    process = cluster.command("serve-sim", "--port", "8123")
    assert process.stdout is not None
    for line in process.stdout:
        if URL in line:
            break
    yield cluster
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    process.stdout.close()


def answered(cluster: TwoNodes) -> Counter[str]:
    """What the server says of its answers, by the reason for which they ended."""
    program = f"import urllib.request as u; print(u.urlopen('{URL}/metrics').read().decode())"
    text = subprocess.run(
        [*cluster.inside, sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    found = re.findall(r'request_success_total\{.*finished_reason="(\w+)"\} (\d+)', text)
    return Counter({reason: int(number) for reason, number in found})


def finished(cluster: TwoNodes, out: Path, *flags: str) -> tuple[int, str, RunRecord]:
    process = cluster.command("run", *SHORT, "--out", str(out), *flags)
    said, _ = process.communicate()
    return process.returncode, said, api.recover(folders(out)[-1])


def leftovers(cluster: TwoNodes) -> list[str]:
    """Temporary folders and processes of ours on the nodes."""
    running = [p for p in psutil.process_iter(["cmdline", "environ"]) if _is_ours(p, cluster.folder)]
    return [str(path) for path in cluster.folder.glob("inferometer-node-*")] + [str(p) for p in running]


def _is_ours(process: psutil.Process, folder: Path) -> bool:
    command = " ".join(process.info["cmdline"] or [])
    return "inferometer.loadgen" in command and (process.info["environ"] or {}).get("HOME") == str(folder)


def test_two_nodes_send_twice_the_load_of_one_on_one_axis_of_time(server: TwoNodes, tmp_path: Path) -> None:
    before = answered(server)
    code, said, record = finished(server, tmp_path, "--request-rate", "80", "--num-prompts", "160")
    (table,) = record.measured
    assert code in (0, 5), said
    assert Counter(table.number("worker")) == {0: 80, 1: 80}, "each node half of it"
    assert set(table.text("status")) == {"ok"}
    assert answered(server) - before == {"length": 160}
    summary = api.report(record.path)
    failed = {
        c.name for v in (summary.verdict, summary.points[0].verdict) for c in v.failed if c.level == "hard"
    }
    assert failed <= OWN, said
    offsets = sorted(round(sender.offset_ms or 0, -3) for sender in summary.senders)
    assert offsets == [0, AHEAD_S * 1000], "the clock of one node is a day ahead, and found to be"
    for node in record.meta.nodes:
        for mark in node.clock:
            truth_ns = round(mark.offset_ns, -9)
            assert abs(mark.offset_ns - truth_ns) <= mark.bound_ns
    begun_ms = [table.number("sent_ns")[table.number("worker") == worker].min() / 1e6 for worker in (0, 1)]
    assert max(begun_ms) < 1000, "no trace of the day between the clocks"
    assert "Nodes that sent the load" in said
    assert leftovers(server) == []


def test_a_node_that_is_lost_takes_nothing_with_it_that_was_finished(
    server: TwoNodes, tmp_path: Path
) -> None:
    before = answered(server)
    process = server.command(
        "run", *SHORT, "--out", str(tmp_path), "--max-concurrency", "8", "--num-prompts", "9000"
    )
    assert process.stdout is not None
    assert any("/9000 done" in line for line in process.stdout), "it has begun"
    while answered(server)["length"] - before["length"] <= 100:
        assert process.poll() is None
    server.end_second_raylet()
    said = process.stdout.read()
    process.stdout.close()
    assert process.wait(30) == 5, said
    record = api.recover(folders(tmp_path)[-1])
    (table,) = record.measured
    assert table.point.stop_reason == "lost"
    by_status = Counter(table.text("status"))
    # The server counts an answer before its last bytes are on the way, so one that it had finished at the very end may
    # have been cut off on its way to us; no other is missing.
    on_the_way = answered(server)["length"] - before["length"] - by_status["ok"]
    assert 0 <= on_the_way <= by_status["cancelled"] <= 8, "all that the server had finished is in the record"
    assert set(by_status) <= {"ok", "cancelled"}
    assert set(table.number("worker")) == {0.0, 1.0}
    (lost,) = [node for node in record.meta.nodes if node.lost is not None]
    assert "all that its workers had finished is in the run" in lost.lost
    assert "was lost" in said
    assert leftovers(server) == []


def test_a_wrong_token_is_told_before_anything_is_sent(server: TwoNodes, tmp_path: Path) -> None:
    wrong = tmp_path / "token"
    wrong.write_text("0" * 64)
    out = tmp_path / "runs"
    variables = {"RAY_AUTH_TOKEN_PATH": str(wrong), "RAY_NUM_REDIS_GET_RETRIES": "1"}
    process = server.command("run", *SHORT, "--out", str(out), **variables)
    said, _ = process.communicate()
    assert process.returncode == 2, said
    assert "does not accept our authentication token" in said
    assert "RAY_AUTH_TOKEN_PATH" in said
    assert not out.exists()

"""Each measured time lies where the server put it, whatever the framing: the instrument's own truth test.

What decides is the order of events on one clock, never how fast this machine is: a chunk is received after the
server began to send it, and before the server, a pause later, began to send what comes next. How close measured and
injected latencies are is measured by ``bench/framing.py``.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from framing_cases import CASES, ENDS, REQUESTS, TOKENS, measure, tail, tokens

from inferometer.record.tables import PointTable
from inferometer.testing.fault_server import FaultServer, Script
from inferometer.testing.streams import answering, stream


def sent_times(server: FaultServer, epoch_ns: int) -> np.ndarray:
    """When the server began each of its sends, in ns from the epoch: a row for each measured request."""
    generations = [each for each in server.served if each.request.method == "POST"]
    generations.sort(key=lambda each: each.sent_ns[0])
    return np.array([each.sent_ns for each in generations[-REQUESTS:]], dtype=np.float64) - epoch_ns


def bounds(script: Script, at_s: Sequence[float], sent_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For what the script sends at ``at_s``: when that send began, and when the next one that is later did."""
    times = [send.at_s for send in script.sends]
    last = [max(place for place, each in enumerate(times) if each == at) for at in at_s]
    later = np.hstack([sent_ns, np.full((len(sent_ns), 1), np.inf)])
    return sent_ns[:, last], later[:, [place + 1 for place in last]]


def in_order(script: Script, server: FaultServer, table: PointTable) -> bool:
    """Whether every time lies between the two sends that it has to lie between."""
    assert list(table.text("status")) == ["ok"] * REQUESTS
    output = table.chunks["kind"] <= 2
    assert (table.number("output_tokens_server") == TOKENS).all()
    assert (table.chunks["tokens"][output] == 1).all()
    sent_ns = sent_times(server, table.point.epoch_ns or 0)
    begin, end = bounds(script, ENDS, sent_ns)
    arrivals = table.chunks["recv_ns"][output].reshape(REQUESTS, TOKENS)
    # Never before the send: the kernel's stamp is later than ours, up to the error of the clocks' conversion.
    slack_ns = table.point.health[0].clock_error_ns or 0
    assert (arrivals >= begin - slack_ns).all()
    assert (arrivals[:, 0] == table.number("first_token_ns")).all()
    assert (arrivals[:, -1] == table.number("last_token_ns")).all()
    return bool((arrivals < end).all())


def check_truth(script: Script, out: Path, tls: ssl.SSLContext | None = None, **endpoint: object) -> None:
    """Three attempts: a stall of this machine as long as the pause between two sends makes two reads one."""
    for attempt in range(3):
        with FaultServer(answering(script), tls) as server:
            table = measure(server, out / str(attempt), **endpoint)
        if in_order(script, server, table):
            return
    raise AssertionError("a chunk was received after the next one was sent, three times")


@pytest.mark.parametrize("case", CASES)
def test_each_chunk_is_received_between_its_send_and_the_next(case: str, tmp_path: Path) -> None:
    check_truth(CASES[case], tmp_path)


def test_each_chunk_is_received_between_its_send_and_the_next_over_tls(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    check_truth(CASES["role_first"], tmp_path / "runs", context, ca_file=str(ca_file))


def test_the_answer_token_is_told_from_the_first_token(tmp_path: Path) -> None:
    with FaultServer(answering(CASES["reasoning_first"])) as server:
        table = measure(server, tmp_path)
    arrivals = table.chunks["recv_ns"][table.chunks["kind"] <= 2].reshape(REQUESTS, TOKENS)
    assert (table.number("first_token_ns") == arrivals[:, 0]).all()
    assert (table.number("first_answer_ns") == arrivals[:, 3]).all()


def test_chunks_of_one_write_share_a_read_and_make_no_gap(tmp_path: Path) -> None:
    together = [(ENDS[i], tokens()[i][1] + tokens()[i + 1][1]) for i in (0, 2, 4)]
    script = stream([*together, (ENDS[4] + 0.02, b"".join(frame for _, frame in tail()))])
    with FaultServer(answering(script)) as server:
        table = measure(server, tmp_path)
    output = table.chunks["kind"] <= 2
    reads = table.chunks["read"][output].reshape(REQUESTS, TOKENS)
    arrivals = table.chunks["recv_ns"][output].reshape(REQUESTS, TOKENS)
    assert (reads[:, ::2] == reads[:, 1::2]).all()
    assert (arrivals[:, ::2] == arrivals[:, 1::2]).all()

"""What the bench on real engines makes of its measurements: clocks, edges, run noise, rows."""

from __future__ import annotations

import asyncio
import json
import socket
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.clients import Load
from engines.edge import Edge
from engines.edges import EdgeLog, Served, edge_means
from engines.llamacpp_clock import MissingError, Timings
from engines.page import same_table, truth_table
from engines.same import hold, off_the_server, permutation_p
from engines.timed import TIMED_COMPLETIONS, timings_of
from engines.truth import METRICS, Side
from inferometer.record.tables import PointTable
from inferometer.record.types import ChunkKind, PointRecord

MS = 1_000_000


def side(measured_ms: float, engine_ms: float = 100.0, server_ms: float | None = None) -> Side:
    server = {} if server_ms is None else {"TTFT": server_ms}
    return Side("x", dict.fromkeys(METRICS, measured_ms), {"TTFT": engine_ms}, server, 0.25)


@pytest.mark.parametrize(
    ("found", "good"),
    [
        (side(102.0), True),
        (side(102.1), False),
        (side(10.9, 10.0), True),
        (side(11.1, 10.0), False),
        (side(104.0, 100.0, 103.0), True),
        (side(101.0, 100.0, 104.0), False),
    ],
    ids=["2 %", "more", "1 ms", "more than that", "against the whole server", "not the engine alone"],
)
def test_a_figure_is_good_within_two_percent_or_a_millisecond_of_the_server(found: Side, good: bool) -> None:
    assert found.within("TTFT") is good
    assert found.within("ITL") is None, "the engine says nothing of it"


def test_a_permutation_test_counts_the_divisions_that_differ_as_much() -> None:
    assert permutation_p([1.0, 2.0], [3.0, 4.0]) == pytest.approx(2 / 6), "both ways of keeping them apart"
    assert permutation_p([1.0, 4.0], [2.0, 3.0]) == 1.0, "equal means: every division differs as much"
    assert permutation_p([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]) == pytest.approx(2 / 252)
    assert permutation_p([0.1, 0.2, 0.3], [0.3, 0.1, 0.2]) == 1.0, "sums in another order are equal"


@pytest.mark.parametrize(
    ("ours", "theirs", "word"),
    [
        ([100, 110, 90, 105, 95], [101, 111, 91, 106, 96], "within run noise"),
        ([50.0, 50.1, 50.2, 50.3, 50.4], [50.5, 50.6, 50.7, 50.8, 50.9], "differs by less than 2 % or 1 ms"),
        ([50.0, 50.1, 50.2, 50.3, 50.4], [55.0, 55.1, 55.2, 55.3, 55.4], "differs"),
    ],
)
def test_two_tools_differ_when_runs_do_not_explain_it(
    ours: list[float], theirs: list[float], word: str
) -> None:
    assert hold("mean_ttft_ms", ours, theirs).word == word


def test_a_small_throughput_has_no_millisecond_to_hide_behind() -> None:
    assert hold("request_throughput", [1.0, 1.0, 1.0, 1.0, 1.0], [1.2, 1.2, 1.2, 1.2, 1.2]).word == "differs"


def test_our_means_are_held_against_the_server_of_the_same_runs() -> None:
    edge = {"TTFT": 60.0, "E2EL": 400.0}
    assert off_the_server({"ttft": 61.1, "e2el": 407.9}, edge) == []
    assert off_the_server({"ttft": 61.3, "e2el": 391.0}, edge) == [
        "TTFT is off by +1.300 ms", "E2EL is off by -9.000 ms"
    ]  # fmt: skip
    assert off_the_server({"ttft": 1.0, "e2el": 2.0}, {}) == [], "a server without an edge says nothing"


def test_an_edge_log_is_read_on_from_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "edge.jsonl"
    row = {"id": "a", "begun_ns": 5 * MS, "unread_ms": 2, "sent_ns": [9 * MS, 12 * MS, 13 * MS, 14 * MS]}
    path.write_text(json.dumps(row) + "\n")
    log = EdgeLog(path)
    served = log.new()["a"]
    assert (served.ttft_ms, served.e2el_ms) == (6.0, 9.0), "since the kernel had it, to the last output"
    assert log.new() == {}
    with path.open("a") as file:
        file.write(json.dumps({**row, "id": "b", "unread_ms": None}) + "\n")
    assert list(log.new()) == ["b"]


def test_means_at_the_edge_have_the_time_that_requests_lay_unread() -> None:
    sent = np.array([10 * MS, 20 * MS, 21 * MS, 22 * MS])
    assert edge_means([Served(0, 4, sent), Served(0, 0, sent)]) == {"TTFT": 12.0, "E2EL": 22.0, "unread": 2.0}


def test_middleware_notes_times_and_leaves_the_answer_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_LOG", str(tmp_path / "edge.jsonl"))
    answer = [
        {"type": "http.response.start", "status": 200},
        {"type": "http.response.body", "body": b'data: {"id": "cmpl-1"}\n\n', "more_body": True},
        {"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": True},
        {"type": "http.response.body", "body": b""},
    ]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in answer:
            await send(message)

    got: list[Any] = []

    async def send(message: Any) -> None:
        got.append(message)

    async def receive() -> Any:
        raise AssertionError("the application reads, not the middleware")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        served, peer = listener.accept()
        with client, served:
            scope = {"type": "http", "path": "/v1/completions", "client": list(peer)}
            edge = Edge(app)
            asyncio.run(edge(scope, receive, send))
            asyncio.run(edge({**scope, "path": "/health"}, receive, send))
            client.sendall(b"still open")
            assert served.recv(64) == b"still open", "it has closed nothing that is not its own"
    assert got == answer * 2
    (line,) = (tmp_path / "edge.jsonl").read_text().splitlines()
    told = json.loads(line)
    assert told["id"] == "cmpl-1"
    assert isinstance(told["unread_ms"], int)
    times = [told["begun_ns"], *told["sent_ns"]]
    assert len(times) == 3
    assert all(earlier <= later for earlier, later in pairwise(times))


PRINTED = b"""\
0.04 I slot print_timing: id 3 | task 9 | prompt eval time =      14.00 ms /   256 tokens (    0.05 ms per token)
0.04 I slot print_timing: id 3 | task 9 |        eval time =      63.00 ms /    64 tokens (    1.00 ms per token)
0.04 I slot print_timing: id 3 | task 9 |       total time =      77.00 ms /   320 tokens
"""


def test_the_log_of_llamacpp_tells_its_clock_of_what_came_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.llamacpp_clock._FLUSH_LIMIT_S", 0.0)
    path = tmp_path / "log"
    path.write_bytes(PRINTED.replace(b"14.00", b"99.00"))
    timings = Timings(path)
    with path.open("ab") as file:
        file.write(PRINTED + PRINTED.replace(b"14.00", b"16.00"))
    monkeypatch.setattr("engines.llamacpp_clock._FLUSH_LIMIT_S", 1.0)
    assert timings.read(2, 64) == (15.0, 63.0)
    with pytest.raises(MissingError, match="2 prefills and 2 answers, not 2 of 32 tokens"):
        timings.read(2, 32)


def test_timings_come_back_from_behind_the_text_whatever_the_text_is() -> None:
    event = {"choices": [{"text": "", "finish_reason": "length"}], "timings": {"prompt_ms": 3.5}}
    delta = TIMED_COMPLETIONS.event(json.dumps(event).encode(), b"")
    assert (delta.kind, delta.finish_reason) == (ChunkKind.OTHER, "length")
    texts = np.array(["a\x1e timings b" + delta.text, "an answer without", None], dtype=object)
    table = PointTable(PointRecord(index=0, kind="measure", load={}), {"output": texts}, {})
    assert timings_of(table) == [{"prompt_ms": 3.5}, {}, {}]
    plain = b'{"choices": [{"text": "word", "finish_reason": null}]}'
    assert TIMED_COMPLETIONS.event(plain, b"").text == "word"


def told(found: Side) -> dict[str, Any]:
    figures = {name: {m: getattr(found, name)(m) for m in METRICS} for name in ("truth", "off_ms", "within")}
    return {**vars(found), **figures, "notes": {"verdict": ["VALID"]}}


def test_a_row_says_how_far_both_clients_are_off() -> None:
    load = Load(1, 20, 256, 64)
    sides = [told(side(104.0, 100.0, 103.0)), told(side(150.0, 100.0, 120.0))]
    case = {"engine": "vllm", "placement": "shared", "load": load.title, "sides": sides}
    assert truth_table([case])[2:] == [
        "| vllm, shared | 1 stream, 20 x 256 + 64 tokens | TTFT | 100.0 | 103.0 | 104.0 | +1 (+1.0%) | good "
        "| 120.0 | 150.0 | +30 (+25.0%) | 25.0%, 25.0% |"
    ]


def test_a_table_of_the_same_work_shows_difference_noise_and_p() -> None:
    held = hold("mean_ttft_ms", [50.0, 50.0], [40.0, 40.0])
    found = {
        "load": "x", "placement": "apart", "turns": 2,
        "held": [{**vars(one), "word": one.word} for one in (held, hold("mean_e2el_ms", [9.0, 9.0], [8.0, 8.0]))],
        "edge": {"ours": {}, "theirs": {}}, "own": {"ttft": 50.0},
    }  # fmt: skip
    assert "| mean_ttft_ms | 50.00 | 40.00 | +25.00% | 0.00% | 33.3% | too few runs to tell |" in same_table(
        found
    )
    found["edge"] = {"ours": {"TTFT": 49.5, "E2EL": 8.5}, "theirs": {"TTFT": 39.5, "E2EL": 7.5}}
    assert (
        "Against the server in the same runs, where run noise cancels, mean ms: TTFT ours 50.00, the server 49.50, "
        "vllm bench serve 40.00, the server 39.50; E2EL ours 9.000, the server 8.500, vllm bench serve 8.000, "
        "the server 7.500."
    ) in same_table(found)

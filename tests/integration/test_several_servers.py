"""Servers that take turns: by request number, each with its own connections, told apart in the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import check_message, check_succeeded, folders, here, run, stored
from eight import EIGHT

from inferometer.testing.fault_server import FaultServer, Incoming, Script
from inferometer.testing.streams import answering, models, plain

BUSY = plain(503, "Service Unavailable", b'{"error": "queue full"}')


@pytest.mark.parametrize("workers", ["1", "2"])
def test_they_take_turns_by_request_number(workers: str, tmp_path: Path) -> None:
    with FaultServer(answering(EIGHT)) as first, FaultServer(answering(EIGHT)) as second:
        more = ("--more-url", f"{second.url}/v1", "--workers", workers, "--warmup", "0")
        done = run(first.url, tmp_path, *more)
        urls = [first.url, second.url]
        posts = [sum(each.request.method == "POST" for each in one.served) for one in (first, second)]
        hosts = {each.request.headers["host"] for each in second.served}
    check_succeeded(done, tmp_path)
    assert posts == [10, 10]
    assert hosts == {urls[1].removeprefix("http://")}
    (table,) = stored(tmp_path).tables
    assert [int(n) % 2 for n in table.number("index")] == [int(n) for n in table.number("server")]
    (folder,) = folders(tmp_path)
    (point,) = json.loads((folder / "summary.json").read_text())["points"]
    assert [(s["url"], s["requests"], s["failed"]) for s in point["servers"]] == [
        (urls[0], 10, 0),
        (urls[1], 10, 0),
    ]
    assert "Servers, in turn" in done.out
    assert [line.split()[:5] for line in done.out.splitlines() if line.startswith("  http://")] == [
        [url, "concurrency", "4", "10", "0"] for url in urls
    ]


def test_one_that_fails_is_seen(tmp_path: Path) -> None:
    with FaultServer(answering(EIGHT)) as first, FaultServer(answering(BUSY)) as second:
        done = run(first.url, tmp_path, "--more-url", second.url, "--warmup", "0")
        url = second.url
    assert done.code == 5
    (line,) = [line for line in done.out.splitlines() if line.startswith(f"  {url}")]
    assert line.split()[3:5] == ["10", "10"]


def test_a_kept_connection_belongs_to_its_server(tmp_path: Path) -> None:
    """Each server sees at most as many connections as there are requests in flight, and no other's Host."""
    with FaultServer(answering(EIGHT)) as first, FaultServer(answering(EIGHT)) as second:
        run(first.url, tmp_path, "--more-url", second.url, "--max-concurrency", "1")
        for server in (first, second):
            host = server.url.removeprefix("http://")
            assert {each.request.headers["host"] for each in server.served} == {host}


def test_all_of_them_have_to_answer(tmp_path: Path) -> None:
    with FaultServer(answering(EIGHT)) as gone:
        url = gone.url
    with FaultServer(answering(EIGHT)) as server:
        done = run(server.url, tmp_path, "--more-url", url)
    check_message(done, 6, url, "refused")


def serving(*names: str) -> FaultServer:
    def script(request: Incoming) -> Script:
        return models(*names) if request.method == "GET" else EIGHT

    return FaultServer(script)


def test_they_have_to_serve_the_same_model(tmp_path: Path) -> None:
    with serving("a", "b") as first, serving("b", "c") as second:
        refused = run(first.url, tmp_path, "--more-url", second.url)
        check_message(refused, 6, f"{second.url} does not serve 'a'", "serves b, c", "--model NAME")
        refused = run(first.url, tmp_path, "--more-url", second.url, "--model", "c")
        check_message(refused, 6, f"{first.url} does not serve 'c'")
        check_succeeded(run(first.url, tmp_path, "--more-url", second.url, "--model", "b"), tmp_path)


def test_the_same_server_twice_is_refused() -> None:
    done = here("run", "--url", "http://127.0.0.1:1", "--more-url", "http://127.0.0.1:1/v1", "--dry-run")
    check_message(done, 2, "is given 2 times")


def test_all_turns_of_a_session_go_to_one_server(tmp_path: Path) -> None:
    """Its cache may hold the turns before; whole sessions take turns, however many turns they have."""
    with FaultServer(answering(EIGHT)) as first, FaultServer(answering(EIGHT)) as second:
        flags = (
            "--more-url",
            second.url,
            "--warmup",
            "0",
            "--multi-turn",
            "--turns",
            "2",
            "--turn-input-len",
            "4",
        )
        done = run(first.url, tmp_path, *flags)
    check_succeeded(done, tmp_path)
    (table,) = stored(tmp_path).tables
    servers: dict[int, set[int]] = {}
    for index, server in zip(table.number("index"), table.number("server"), strict=True):
        servers.setdefault(int(index) // 2, set()).add(int(server))
    assert [len(found) for found in servers.values()] == [1] * 20
    assert sum(found == {0} for found in servers.values()) == 10

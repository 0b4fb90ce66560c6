"""The pages as a process of their own: a run from the form, followed to its end; an end at once, with the run."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from commands import Command, folders

from inferometer import api
from inferometer.record.folder import JOURNAL
from inferometer.simulator.server.process import SimulatedServer, start_simulated_server
from inferometer.simulator.server.settings import SimSettings

KEY = "sk-of-the-form"
LIMIT_S = 60


@pytest.fixture
def engine() -> Iterator[SimulatedServer]:
    with start_simulated_server(SimSettings(base_s=0.004, api_key=KEY)) as server:
        yield server


def opened(command: Command, home: Path) -> httpx.Client:
    """A client of the pages, once they are served."""
    command.wait_for("Ctrl-C ends it")
    return httpx.Client(base_url=(home / "stdout").read_text().split()[1], timeout=LIMIT_S)


def start_run(pages: httpx.Client, url: str, requests: int) -> httpx.Response:
    found = re.search(r'name="sign" value="([0-9a-f]+)"', pages.get("/new").text)
    assert found is not None
    return pages.post(
        "/new",
        data={
            "sign": found[1],
            "start": "1",
            "endpoint.url": url,
            "endpoint.api_key": KEY,
            "load.max_concurrency": "8",
            "load.num_prompts": str(requests),
            "load.warmup": "0",
            "workload.input_len": "8",
            "workload.output_len": "20",
        },
    )


def address_of_run(pages: httpx.Client, live: bool) -> str:
    """Where the run that was started leads: to its figures once its folder is there, to its report when it ended."""
    limit = time.monotonic() + LIMIT_S
    where = ""
    while not where or where.endswith("/live") is not live:
        assert time.monotonic() < limit
        answer = pages.get("/started")
        assert "ended before" not in answer.text, answer.text
        where = str(answer.headers.get("location", ""))
    return where


def follow(pages: httpx.Client, name: str) -> tuple[list[int], str]:
    """Requests that had finished at each look, and the stream's last event."""
    done, last = [], ""
    with pages.stream("GET", f"/runs/{name}/events") as stream:
        for line in stream.iter_lines():
            if line.startswith('data: {"figures"'):
                shown = re.search(r"(\d+) / 100", json.loads(line.removeprefix("data: "))["figures"])
                done += [int(shown[1])] if shown else []
            last = line if line.startswith("event: ") else last
    return done, last


def test_a_run_from_the_form_is_followed_and_another_ends_with_the_pages(
    tmp_path: Path, engine: SimulatedServer
) -> None:
    out = tmp_path / "runs"
    with (
        Command(tmp_path, ["ui", "--out", str(out), "--port", "0"]) as command,
        opened(command, tmp_path) as pages,
    ):
        assert start_run(pages, engine.url, 100).headers["location"] == "/started"
        name = address_of_run(pages, live=True).split("/")[2]
        done, last = follow(pages, name)
        assert (done, last) == (sorted(done), "event: end")
        assert pages.get(f"/runs/{name}/live").headers["location"] == f"/runs/{name}"
        report = pages.get(f"/runs/{name}")
        assert report.status_code == 200
        assert address_of_run(pages, live=False) == f"/runs/{name}"
        start_run(pages, engine.url, 5000)
        where = address_of_run(pages, live=True)
        with pages.stream("GET", where.replace("/live", "/events")) as stream:
            next(stream.iter_lines())
            command.process.send_signal(signal.SIGTERM)
            ended = command.finish()
    assert (ended.code, "Traceback" in ended.err) == (0, False)
    first, second = folders(out)
    assert (first.name, second.name) == (name, where.split("/")[2])
    assert api.report(first).points[0].counts.ok == 100
    assert not (second / JOURNAL).exists()
    assert api.report(second).state == "interrupted"
    written = [path.read_bytes() for path in out.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in content for content in [*written, report.content])

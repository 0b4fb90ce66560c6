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


def live_address(pages: httpx.Client) -> str:
    """Where the run that was started leads, once its folder is there."""
    limit = time.monotonic() + LIMIT_S
    while (answer := pages.get("/started")).status_code != 303:
        assert "ended before" not in answer.text, answer.text
        assert time.monotonic() < limit
        time.sleep(0.05)
    return str(answer.headers["location"])


def test_a_run_from_the_form_is_followed_to_its_report(tmp_path: Path, engine: SimulatedServer) -> None:
    out = tmp_path / "runs"
    with (
        Command(tmp_path, ["ui", "--out", str(out), "--port", "0"]) as command,
        opened(command, tmp_path) as pages,
    ):
        assert start_run(pages, engine.url, 160).headers["location"] == "/started"
        where = live_address(pages)
        name = where.split("/")[2]
        done, last = [], ""
        with pages.stream("GET", f"/runs/{name}/events") as stream:
            for line in stream.iter_lines():
                if line.startswith('data: {"figures"'):
                    shown = re.search(r"(\d+) / 160", json.loads(line.removeprefix("data: "))["figures"])
                    done += [int(shown[1])] if shown else []
                last = line if line.startswith("event: ") else last
        assert last == "event: end"
        assert done == sorted(done)
        assert pages.get(f"/runs/{name}/live").headers["location"] == f"/runs/{name}"
        report = pages.get(f"/runs/{name}")
        assert report.status_code == 200
        command.interrupt()
        assert command.finish().code == 0
    (folder,) = folders(out)
    assert folder.name == name
    assert api.report(folder).points[0].counts.ok == 160
    written = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in content for content in [*written, report.content])


def test_ctrl_c_ends_streams_and_the_run_that_was_started(tmp_path: Path, engine: SimulatedServer) -> None:
    out = tmp_path / "runs"
    with (
        Command(tmp_path, ["ui", "--out", str(out), "--port", "0"]) as command,
        opened(command, tmp_path) as pages,
    ):
        start_run(pages, engine.url, 100_000)
        where = live_address(pages)
        with pages.stream("GET", where.replace("/live", "/events")) as stream:
            next(stream.iter_lines())
            command.process.send_signal(signal.SIGTERM)
            done = command.finish()
    assert (done.code, "Traceback" in done.err) == (0, False)
    (folder,) = folders(out)
    assert not (folder / JOURNAL).exists()
    assert api.report(folder).state == "interrupted"

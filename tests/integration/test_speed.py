"""``inferometer speed`` of a server, as a person would measure it."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from socket import socket
from urllib.parse import urlsplit

import pytest
from commands import LIMIT_S, Command, check_message, here

from inferometer import api
from inferometer.api.speed_endpoint import EndpointEngine
from inferometer.engines.offline import Ask
from inferometer.loadgen.affinity import usable_cores
from inferometer.loadgen.stop import StopSignal
from inferometer.record.folder import read_meta
from inferometer.record.speed import read_speed
from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.simulator.server.process import SimulatedServer
from inferometer.spec.speed import speed_spec

SHORT = ("--engine", "endpoint", "--tokenizer", "builtin", "--generate-len", "8", "--warmup", "0")


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatedServer]:
    with start_simulated_server(SimSettings(base_s=0.01, max_model_len=2048)) as started:
        yield started


def test_a_server(server: SimulatedServer, tmp_path: Path) -> None:
    rows = ("--input-len", "3000", "16", "--batch-size", "3", "--repeats", "1")
    done = here("speed", "--url", server.url, "--out", str(tmp_path), *SHORT, *rows, "--json")
    assert done.code in (0, 5), done
    (folder,) = (path for path in tmp_path.iterdir() if not path.is_symlink())
    record = read_speed(folder)
    assert record.simulated
    found = [(each.input_tokens, each.batch, each.outcome) for each in record.generations]
    assert found == [(3000, 3, "too_long"), (16, 3, "ok")]
    assert record.generations[1].output_tokens == [8, 8, 8]
    assert record.generations[1].seen_input_tokens == [16, 16, 16]
    assert "maximum context length is 2048" in str(record.generations[0].reason)
    assert "simulated" in done.out
    assert json.loads(done.out.splitlines()[-1])["run"] == str(folder)

    first = (folder / "speed_summary.json").read_bytes()
    (folder / "speed_summary.json").unlink()
    again = here("report", "latest", "--out", str(tmp_path), "--format", "csv")
    assert again.code == 0
    assert again.out.startswith("engine,model,input_tokens,batch,")
    assert (folder / "speed_summary.json").read_bytes() == first

    (listing,) = api.list_runs(tmp_path)
    assert (listing.path, listing.label, listing.points, listing.requests) == (folder, "speed endpoint", 2, 3)
    assert (listing.state, listing.simulated) == ("complete", True)
    shown = here("runs", "show", folder.name, "--out", str(tmp_path))
    assert '"input_len": [3000, 16]' in shown.out
    refused = here("runs", "recover", "latest", "--out", str(tmp_path))
    check_message(refused, 2, f"{folder.name} is a measurement of speed", f"inferometer report {folder.name}")


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (("--url", "http://127.0.0.1:9"), 6, "127.0.0.1:9"),
        (("--launch", "foo bar"), 2, "where its server listens"),
        (("--launch", "foo --port {port}"), 2, "'foo' cannot be started"),
    ],
)
def test_a_server_that_is_not_there_leaves_nothing_behind(
    tmp_path: Path, flags: tuple[str, ...], code: int, words: str
) -> None:
    check_message(
        here("speed", *flags, "--out", str(tmp_path), *SHORT, "-q", "--input-len", "4"), code, words
    )
    assert not list(tmp_path.iterdir())


def test_a_server_that_dies_is_a_row(tmp_path: Path) -> None:
    spec = speed_spec({"launch": "sim tiny", "tokenizer": "builtin"})
    engine = EndpointEngine(spec, tmp_path, StopSignal(), lambda line: None)
    ask = Ask(8, 1, 4, 1)
    try:
        engine.load((12,))
        assert engine.generate(ask).outcome == "ok"
        assert engine._running is not None
        os.kill(engine._running.pid, signal.SIGKILL)
        engine._running.wait(LIMIT_S)
        died = engine.generate(ask)
        assert (died.outcome, died.reason) == ("crashed", "sim ended with signal SIGKILL")
    finally:
        engine.close()


def test_ctrl_c_keeps_what_was_measured_and_ends_the_server(tmp_path: Path) -> None:
    """Where there are few cores, the server has all but one of them."""
    (tmp_path / "home").mkdir()
    line = ["speed", "--launch", "sim tiny", "--out", str(tmp_path / "runs"), *SHORT, "--repeats", "500"]
    with Command(tmp_path / "home", [*line, "--input-len", "8"]) as command:
        command.wait_for("repeat 1/500")
        command.interrupt()
        done = command.finish()
    assert done.code == 130, done
    (folder,) = (path for path in (tmp_path / "runs").iterdir() if not path.is_symlink())
    record = read_speed(folder)
    assert record.state == "interrupted"
    assert record.generations
    assert {each.outcome for each in record.generations} == {"ok"}
    assert "WARN" in done.out or "INVALID" in done.out
    (note,) = record.facts.notes or [""]
    assert note.startswith("the server was kept on cores ") == (1 < usable_cores() <= 4)
    (run, *_) = (folder / "runs").iterdir()
    url = urlsplit(str(read_meta(run).spec["endpoint"]["url"]))
    with socket() as probe:
        assert probe.connect_ex((str(url.hostname), int(str(url.port)))) == errno.ECONNREFUSED

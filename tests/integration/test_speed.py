"""``inferometer speed`` of a server, as a person would measure it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Command, here

from inferometer.record.speed import read_speed
from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.simulator.process import SimulatedServer

SHORT = ("--engine", "endpoint", "--tokenizer", "builtin", "--generate-len", "8", "--warmup", "0")


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatedServer]:
    with start_simulated_server(SimSettings(base_s=0.01, max_model_len=2048)) as started:
        yield started


def test_a_server(server: SimulatedServer, tmp_path: Path) -> None:
    rows = ("--input-len", "16", "3000", "--batch-size", "1", "3", "--repeats", "1")
    done = here("speed", "--url", server.url, "--out", str(tmp_path), *SHORT, *rows, "--json")
    assert done.code in (0, 5), done
    (folder,) = tmp_path.iterdir()
    record = read_speed(folder)
    assert record.simulated
    found = [(each.input_tokens, each.batch, each.outcome) for each in record.generations]
    assert found == [(16, 1, "ok"), (3000, 1, "too_long"), (16, 3, "ok"), (3000, 3, "too_long")]
    assert record.generations[2].output_tokens == [8, 8, 8]
    assert record.generations[2].seen_input_tokens == [16, 16, 16]
    assert "maximum context length is 2048" in str(record.generations[1].reason)
    assert "simulated" in done.out
    assert json.loads(done.out.splitlines()[-1])["run"] == str(folder)

    first = (folder / "speed_summary.json").read_bytes()
    (folder / "speed_summary.json").unlink()
    again = here("report", str(folder), "--format", "csv")
    assert again.code == 0
    assert again.out.startswith("engine,model,input_tokens,batch,")
    assert (folder / "speed_summary.json").read_bytes() == first


def test_a_server_that_is_not_there_leaves_nothing_behind(tmp_path: Path) -> None:
    done = here("speed", "--url", "http://127.0.0.1:9", "--out", str(tmp_path), *SHORT, "--input-len", "4")
    assert done.code == 6
    assert "127.0.0.1:9" in done.err
    assert not list(tmp_path.iterdir())


def test_ctrl_c_keeps_what_was_measured(server: SimulatedServer, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    line = [
        "speed",
        "--url",
        server.url,
        "--out",
        str(tmp_path / "runs"),
        *SHORT,
        "--repeats",
        "500",
        "--input-len",
        "8",
    ]
    with Command(tmp_path / "home", line) as command:
        command.wait_for("repeat 1/500")
        command.interrupt()
        done = command.finish()
    assert done.code == 130, done
    (folder,) = (tmp_path / "runs").iterdir()
    record = read_speed(folder)
    assert record.state == "interrupted"
    assert record.generations
    assert {each.outcome for each in record.generations} == {"ok"}
    assert "WARN" in done.out or "INVALID" in done.out

"""``run --launch``: a server is started, measured and stopped, whatever happens on the way."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from commands import (
    LIMIT_S,
    SHORT,
    Command,
    Done,
    check_message,
    check_succeeded,
    folders,
    here,
    statuses,
    stored,
    successes,
)

from inferometer.api import measuring
from inferometer.engines.family import descendants, holders, is_listening
from inferometer.loadgen.affinity import allowed_cores
from inferometer.record.types import RunMeta
from inferometer.spec import Load

SIM = "sim sim --max-num-seqs 4 -- --base-s 0.002"
# Says something, and never answers.
SILENT = "python3 -c 'import sys, time; print(\"loading\", flush=True); time.sleep(600)' --port {port}"
READY = re.compile(r"is ready at http://127\.0\.0\.1:(\d+)")


def launch(command: str, out: Path, *flags: str) -> list[str]:
    return ["run", "--launch", command, "--out", str(out), *SHORT, "--warmup", "1", *flags]


def port_in(text: str) -> int:
    found = READY.search(text)
    assert found, text
    return int(found[1])


def check_gone(port: int) -> None:
    """Nobody listens there any more, and nothing of ours is left."""
    assert not is_listening(port)
    assert descendants(os.getpid()) == []


def check_only_run_folders(out: Path) -> Path:
    """The one run folder, with the log; the folder that the log was in before is gone."""
    (folder,) = folders(out)
    assert sorted(path.name for path in out.iterdir() if path.is_dir() and not path.is_symlink()) == [
        folder.name
    ]
    assert (folder / "engine.log").stat().st_size > 0
    return folder


def meta_of(out: Path) -> RunMeta:
    return stored(out).meta


def test_it_is_started_measured_and_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cores = allowed_cores()
    apart = ("--launch-cores", str(cores[0])) if len(cores) > 1 else ()
    monkeypatch.chdir(tmp_path)
    done = here(*launch(SIM, Path(), *apart, "--launch-env", "HF_TOKEN=hunter2"))
    check_succeeded(done, tmp_path)
    check_gone(port_in(done.err))
    assert re.search(rf"^launching .*--port {port_in(done.err)}\b", done.err)
    assert allowed_cores() == cores
    folder = check_only_run_folders(tmp_path)
    engine = meta_of(tmp_path).engine
    assert engine is not None
    assert (engine.name, engine.ended, engine.cores) == ("sim", None, [cores[0]] if apart else [])
    assert engine.url == f"http://127.0.0.1:{port_in(done.err)}"
    assert engine.facts["model"] == meta_of(tmp_path).model
    assert re.search(r"^Engine \(simulated\)\n  sim .*ready after", done.out, re.MULTILINE)
    assert "hunter2" not in done.out + done.err
    for file in folder.glob("*.json"):
        assert "hunter2" not in file.read_text()
    assert json.loads((folder / "summary.json").read_text())["engine"]["name"] == "sim"

    # Going on launches it again at another port, its log beside the run, wherever that is done.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    again = here(
        "run",
        "--resume",
        str(folder),
        "--num-prompts",
        "20",
        "24",
        "--pair",
        "grid",
        "--launch-env",
        "HF_TOKEN=x",
    )
    check_succeeded(again, tmp_path)
    check_gone(port_in(again.err))
    assert [point.dispatched for point in meta_of(tmp_path).points if point.kind == "measure"] == [20, 24]
    assert (folder / "engine.sitting-1.log").exists()
    assert list(elsewhere.iterdir()) == []


def test_a_server_that_is_killed_makes_the_run_invalid_and_what_was_measured_is_kept(tmp_path: Path) -> None:
    load = ("--max-concurrency", "2", "--num-prompts", "400", "--input-len", "8", "--output-len", "8")
    slow = [
        "run",
        "--launch",
        "sim sim -- --base-s 0.01",
        "--out",
        str(tmp_path / "runs"),
        *load,
        "--warmup",
        "1",
    ]
    with Command(tmp_path, slow) as command:
        command.wait_for("is ready at")
        port = port_in((tmp_path / "stderr").read_text())
        limit = time.monotonic() + LIMIT_S
        while successes(f"http://127.0.0.1:{port}") < 8:  # those of start and warm-up are three
            assert time.monotonic() < limit
        check_only_run_folders(tmp_path / "runs")  # so nothing would be left if we were killed now
        (server,) = holders(port)
        os.kill(server, signal.SIGKILL)
        done = command.finish()
    assert done.code == 5, done
    assert "sim ended with signal SIGKILL" in " ".join(done.out.split())
    check_only_run_folders(tmp_path / "runs")
    record = stored(tmp_path / "runs")
    assert "ok" in statuses(record)
    assert record.meta.engine is not None
    assert "SIGKILL" in str(record.meta.engine.ended)
    check_gone(port)


def test_one_that_does_not_start_is_explained_and_its_log_is_kept(tmp_path: Path) -> None:
    done = here(*launch("sim sim -- --no-such-flag", tmp_path, "--quiet"))
    check_message(done, 2, "no-such-flag", "engine.log")
    (log,) = tmp_path.glob("engine-*/engine.log")
    assert str(log) in done.err
    assert folders(tmp_path) == []


def test_no_log_is_named_or_left_of_a_server_that_wrote_nothing(tmp_path: Path) -> None:
    mute = SILENT.replace('print("loading", flush=True); ', "")
    done = here(*launch(mute, tmp_path, "--launch-timeout", "0.05", "--quiet"))
    check_message(done, 2, "was not ready within 0.05 s", "it wrote nothing", "next: give it more time\n")
    assert "engine.log" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_it_starts_leaves_nothing_but_its_log(tmp_path: Path) -> None:
    with Command(tmp_path, launch(SILENT, tmp_path / "runs")) as command:
        command.wait_for("launching")
        family = descendants(command.process.pid)
        command.interrupt()
        done = command.finish()
    assert done.code == 130, done
    assert "interrupted while command was starting" in done.err
    assert folders(tmp_path / "runs") == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in family)


def test_a_dry_run_shows_the_command_line_and_starts_nothing(tmp_path: Path) -> None:
    done = here(*launch("vllm serve some/model -tp 2 --api-key hunter2", tmp_path, "--dry-run"))
    assert done.code == 0, done
    assert "Launched server\n  vllm serve some/model" in done.out
    assert "a free port of 127.0.0.1" in done.out
    assert "nothing was sent: --dry-run" in done.out
    assert "hunter2" not in done.out + done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--url", "http://127.0.0.1:9"), "has port 9, and the server of --launch listens at 8123"),
        (("--url", "http://gpu7:8123"), "is not where the server of --launch listens"),
        (("--launch-cores", "0-999"), "may not use core"),
    ],
)
def test_what_contradicts_the_command_line_is_refused(
    tmp_path: Path, flags: tuple[str, ...], words: str
) -> None:
    done = here(*launch("vllm serve M --port 8123", tmp_path, "--dry-run", *flags))
    check_message(done, 2, words)


def check_llamacpp(done: Done, out: Path) -> None:
    check_succeeded(done, out)
    meta = meta_of(out)
    assert meta.engine is not None
    assert (meta.engine.name, meta.simulated) == ("llamacpp", False)
    assert meta.engine.facts["max_num_seqs"] >= 2
    assert "the model is tiny and random" in " ".join(done.out.split())
    assert set(statuses(stored(out))) == {"ok"}
    check_gone(port_in(done.err))


def test_the_demo_of_a_real_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xllamacpp")
    monkeypatch.setattr(measuring, "REAL_DEMO_LOAD", Load(max_concurrency=(2,), num_prompts=(12,), warmup=1))
    check_llamacpp(here("demo", "--engine", "llamacpp", "--out", str(tmp_path), "--ui", "plain"), tmp_path)

"""``inferometer launch`` as a person uses it: real servers, real signals, nothing left."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from commands import LIMIT_S, Command, check_message, here

from inferometer.clock import MonotonicClock
from inferometer.engines.family import descendants, is_listening
from inferometer.engines.process import EngineProcess
from inferometer.engines.ready import Wait
from inferometer.engines.start import Where, engine_of, start
from inferometer.errors import EngineError, InterruptedEarlyError, UsageError
from inferometer.loadgen.stop import StopSignal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SILENT = "import time; print('loading weights', flush=True); time.sleep(600)"  # an engine that never listens


def until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.02)


def gone(pids: list[int]) -> bool:
    return not any(
        Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids
    )


def here_at(folder: Path) -> Where:
    return Where(folder=folder, clock=MonotonicClock(), ready_limit_s=LIMIT_S)


def ready(command: Command, home: Path) -> dict[str, Any]:
    """What ``launch --json`` says when the engine is ready."""
    out = home / "stdout"
    until(lambda: "\n" in out.read_text() or command.process.poll() is not None)
    assert command.process.poll() is None, (home / "stderr").read_text()
    said: dict[str, Any] = json.loads(out.read_text().splitlines()[0])
    return said


def test_launch_serves_until_ctrl_c(tmp_path: Path) -> None:
    out = tmp_path / "launches"
    with Command(
        tmp_path, ["launch", "sim", "m", "--port", "0", "--out", str(out), "--warmup", "1", "--json"]
    ) as command:
        said = ready(command, tmp_path)
        family = descendants(command.process.pid)
        with urllib.request.urlopen(f"{said['url']}/v1/models", timeout=5) as reply:
            assert json.load(reply)["data"][0]["id"] == said["model"] == "m"
        command.interrupt()
        done = command.finish()
    assert done.code == 0, done.err
    assert json.loads(done.out.splitlines()[-1])["exit_code"] == 0
    assert said["facts"]["max_model_len"] == 262144
    assert len(said["warmup_s"]) == 1
    assert said["next"] == f"inferometer run --url {said['url']}"
    assert done.err.startswith("$ ")
    assert Path(said["log"]).parent.parent == out
    assert gone(family)
    assert not is_listening(int(said["url"].rpartition(":")[2]))


def test_an_engine_that_dies_while_ready_is_explained(tmp_path: Path) -> None:
    with Command(
        tmp_path, ["launch", "sim", "m", "--port", "0", "--out", str(tmp_path), "--json"]
    ) as command:
        os.kill(ready(command, tmp_path)["pid"], signal.SIGKILL)
        done = command.finish()
    assert done.code == 2
    assert "error: sim ended with signal SIGKILL" in done.err
    assert "was memory short" in done.err
    assert "engine.log" in done.err


def test_nothing_is_left_when_launch_is_killed_during_the_start(tmp_path: Path) -> None:
    words = ["launch", "command", "--port", "0", "--out", str(tmp_path), "--", sys.executable, "-c", SILENT]
    with Command(tmp_path, words) as command:
        command.wait_for("s  loading weights")
        family = descendants(command.process.pid)
        assert len(family) == 2  # the keeper and the engine
        command.process.kill()
        until(lambda: gone(family))


def test_ctrl_c_during_the_start(tmp_path: Path) -> None:
    words = ["launch", "command", "--port", "0", "--out", str(tmp_path), "--", sys.executable, "-c", SILENT]
    with Command(tmp_path, words) as command:
        command.wait_for("s  loading weights")
        family = descendants(command.process.pid)
        command.interrupt()
        done = command.finish()
    assert done.code == 130
    assert "interrupted while command was starting; it was ended, its log is" in done.err
    assert gone(family)


def test_ctrl_c_twice_ends_one_that_does_not_want_to(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); " + SILENT.partition("; ")[2]
    words = [
        "launch",
        "command",
        "--port",
        "0",
        "--out",
        str(tmp_path),
        "--",
        sys.executable,
        "-c",
        "import time; " + code,
    ]
    with Command(tmp_path, words) as command:
        command.wait_for("s  loading weights")
        family = descendants(command.process.pid)
        command.interrupt()
        command.wait_for("press Ctrl-C again")
        time.sleep(0.25)  # two signals within 0.2 s are one press
        command.interrupt()
        done = command.finish()  # far within the grace of 20 s, or the engine would live
    assert done.code == 130
    assert gone(family)


def test_what_it_would_start(tmp_path: Path) -> None:
    done = here("launch", "sglang", "a b", "--tp", "2", "--env", "HF_TOKEN=hunter22", "--dry-run")
    assert done.code == 0
    assert done.out == (
        "HF_TOKEN='***' python3 -m sglang.launch_server --model-path 'a b' --host 127.0.0.1 --port 8000 --tp-size 2\n"
    )
    check_message(here("launch", "vllm", "serve", "M"), 2, "begins a command line", "in quotes")
    check_message(here("launch", "vlm", "M"), 2, "did you mean 'vllm'?")
    check_message(here("launch", "sim", "m", "--max-modl-len", "5"), 2, "--max-model-len")
    check_message(here("launch", "sim", "m", "--warmup", "-1"), 2, "--warmup", "0 or more")
    check_message(here("launch", "sim", "m", "--launch-timeout", "0"), 2, "no time to start")
    check_message(here("launch", "sim", "m", "--cores", "x"), 2, "--cores: 'x'", "0-3,8")
    short = here("launch", "sim", "m", "--dry-run").out
    assert short.endswith("-m inferometer.simulator.server.serve --model m --host 127.0.0.1 --port 8000\n")
    check_message(
        here("launch", "command", "-q", "--out", str(tmp_path), "--", "no-such-engine"),
        2,
        "'no-such-engine' cannot be started",
    )
    help_page = here("launch", "--help")
    assert help_page.code == 0
    assert "launch plan --help" in help_page.out


def test_a_server_that_was_there_before_is_not_taken_for_ours(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = here("launch", "sim", "m", "--port", str(port), "--out", str(tmp_path))
        check_message(done, 2, f"port {port} of 127.0.0.1 is taken by", f"pid {os.getpid()}")


def test_a_server_that_takes_the_port_meanwhile_is_not_taken_for_ours(tmp_path: Path) -> None:
    with start(*engine_of("sim other --port 0"), here_at(tmp_path / "other"), StopSignal(), str) as other:
        engine, settings = engine_of(
            f"command --port {other.settings.port} -- {sys.executable} -c 'import time; time.sleep(99)'"
        )
        with EngineProcess(engine.command(settings), tmp_path / "log", MonotonicClock()) as process:
            wait = Wait(engine, settings, process, MonotonicClock(), StopSignal(), str)
            with pytest.raises(
                EngineError, match=rf"is not the command that was started, but .*pid {other.pid}"
            ):
                wait.until_ready(LIMIT_S)


def test_an_engine_that_does_not_start_is_explained(tmp_path: Path) -> None:
    engine, settings = engine_of(
        "sim m --port 0 --max-num-seqs 4 -- --max-num-batched-tokens 2 --api-key hunter22"
    )
    with pytest.raises(EngineError, match="max_num_batched_tokens=2 is less than max_num_seqs=4") as caught:
        start(engine, settings, here_at(tmp_path), StopSignal(), str)
    assert caught.value.log == str(tmp_path / "engine.log")
    assert "raise the one or lower the other" in caught.value.next_step
    assert "hunter22" not in str(caught.value)
    assert "its log says" not in str(caught.value)  # the same once more

    engine, settings = engine_of("sim m --port 0 -- --other-key hunter22")
    with pytest.raises(EngineError, match=r"unrecognized arguments: --other-key \*\*\*"):
        start(engine, settings, here_at(tmp_path / "b"), StopSignal(), str)


def test_a_server_without_an_answer_is_no_engine(tmp_path: Path) -> None:
    code = """
import http.server
class Refuses(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    def do_POST(self): self.send_error(403, "not for you")
http.server.HTTPServer(("127.0.0.1", {port}), Refuses).serve_forever()
"""
    engine, _ = engine_of("command -- x")
    settings = engine.settings((sys.executable, "-c", code))
    assert settings is not None
    told: list[str] = []
    with pytest.raises(
        EngineError, match="listens, but does not answer a request of openai-chat: it answers 403"
    ):
        start(engine, settings, here_at(tmp_path), StopSignal(), told.append)


def test_a_server_of_tls_is_asked_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its certificate is of nobody: it was started here, and that is what counts."""
    code = """
import http.server, json, os, ssl, sys
class Answers(http.server.BaseHTTPRequestHandler):
    def say(self, **words):
        body = json.dumps(words).encode()
        self.send_response(200 if self.headers["Authorization"] == "Bearer " + os.environ["VLLM_API_KEY"] else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self): self.say(data=[{"id": "m"}])
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.say(choices=[{"message": {"content": "hi"}}], usage={"completion_tokens": 1})
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Answers)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[sys.argv.index("--ssl-certfile") + 1])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
    certificate = tmp_path / "certificate.pem"
    trustme.CA().issue_cert("elsewhere.example").private_key_and_cert_chain_pem.write_to_path(
        str(certificate)
    )
    program = tmp_path / "vllm"
    program.write_text(f"#!{sys.executable}\n{code}")
    program.chmod(0o755)
    monkeypatch.setenv("VLLM_API_KEY", "hunter22")
    engine, settings = engine_of(f"{program} serve m --port 0 --ssl-certfile {certificate}")
    assert engine.name == "vllm"
    with start(engine, settings, here_at(tmp_path / "log"), StopSignal(), str) as running:
        assert running.url.startswith("https://127.0.0.1:")
        assert running.api_key == "hunter22"
        assert len(running.warm(1)) == 1


def test_a_start_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    engine, settings = engine_of(f'command --port 0 -- {sys.executable} -c "{SILENT}"')
    where = Where(folder=tmp_path, clock=MonotonicClock(), ready_limit_s=0.5)
    with pytest.raises(
        EngineError, match=r"not ready within 0.5 s, it was ended; missing was an answer at /health"
    ):
        start(engine, settings, where, StopSignal(), str)
    with pytest.raises(UsageError, match="cannot be kept on cores 9999"):
        start(engine, settings, msgspec.structs.replace(where, cores=(9999,)), StopSignal(), str)
    stop = StopSignal()
    stop.request()
    with pytest.raises(InterruptedEarlyError, match="interrupted while command was starting"):
        start(engine, settings, where, stop, str)


def test_llamacpp_starts_answers_and_leaves_nothing_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xllamacpp")
    monkeypatch.setenv("INFEROMETER_CACHE_DIR", str(tmp_path / "cache"))
    engine, settings = engine_of("llamacpp tiny --port 0 --max-num-seqs 2 --max-model-len 256")
    before = set(descendants(os.getpid()))
    for cycle in range(2):
        with start(engine, settings, here_at(tmp_path / str(cycle)), StopSignal(), str) as running:
            facts = running.facts
            assert (facts.max_model_len, facts.max_num_seqs, facts.kv_tokens) == (256, 2, 512)
            assert facts.version is not None
            assert running.dialect == "openai-chat"
            assert len(running.warm(2)) == 2
            family = running.family()
            assert running.pid in family
        assert running.ending() == "exit code 0"
        assert gone(family)
        assert not is_listening(running.settings.port)
        assert set(descendants(os.getpid())) <= before
        assert [path.name for path in (tmp_path / str(cycle)).iterdir()] == ["engine.log"]

"""Life and death of the server's process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from inferometer.clock import MonotonicClock
from inferometer.errors import EndpointError
from inferometer.record.steps import read_steps
from inferometer.simulator import Fault, SimSettings, start_simulated_server
from inferometer.simulator.server.pacing import LoopAlarm, TimerfdAlarm

SERVE = [sys.executable, "-m", "inferometer.simulator.server.serve"]


def get(url: str | urllib.request.Request) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read()


def test_it_starts_quickly_answers_and_stops() -> None:
    with start_simulated_server(SimSettings(model="mine")) as server:
        assert sum(psutil.Process(server.pid).cpu_times()[:2]) < 3  # CPU seconds, of which it takes about 0.3
        assert server.url.startswith("http://127.0.0.1:")
        assert json.loads(get(f"{server.url}/v1/models"))["data"][0]["id"] == "mine"
        assert psutil.pid_exists(server.pid)
    assert not psutil.pid_exists(server.pid)
    server.stop()


def test_settings_reach_the_process_but_no_process_list_shows_the_key() -> None:
    settings = SimSettings(api_key="opensesame", fault=Fault(kind="status", status=503))
    with start_simulated_server(settings) as server:
        assert "opensesame" not in " ".join(psutil.Process(server.pid).cmdline())
        with pytest.raises(urllib.error.HTTPError, match="401") as refused:
            get(f"{server.url}/v1/models")
        refused.value.close()


def test_steps_are_on_disk_though_the_server_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "steps.csv"
    settings = SimSettings(base_s=0.002, time_scale=0.5, arrival_s=0.01, step_log=str(log))
    with start_simulated_server(settings) as server:
        body = json.dumps({"prompt": "hello there", "max_tokens": 20, "ignore_eos": True}).encode()
        get(urllib.request.Request(f"{server.url}/v1/completions", body))
        get(f"{server.url}/health")  # the engine is idle by now
        os.kill(server.pid, signal.SIGKILL)
    rows = list(read_steps(log))
    assert [row.prefill_tokens for row in rows] == [2] + [0] * 19
    step_s = (settings.base_s + settings.per_token_s + settings.per_seq_s + 10 * settings.per_kv_token_s) / 2
    assert sum(row.step_s for row in rows[1:]) == pytest.approx(19 * step_s, rel=0.01)
    assert abs(rows[-1].end_ns - MonotonicClock().realtime_ns()) < 60e9


def test_a_port_that_is_taken_is_named() -> None:
    with start_simulated_server(SimSettings()) as server:
        port = int(server.url.rsplit(":", 1)[1])
        with pytest.raises(EndpointError, match=f"cannot listen on 127.0.0.1:{port}"):
            start_simulated_server(SimSettings(), port=port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_line_serves_until_a_signal(number: signal.Signals) -> None:
    with subprocess.Popen(
        [*SERVE, "--model", "cli", "--max-num-seqs", "4"], stdout=subprocess.PIPE
    ) as process:
        ready = json.loads(process.stdout.readline())
        assert ready["pid"] == process.pid
        assert b"cli" in get(f"{ready['url']}/v1/models")
        process.send_signal(number)
        assert process.wait(5) == 0
        assert process.stdout.read() == b""


def test_wrong_flags_are_a_short_error() -> None:
    ended = subprocess.run(
        [*SERVE, "--max-num-seqs", "0"], capture_output=True, text=True, timeout=10, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr == "error: max_num_seqs=0 of the simulated server must be at least 1\n"


def test_it_serves_on_asyncio_where_uvloop_is_missing() -> None:
    script = "import sys; sys.modules['uvloop'] = None; from inferometer.simulator.server.serve import main; main([])"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        url = json.loads(process.stdout.readline())["url"]
        body = b'{"prompt": "hello", "max_tokens": 3, "ignore_eos": true, "stream": true}'
        with urllib.request.urlopen(f"{url}/v1/completions", body, timeout=5) as answer:
            assert answer.read().endswith(b"data: [DONE]\n\n")
        process.terminate()
        assert process.wait(5) == 0


def test_stdin_that_cannot_be_watched_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with file.open() as stdin:
        ended = subprocess.run(
            [*SERVE, "--die-with-parent"],
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    assert ended.returncode == 2
    assert "standard input cannot be watched" in ended.stderr


@pytest.mark.parametrize("kind", ["timerfd", "loop"])
def test_an_alarm_comes_once_and_not_before_its_time(kind: str) -> None:
    if kind == "timerfd" and sys.platform != "linux":
        pytest.skip("timerfd is Linux")
    clock = MonotonicClock()
    called: list[int] = []

    async def story() -> None:
        loop = asyncio.get_running_loop()
        alarm = TimerfdAlarm(loop) if kind == "timerfd" else LoopAlarm(loop, clock)
        alarm.set(deadline_ns, lambda: called.append(clock.now_ns()))
        await asyncio.sleep(0.05)
        alarm.set(deadline_ns, lambda: called.append(clock.now_ns()))  # has passed: comes at once
        await asyncio.sleep(0.02)
        alarm.set(clock.now_ns() + 5_000_000, lambda: called.append(0))
        alarm.close()
        await asyncio.sleep(0.01)

    deadline_ns = clock.now_ns() + 20_000_000
    asyncio.run(story())
    assert len(called) == 2
    assert called[0] >= deadline_ns - 1_000_000  # event-loop timers may fire within their resolution


def test_it_ends_when_stdin_ends() -> None:
    with subprocess.Popen(
        [*SERVE, "--die-with-parent"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdin.close()
        assert process.wait(5) == 0


def test_it_ends_when_its_parent_is_killed() -> None:
    script = (
        "import time; from inferometer.simulator import *; "
        "print(start_simulated_server(SimSettings()).pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        server_pid = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait(5)
    end = time.monotonic() + 5
    while psutil.pid_exists(server_pid) and psutil.Process(server_pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.02)

"""The server fails in every way that a network has: right statuses, nothing lost, no hang past the timeouts."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from commands import here, stored
from drill import ANSWER, Drilled, asked, check_invalid, drill, gone_after_the_probe, server_tls

from inferometer.loadgen.progress import NullObserver, Progress
from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.spec import Workload
from inferometer.testing.fault_server import FaultServer, Incoming, Script, Send
from inferometer.testing.streams import answering, delta, models, sse, stream

pytestmark = pytest.mark.timeout(60)

# An answer that has begun: head and two tokens of a chunked stream, and no end.
HALF = stream([(0.0, sse(delta(" one"))), (0.0, sse(delta(" two")))], cut=True).sends


# --- the server is killed ------------------------------------------------------------------------------------


class KillTheServer(NullObserver):
    """Kills it when more than ``after`` requests are done."""

    def __init__(self, pid: int, after: int) -> None:
        self._pid, self._after = pid, after
        self.done_before = 0

    def on_progress(self, progress: Progress) -> None:
        if progress.done > self._after and not self.done_before:
            self.done_before = progress.done
            os.kill(self._pid, signal.SIGKILL)


def check_killed(done: Drilled, killer: KillTheServer, permits: int) -> None:
    """What had finished is kept, what was in flight is told from what came too late."""
    found = Counter(done.statuses)
    assert found["ok"] >= killer.done_before > 0
    assert set(found) <= {"ok", "truncated", "stream_error", "connect_error"}
    begun = (done.table.number("bytes_in") > 0) & (done.table.text("status") != "ok")
    assert 0 < begun.sum() <= permits
    assert set(done.table.text("status")[begun]) <= {"truncated", "stream_error"}
    assert set(done.table.text("status")[~begun]) <= {"ok", "connect_error"}
    assert any("Connection refused" in error for error in done.errors)
    # The tokens that arrived before the end are kept.
    broken = done.table.number("index")[begun & ~np.isnan(done.table.number("first_token_ns"))]
    assert set(broken) <= set(done.table.chunks["request"])
    check_invalid(done)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_that_is_killed_under_a_number_of_requests(workers: int, tmp_path: Path) -> None:
    with start_simulated_server(SimSettings(base_s=0.01)) as server:
        spec = asked(server.url, tmp_path, {"max_concurrency": 8, "num_prompts": 500, "workers": workers})
        spec = spec.model_copy(update={"workload": Workload(input_len=(8,), output_len=(24,))})
        killer = KillTheServer(server.pid, 10)
        done = drill(spec, killer)
    check_killed(done, killer, 8)
    assert len(done.statuses) == 500
    assert done.table.point.stop_reason == "complete"


def test_a_server_that_is_killed_under_a_time_limit(tmp_path: Path) -> None:
    """The load point does not go on failing until its time is up, and the next one is left out."""
    with start_simulated_server(SimSettings(base_s=0.01)) as server:
        load = {"max_concurrency": (8, 4), "duration_s": 600.0, "workers": 2}
        spec = asked(server.url, tmp_path, load)
        spec = spec.model_copy(update={"workload": Workload(input_len=(8,), output_len=(24,))})
        killer = KillTheServer(server.pid, 10)
        done = drill(spec, killer, state="failed")
    check_killed(done, killer, 8)
    assert done.table.point.stop_reason == "unreachable"
    assert len(done.record.measured) == 1
    assert "the server was gone; load points left out after it: 1" in done.record.meta.notes[-1]


# --- half-open connections -----------------------------------------------------------------------------------

BROKEN = {
    "never answers": (Script([], hang_s=30.0), "timeout", "no byte for 0.4 s (--read-timeout)"),
    "stops in the head": (
        Script([Send(0.0, b"HTTP/1.1 200 OK\r\nContent-")], hang_s=30.0),
        "timeout",
        "no byte for 0.4 s (--read-timeout)",
    ),
    "stops in mid-stream": (Script(HALF, hang_s=30.0), "timeout", "no byte for 0.4 s (--read-timeout)"),
    "closes in mid-stream": (Script(HALF, close=True), "truncated", "the server closed the connection"),
    "resets in mid-stream": (Script(HALF, reset=True), "stream_error", "receive: Connection reset by peer"),
}


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("case", BROKEN)
def test_an_answer_that_breaks_off(case: str, secure: bool, tmp_path: Path) -> None:
    """Every third answer is whole: the others must not touch it."""
    script, status, text = BROKEN[case]
    tls, ca_file = server_tls(tmp_path) if secure else (None, None)
    with FaultServer(answering([ANSWER, script, script]), tls) as server:
        load = {"max_concurrency": 6, "num_prompts": 9, "workers": 2}
        done = drill(asked(server.url, tmp_path / "runs", load, read_timeout_s=0.4, ca_file=ca_file))
    assert Counter(done.statuses) == {"ok": 3, status: 6}
    assert done.errors == {text}
    failed = done.table.text("status") != "ok"
    got_tokens = not np.isnan(done.table.number("first_token_ns")[failed]).any()
    assert got_tokens == (script.sends is HALF)
    check_invalid(done)


def test_the_command_line_tells_of_a_silent_server(tmp_path: Path) -> None:
    with FaultServer(answering(Script([], hang_s=30.0))) as server:
        flags = ("--max-concurrency", "4", "--num-prompts", "4", "--input-len", "8", "--warmup", "0")
        limits = ("--read-timeout", "300ms", "--out", str(tmp_path))
        done = here("run", "--url", server.url, "--quiet", *flags, *limits)
    assert done.code == 5
    assert done.out.startswith("INVALID: ")
    assert "no byte for 0.3 s (--read-timeout)" in " ".join(done.out.split())
    assert "Traceback" not in done.out + done.err
    assert list(stored(tmp_path).measured[0].text("status")) == ["timeout"] * 4


def test_an_endless_answer_ends_at_the_limit_of_a_whole_request(tmp_path: Path) -> None:
    drip = Script(
        [Send(0.05 * i, send.data) for i, send in enumerate([*HALF, *[Send(0, b"4\r\n: \n\n\r\n")] * 400])]
    )
    with FaultServer(answering(drip)) as server:
        load = {"max_concurrency": 2, "num_prompts": 4, "workers": 2}
        done = drill(asked(server.url, tmp_path, load, total_timeout_s=0.5))
    assert done.statuses == ["timeout"] * 4
    assert done.errors == {"not finished within 0.5 s (--timeout)"}
    check_invalid(done)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_connection_that_is_never_established(secure: bool, tmp_path: Path) -> None:
    """Plain: the queue of the listener is full. TLS: TCP is there, and nobody answers the handshake."""
    tls, ca_file = server_tls(tmp_path) if secure else (None, None)
    with gone_after_the_probe("ignore" if secure else "full", tls) as url:
        load = {"max_concurrency": 6, "num_prompts": 12, "workers": 2}
        done = drill(asked(url, tmp_path / "runs", load, connect_timeout_s=0.5, ca_file=ca_file))
    assert done.statuses == ["connect_error"] * 12
    assert done.errors == {"no connection within 0.5 s (--connect-timeout)"}
    assert np.isnan(done.table.number("sent_ns")).all()
    check_invalid(done)


def test_a_connection_that_only_the_kernel_has_accepted(tmp_path: Path) -> None:
    """Nobody reads: a request that is longer than the buffers stays behind, unsent."""
    file = tmp_path / "long.jsonl"
    file.write_text(('{"question": "Why' + " " * (16 << 20) + '?"}\n') * 2)
    with gone_after_the_probe("ignore") as url:
        load = {"max_concurrency": 2, "num_prompts": 2, "workers": 2}
        spec = asked(url, tmp_path, load, read_timeout_s=0.5)
        data = Workload(dataset="openqa", dataset_path=str(file), output_len=(8,))
        done = drill(spec.model_copy(update={"workload": data}))
    assert done.statuses == ["timeout"] * 2
    assert done.errors == {"no byte for 0.5 s (--read-timeout)"}
    check_invalid(done)


def test_a_server_that_resets_every_connection_before_it_answers(tmp_path: Path) -> None:
    """As if it closed them in order: nobody was there, which also ends a load point that only time bounds."""
    with FaultServer(answering(Script([], reset=True))) as server:
        done = drill(asked(server.url, tmp_path, {"max_concurrency": 4, "num_prompts": 40, "workers": 2}))
    assert done.statuses == ["connect_error"] * 40
    assert done.errors == {"receive: Connection reset by peer"}
    check_invalid(done)


# --- ten thousand connections refused ------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_ten_thousand_connections_are_refused(workers: int, tmp_path: Path) -> None:
    with gone_after_the_probe("refuse") as url:
        load = {"max_concurrency": 10_000, "num_prompts": 10_000, "workers": workers}
        done = drill(asked(url, tmp_path, load))
    assert done.statuses == ["connect_error"] * 10_000
    (error,) = done.errors
    assert error.endswith("Connection refused")
    assert np.isnan(done.table.number("first_byte_ns")).all()
    assert done.table.point.stop_reason == "complete"
    assert "none of 10000 requests succeeded" in done.record.meta.notes[-1]
    check_invalid(done)


def test_ten_thousand_refusals_on_the_command_line(tmp_path: Path) -> None:
    with gone_after_the_probe("refuse") as url:
        flags = ("--max-concurrency", "10000", "--num-prompts", "10000", "--input-len", "8", "--warmup", "0")
        done = here("run", "--url", url, "--quiet", "--out", str(tmp_path), *flags)
    assert done.code == 5
    assert done.out.startswith("INVALID: ")
    assert "Connection refused" in done.out
    assert "Traceback" not in done.out + done.err


# --- servers that do not keep to the protocol ----------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_that_closes_every_connection_after_the_answer(workers: int, tmp_path: Path) -> None:
    """It says keep-alive each time; no request is lost by it and none is answered twice."""
    with FaultServer(answering(ANSWER._replace(close=True))) as server:
        load = {"max_concurrency": 4, "num_prompts": 200, "workers": workers}
        done = drill(asked(server.url, tmp_path, load))
    assert done.statuses == ["ok"] * 200
    assert sum(served.request.method == "POST" for served in server.served) == 200
    assert not any(health.keep_alive for health in done.table.point.health)


def stray(at_s: float) -> Script:
    """A whole answer, and bytes that belong to nothing."""
    (whole,) = ANSWER.sends
    if at_s == 0.0:
        return Script([Send(0.0, whole.data + b"stray bytes")])
    return Script([whole, Send(at_s, b"stray bytes")])


def test_stray_bytes_with_the_answer_cost_the_connection_and_no_request(tmp_path: Path) -> None:
    with FaultServer(answering(stray(0.0))) as server:
        done = drill(asked(server.url, tmp_path, {"max_concurrency": 4, "num_prompts": 60, "workers": 2}))
    assert done.statuses == ["ok"] * 60
    assert (done.table.number("output_tokens_server") == 4).all()


def test_stray_bytes_after_the_answer_are_no_answer(tmp_path: Path) -> None:
    """They come when the next request is already on its way; whatever they are, they are not its answer."""
    with FaultServer(answering(stray(0.005))) as server:
        done = drill(asked(server.url, tmp_path, {"max_concurrency": 4, "num_prompts": 60, "workers": 2}))
    found = Counter(done.statuses)
    assert set(found) == {"ok", "stream_error"}
    assert all("not an HTTP/1.x response: it starts with b'stray bytes" in error for error in done.errors)
    ok = done.table.text("status") == "ok"
    assert (done.table.number("output_tokens_server")[ok] == 4).all()
    check_invalid(done)


def test_a_connection_with_stray_bytes_on_it_is_not_used_again(tmp_path: Path) -> None:
    """They come while the connection waits for its next request: nobody notices."""
    numbers: list[int] = []

    def script(request: Incoming) -> Script:
        numbers.append(request.number)
        return models("test") if request.method == "GET" else stray(0.005)

    with FaultServer(script) as server:
        load = {"request_rate": 10.0, "burstiness": float("inf"), "num_prompts": 10}
        done = drill(asked(server.url, tmp_path, load))
    assert done.statuses == ["ok"] * 10

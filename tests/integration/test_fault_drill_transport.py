"""What a drill found out about the transport and the loop, on one reactor in this process."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest
from drill import gone_after_the_probe, server_tls
from test_point import Bench, load

from inferometer.client.exchange import Exchange
from inferometer.client.probe import fetch
from inferometer.client.reactor import Reactor
from inferometer.client.target import Target, Timeouts, resolve
from inferometer.clock import MonotonicClock
from inferometer.loadgen import backlog
from inferometer.loadgen.point import SENDS_PER_TURN
from inferometer.testing.streams import plain

LONG = b"x" * (32 << 20)


class SetClock(MonotonicClock):
    """The machine's clock, which the test sets forward instead of waiting."""

    ahead_ns = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.ahead_ns


def target_of(url: str, ca_file: str | None = None, **limits: float) -> Target:
    found = resolve(url)
    fields = {name: getattr(found, name) for name in found.__struct_fields__}
    return Target(**{**fields, "timeouts": Timeouts(**limits), "ca_file": ca_file})


def post(target: Target, index: int, body: bytes = b"{}") -> Exchange:
    return Exchange(index, target.request_head("POST", "/x", len(body)) + body, 0)


def read_all(server: socket.socket) -> int:
    """Read what is there; how much it was."""
    size = 0
    with contextlib.suppress(BlockingIOError):
        while data := server.recv(1 << 20):
            size += len(data)
    return size


def test_a_server_that_reads_a_long_prompt_slowly_is_not_silent() -> None:
    clock = SetClock()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = target_of(f"http://127.0.0.1:{listener.getsockname()[1]}", read_s=60.0)
        reactor = Reactor(target, clock)
        reactor.send(post(target, 0, LONG))
        server, _ = listener.accept()
        with server:
            server.setblocking(False)
            unread = len(LONG)
            while unread > 0 and not reactor.finished:
                unread -= read_all(server)
                clock.ahead_ns += 20_000_000_000
                while reactor.poll(clock.now_ns() + 5_000_000):
                    continue  # until the buffers are full again
            server.sendall(plain(200, "OK", b"{}").sends[0].data)
            while not reactor.finished:
                reactor.poll(clock.now_ns() + 1_000_000)
        reactor.close()
    assert reactor.finished[0].failure_text is None
    assert clock.ahead_ns > 60_000_000_000


def test_a_server_that_stops_reading_a_long_prompt_is_silent() -> None:
    clock = SetClock()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = target_of(f"http://127.0.0.1:{listener.getsockname()[1]}", read_s=60.0)
        reactor = Reactor(target, clock)
        reactor.send(post(target, 0, LONG))
        server, _ = listener.accept()
        with server:
            while reactor.poll(clock.now_ns() + 50_000_000):
                continue  # until the buffers are full
            assert not reactor.finished
            clock.ahead_ns += 61_000_000_000
            while not reactor.finished:
                reactor.poll(0)
        reactor.close()
    assert reactor.finished[0].failure == "timeout"
    assert reactor.finished[0].failure_text == "no byte for 60 s (--read-timeout)"


def test_a_request_waits_for_a_connection_that_is_being_opened(tmp_path: Path) -> None:
    """Another connection would be one more descriptor and source port for nothing."""
    tls, ca_file = server_tls(tmp_path)
    with gone_after_the_probe("ignore", tls) as url:
        target = target_of(url, ca_file)
        fetch(target, "/v1/models", MonotonicClock())
        reactor = Reactor(target, MonotonicClock())
        for _ in range(8):
            reactor.open_idle()
        for index in range(10):
            reactor.send(post(target, index))
        assert (reactor.in_flight, reactor.connections) == (10, 10)
        reactor.close()


def test_refused_requests_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They end as fast as they are sent, and hold no bytes: only their age says that they must be stored."""
    monkeypatch.setattr(backlog, "MAX_AGE_NS", 0)
    most = 0

    class Counting(backlog.Backlog):
        def add(self, exchange: Exchange, *, presses: bool = False) -> None:
            nonlocal most
            super().add(exchange, presses=presses)
            most = max(most, len(self._waiting))

    monkeypatch.setattr("inferometer.loadgen.point.Backlog", Counting)
    with gone_after_the_probe("refuse") as url:
        fetch(resolve(url), "/v1/models", MonotonicClock())
        bench = Bench(url, tmp_path)
        done = bench.run(load(max_concurrency=500, num_prompts=4000), 4000)
        bench.close()
    assert [record.status for record in bench.records()] == ["connect_error"] * 4000
    assert done.dispatched == 4000
    assert most <= 4 * SENDS_PER_TURN

"""The transport against real sockets: portable poller, keep-alive that is not kept, timeouts, many connections."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import psutil
import pytest
import trustme

from inferometer.client.exchange import Exchange
from inferometer.client.poller import EpollPoller, Poller, SelectorPoller
from inferometer.client.reactor import NEVER_KEPT, Reactor
from inferometer.client.target import Target, Timeouts, resolve
from inferometer.clock import MonotonicClock
from inferometer.errors import UsageError
from inferometer.testing.fault_server import FaultServer, Incoming, Script, Send
from inferometer.testing.streams import answering, delta, plain, sse, stream

POLLERS = [pytest.param(EpollPoller, id="epoll"), pytest.param(SelectorPoller, id="selectors")]
WHOLE = plain(200, "OK", b"{}")


def exchange(target: Target, index: int, body: bytes = b"{}") -> Exchange:
    return Exchange(index, target.request_head("POST", "/x", len(body)) + body, MonotonicClock().now_ns())


def finish(reactor: Reactor, count: int, limit_s: float = 10.0) -> list[Exchange]:
    limit_ns = reactor.clock.now_ns() + round(limit_s * 1e9)
    while len(reactor.finished) < count and reactor.clock.now_ns() < limit_ns:
        reactor.poll(limit_ns)
    return sorted(reactor.finished, key=lambda e: e.index)


def open_reactor(server: FaultServer, make: Callable[[], Poller] = EpollPoller, **timeouts: float) -> Reactor:
    target = resolve(server.url)
    limits = Timeouts(**timeouts) if timeouts else target.timeouts
    return Reactor(
        Target(
            **{f: getattr(target, f) for f in target.__struct_fields__ if f != "timeouts"}, timeouts=limits
        ),
        MonotonicClock(),
        make(),
    )


@pytest.mark.parametrize("make", POLLERS)
def test_two_hundred_streams_at_once(make: Callable[[], Poller]) -> None:
    parts = [(0.01 * i, sse(delta(f"w{i}"))) for i in range(5)]
    with FaultServer(lambda _: stream(parts)) as server:
        reactor = open_reactor(server, make)
        for index in range(200):
            reactor.send(exchange(reactor.target, index))
        done = finish(reactor, 200)
        reactor.close()
    assert [e.failure for e in done] == [None] * 200
    assert reactor.in_flight == 0
    for each in done:
        assert each.sent_ns is not None
        assert each.connect_start_ns is not None
        assert each.connect_end_ns is not None
        assert each.connect_start_ns <= each.connect_end_ns <= each.sent_ns <= each.at_ns[0]


def test_a_kept_connection_is_used_again() -> None:
    with FaultServer(lambda _: WHOLE) as server:
        reactor = open_reactor(server)
        for index in range(3):
            reactor.send(exchange(reactor.target, index))
            assert finish(reactor, index + 1)[-1].failure is None
        assert reactor.connections == 1
        assert [e.connect_start_ns is None for e in reactor.finished] == [False, True, True]
        reactor.close()


@pytest.mark.parametrize("make", POLLERS)
def test_a_server_that_closes_what_it_promised_to_keep_costs_no_request(make: Callable[[], Poller]) -> None:
    """The answer is complete and says keep-alive; the close arrives after the next request went out."""
    answer = Script(WHOLE.sends, close=True)
    with FaultServer(lambda _: answer) as server:
        reactor = open_reactor(server, make)
        for index in range(20):
            reactor.send(exchange(reactor.target, index))
            finish(reactor, index + 1)
        reactor.close()
    assert [e.failure for e in reactor.finished] == [None] * 20
    assert len(server.served) == 20
    assert reactor.resent <= 1  # found out once, then each request opens its own connection


def test_a_server_that_closes_after_each_answer_does_not_keep_connections() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    with FaultServer(lambda _: Script([Send(0.0, answer)], close=True)) as server:
        reactor = open_reactor(server)
        for index in range(NEVER_KEPT):
            assert reactor.keep_alive
            reactor.send(exchange(reactor.target, index))
            finish(reactor, index + 1)
        assert not reactor.keep_alive
        reactor.close()


def test_a_fresh_connection_that_is_closed_without_an_answer_is_a_failure() -> None:
    with FaultServer(lambda _: Script([], close=True)) as server:
        reactor = open_reactor(server)
        reactor.send(exchange(reactor.target, 0))
        (done,) = finish(reactor, 1)
        reactor.close()
    assert (done.failure, done.failure_text) == (
        "connect_error",
        "the server closed the connection without an answer",
    )
    assert len(server.served) == 1


@pytest.mark.parametrize(
    ("limits", "script", "words"),
    [
        ({"read_s": 0.2}, Script([], hang_s=5.0), r"no byte for 0\.2 s"),
        (
            {"total_s": 0.3},
            stream([(0.05 * i, b": x\n\n") for i in range(40)]),
            r"not finished within 0\.3 s",
        ),
    ],
)
def test_silence_and_endlessness_time_out(limits: dict[str, float], script: Script, words: str) -> None:
    with FaultServer(lambda _: script) as server:
        reactor = open_reactor(server, **limits)
        reactor.send(exchange(reactor.target, 0))
        (done,) = finish(reactor, 1, 4.0)
        reactor.close()
    assert done.failure == "timeout"
    assert done.failure_text is not None
    assert re.search(words, done.failure_text)
    took_s = ((done.end_ns or 0) - (done.sent_ns or 0)) / 1e9
    assert next(iter(limits.values())) <= took_s < 1.5


def test_a_refused_connection_is_named() -> None:
    with FaultServer(lambda _: WHOLE) as server:
        target = resolve(server.url)
    reactor = Reactor(target, MonotonicClock())
    reactor.send(exchange(target, 0))
    (done,) = finish(reactor, 1)
    reactor.close()
    assert done.failure == "connect_error"
    assert "Connection refused" in (done.failure_text or "")


def test_a_large_body_goes_out_whole_and_an_early_answer_is_read() -> None:
    sizes: list[int] = []

    def script(request: Incoming) -> Script:
        sizes.append(len(request.body))
        return WHOLE

    with FaultServer(script) as server:
        reactor = open_reactor(server)
        reactor.send(exchange(reactor.target, 0, b"x" * 20_000_000))
        (done,) = finish(reactor, 1)
        reactor.close()
    assert done.failure is None
    assert sizes == [20_000_000]


def test_a_head_in_pieces_and_an_interim_answer() -> None:
    pieces = [b"HTTP/1.1 100 Con", b"tinue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Le", b"ngth: 2\r\n\r", b"\nok"]
    with FaultServer(lambda _: Script([Send(0.02 * i, piece) for i, piece in enumerate(pieces)])) as server:
        reactor = open_reactor(server)
        reactor.send(exchange(reactor.target, 0))
        (done,) = finish(reactor, 1)
        reactor.close()
    assert done.failure is None
    assert done.framer.head is not None
    assert done.framer.head.status == 200


def test_kernel_stamps_do_not_see_a_client_that_was_late() -> None:
    """The client sleeps through the arrival; the stamp says when the bytes came, the lag says how late we were."""
    with FaultServer(answering(stream([(0.05, sse(delta("x")) + sse("[DONE]"))]))) as server:
        reactor = open_reactor(server)
        reactor.send(exchange(reactor.target, 0))
        reactor.poll(reactor.clock.now_ns() + 20_000_000)
        while not server.served:  # do not look at the socket until long after the bytes came
            continue
        wake_ns = reactor.clock.now_ns() + 100_000_000
        while reactor.clock.now_ns() < wake_ns:
            continue
        (done,) = finish(reactor, 1)
        reactor.close()
    if not reactor.kernel_stamps:
        pytest.skip("this platform has no kernel receive times")
    (sent_ns,) = server.served[0].sent_ns
    assert abs(done.at_ns[0] - sent_ns) < 5_000_000
    assert done.lag_ns[0] > 90_000_000


def test_an_answer_before_the_end_of_the_request_ends_the_connection() -> None:
    """The rest of the first body must not go out before, or instead of, the second request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = resolve(f"http://127.0.0.1:{listener.getsockname()[1]}")
        reactor = Reactor(target, MonotonicClock())
        reactor.send(exchange(target, 0, b"x" * 20_000_000))
        connection, _ = listener.accept()
        with connection:
            connection.sendall(WHOLE.sends[0].data)  # says keep-alive, and has read nothing
            (done,) = finish(reactor, 1)
            assert done.failure is None
            assert (reactor.idle, reactor.connections) == (0, 0)
        reactor.close()


def test_a_stamp_is_never_in_the_future() -> None:
    """A clock that was set between the arrival and its reading; a closed loop would wait for that time."""
    with FaultServer(lambda _: WHOLE) as server:
        reactor = open_reactor(server)
        reactor.offset.offset_ns -= 3600 * 10**9
        reactor.offset.sampled_ns += 3600 * 10**9  # no new sample
        reactor.send(exchange(reactor.target, 0))
        (done,) = finish(reactor, 1)
        reactor.close()
    assert done.end_ns is not None
    assert done.end_ns <= reactor.clock.now_ns()


def test_a_ca_file_that_cannot_be_used_leaves_no_descriptor(tmp_path: Path) -> None:
    bad = tmp_path / "ca.pem"
    bad.write_text("no certificate")
    target = msgspec.structs.replace(resolve("https://127.0.0.1:1"), ca_file=str(bad))
    before = psutil.Process().num_fds()
    for _ in range(3):
        with pytest.raises(UsageError, match="--ca-file"):
            Reactor(target, MonotonicClock())
    assert psutil.Process().num_fds() == before


def end_tls_only(listener: socket.socket, context: ssl.SSLContext) -> socket.socket:
    """Answer one request and end TLS in the same write, but leave the socket open."""
    connection, _ = listener.accept()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    for step in (tls.do_handshake, lambda: tls.read(65536)):
        while True:
            try:
                step()
                break
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                incoming.write(connection.recv(65536))
    tls.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nwhole")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.unwrap()
    connection.sendall(outgoing.read())
    return connection


@pytest.mark.parametrize("make", POLLERS)
def test_the_end_of_tls_is_the_end_of_the_body(make: Callable[[], Poller], tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as pool:
        served = pool.submit(end_tls_only, listener, context)
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        target = msgspec.structs.replace(resolve(url), ca_file=str(tmp_path / "ca.pem"))
        reactor = Reactor(target, MonotonicClock(), make())
        reactor.send(exchange(target, 0))
        (done,) = finish(reactor, 1)
        with served.result():
            assert (done.failure, reactor.connections) == (None, 0)
        reactor.close()
    assert done.body.endswith(b"whole")


def test_the_fault_server_gives_up_a_request_that_was_cut() -> None:
    with FaultServer(lambda _: WHOLE) as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"POST /x HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf")
        limit = time.monotonic() + 4.0
        while any("_serve" in thread.name for thread in threading.enumerate()):
            assert time.monotonic() < limit
            time.sleep(0.01)
    assert server.served == []


def test_a_length_that_is_cut_short_is_truncated() -> None:
    with FaultServer(lambda _: stream([(0.0, b"data: x\n\n")], "length", cut=True)) as server:
        reactor = open_reactor(server)
        reactor.send(exchange(reactor.target, 0))
        (done,) = finish(reactor, 1)
        reactor.close()
    assert done.failure == "truncated"

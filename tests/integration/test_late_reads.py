"""What a client that was held up knows of its chunks' times, and ends of messages that come with more behind them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from test_reactor import exchange, open_reactor

from inferometer.client.decode import DecodeOptions, decode_steps
from inferometer.client.dialects import DIALECTS
from inferometer.client.exchange import Exchange
from inferometer.client.poller import MOST_EVENTS, EpollPoller
from inferometer.record.types import ChunkColumns, RequestRecord
from inferometer.testing.fault_server import FaultServer, Incoming, Script, Send
from inferometer.testing.streams import chunked, delta, sse

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = chunked(sse("[DONE]")) + b"0\r\n\r\n"
TOKENS = 6


class HeldUp(EpollPoller):
    """Does not look at its sockets, once, until it is let go."""

    def __init__(self, go: threading.Event) -> None:
        super().__init__()
        self.go = go
        self.hold = False

    def wait(self, deadline_ns: int, most_ns: int) -> list[tuple[int, int]]:
        if self.hold:
            assert self.go.wait(20)
            self.hold = False
        return super().wait(deadline_ns, most_ns)


def decoded(done: Exchange) -> tuple[RequestRecord, ChunkColumns]:
    answers: list[tuple[RequestRecord, ChunkColumns]] = []

    def run() -> Iterator[None]:
        options = DecodeOptions(DIALECTS.get("openai-chat"), True, [])
        answers.append((yield from decode_steps(done, options)))

    assert all(step is None for step in run())
    return answers[0]


@pytest.mark.parametrize("streams", [1, MOST_EVENTS + 8])
def test_every_chunk_that_lost_its_time_is_known_whatever_portion_of_the_burst_it_came_in(
    streams: int,
) -> None:
    """All tokens of all streams wait before the client looks again; it reads them in portions of ``MOST_EVENTS``."""
    arrived, go = threading.Barrier(streams + 1), threading.Event()

    class Noting(FaultServer):
        def _play(self, connection: object, request: Incoming) -> bool:
            kept = super()._play(connection, request)  # type: ignore[arg-type]
            arrived.wait(20)
            return kept

    parts = [Send(0.002 * i, chunked(sse(delta(f"w{i}")))) for i in range(TOKENS)]
    script = Script([Send(0.0, HEAD), *parts, Send(0.002 * TOKENS, END)])
    with Noting(lambda _: script) as server:
        go_poller = HeldUp(go)
        reactor = open_reactor(server, lambda: go_poller)
        for index in range(streams):
            reactor.send(exchange(reactor.target, index))
        while len([1 for c in reactor._connections.values() if c.ready and not c.unsent]) < streams:
            reactor.poll(reactor.clock.now_ns() + 1_000_000)
        go_poller.hold = True
        threading.Thread(target=lambda: (arrived.wait(20), go.set()), daemon=True).start()
        while len(reactor.finished) < streams:
            reactor.poll(reactor.clock.now_ns() + 20_000_000)
        answers = [decoded(done) for done in reactor.finished]
        reactor.close()
    lost = 0
    for record, chunks in answers:
        read, kind = np.frombuffer(chunks.read, "<i4"), np.frombuffer(chunks.kind, "u1")
        output = read[kind == 0]
        assert len(output) == TOKENS
        together = sum(1 for a, b in pairwise(output) if a == b)
        assert record.blurred_chunks == together
        lost += together
    assert lost > 0


@pytest.mark.parametrize(
    "stray", [[b"HTTP/1.1 408 Late\r\n"], [b"HTTP/1.1 408 Late\r\n", b"Connection: close"]]
)
def test_an_end_with_stray_bytes_behind_it_is_the_end(stray: list[bytes]) -> None:
    """It ends with the read that brought the end, however many more came before anybody looked."""
    sends = [Send(0.0, HEAD), Send(0.01, chunked(sse(delta("x")))), Send(0.03, END + stray[0])]
    sends += [Send(0.05, more) for more in stray[1:]]
    with FaultServer(lambda _: Script(sends, hang_s=5.0)) as server:
        reactor = open_reactor(server, connect_s=5.0, read_s=20.0, total_s=30.0)
        reactor.send(exchange(reactor.target, 0))
        while not reactor.finished:
            reactor.poll(reactor.clock.now_ns() + 20_000_000)
        done = reactor.finished.popleft()
        reactor.close()
    assert done.failure is None
    assert done.framer.extra == len(b"".join(stray))
    assert done.end_ns == done.at_ns[list(done.upto).index(len(done.body))]
    assert reactor.connections == 0  # such a connection is not used again


def test_a_connection_that_has_gone_does_not_take_down_its_successor_with_the_same_number() -> None:
    with FaultServer(lambda _: Script([Send(0.0, HEAD + END)])) as server:
        reactor = open_reactor(server)
        reactor.open_idle()
        old = next(iter(reactor._connections.values()))
        old.started_ns -= 3_600_000_000_000
        old.ready = False
        reactor._to_check = [old]
        reactor._drop(old)
        reactor.send(exchange(reactor.target, 0))
        old.fd = next(iter(reactor._connections))  # as the system would, had this process no other threads
        reactor._check_timeouts(reactor.clock.now_ns())
        while not reactor.finished:
            reactor.poll(reactor.clock.now_ns() + 20_000_000)
        assert reactor.finished.popleft().failure is None
        reactor.close()

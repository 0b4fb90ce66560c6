"""Prompts too long for the socket's buffer."""

from __future__ import annotations

import socket

from inferometer.client.connection import Connection
from inferometer.client.exchange import Exchange
from inferometer.client.target import resolve


def test_a_long_body_goes_out_behind_its_head_without_a_copy() -> None:
    """Head and body as two pieces, over a socket too small for them, arrive as they are."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = resolve(f"http://127.0.0.1:{server.getsockname()[1]}")
        connection = Connection(target, target.addresses[0], None, 0)
        assert connection.connect() is None
        accepted, _ = server.accept()
        with accepted:
            body = bytes(range(256)) * 40_000  # 10 MB
            exchange = Exchange(0, b"HEAD", planned_ns=0, rest=body)
            assert exchange.bytes_out == 4 + len(body)
            assert connection.start(exchange, 1) is None
            assert connection.unsent
            got = bytearray()
            while len(got) < exchange.bytes_out:
                got += accepted.recv(1 << 20)
                assert connection.flush() is None
            assert not connection.unsent
            assert got == b"HEAD" + body
        connection.close()

"""The reads of an exchange on the wire: nothing is lost on the log, whatever their sizes and their number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inferometer.client.exchange import LOG_BYTES, Exchange

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def begun(index: int = 0) -> Exchange:
    """An exchange whose head has come."""
    exchange = Exchange(index, b"GET", planned_ns=0)
    exchange.log = bytearray(LOG_BYTES)
    assert exchange.take((1, 0, HEAD)) is None
    return exchange


def put(exchange: Exchange, at_ns: int, data: bytes) -> int | None:
    """As the transport does it: the receive buffer is larger than the read."""
    buffer = bytearray(data + b"\r\n\r\n" * 4)
    if exchange.keep(at_ns, at_ns % 7, buffer, len(data)):
        return None
    return exchange.take((at_ns, at_ns % 7, data))


@given(st.lists(st.binary(min_size=1, max_size=5000), max_size=40), st.integers(0, 100), st.data())
def test_every_read_keeps_its_time_and_its_bytes(
    contents: list[bytes], index: int, data: st.DataObject
) -> None:
    wire = b"".join(b"%x\r\n%b\r\n" % (len(content), content) for content in contents) + b"0\r\n\r\n"
    cuts = sorted(data.draw(st.sets(st.integers(1, len(wire) - 1), max_size=60))) if len(wire) > 1 else []
    exchange = begun(index)
    parts = [wire[at:to] for at, to in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    ended = None
    for number, part in enumerate(parts):
        assert ended is None
        ended = put(exchange, 100 + number, part)
        assert exchange.reads == number + 2
        assert exchange.heard_ns == 100 + number
    assert ended == 100 + len(parts) - 1
    assert bytes(exchange.body) == b"".join(contents)
    assert exchange.bytes_in == len(HEAD) + len(wire)
    assert list(exchange.at_ns) == [1, *range(100, 100 + len(parts))]
    assert list(exchange.lag_ns) == [0, *(at % 7 for at in range(100, 100 + len(parts)))]
    assert exchange.upto[-1] == len(exchange.body)


def test_streams_that_begin_together_are_not_taken_apart_together() -> None:
    event = b"f0\r\n" + b"x" * 240 + b"\r\n"
    exchanges = [begun(index) for index in range(64)]
    taken = [0] * 64
    for at_ns in range(2, 64):
        before = [len(exchange.at_ns) for exchange in exchanges]
        for exchange in exchanges:
            put(exchange, at_ns, event)
        now = [len(exchange.at_ns) > had for exchange, had in zip(exchanges, before, strict=True)]
        taken[at_ns] = sum(now)
    assert max(taken[6:]) <= 16  # of 64; each has room for 15 such reads
    assert all(exchange.reads == 63 for exchange in exchanges)


def test_what_has_no_chunks_is_never_kept() -> None:
    exchange = Exchange(0, b"GET", planned_ns=0)
    exchange.log = bytearray(LOG_BYTES)
    exchange.take((1, 0, b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n"))
    assert put(exchange, 2, b"0123456789") is None
    assert put(exchange, 3, b"01234567890123456789") == 3

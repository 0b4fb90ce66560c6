"""Who gives up, and when: by seed and number alone."""

from __future__ import annotations

from typing import Any

import pytest

from inferometer.client.abandoned import AbandonedError, AbandonedExchange
from inferometer.client.exchange import Exchange
from inferometer.loadgen.leavers import Leavers
from inferometer.spec import LoadPoint

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def leavers(**changes: Any) -> Leavers:
    fields: dict[str, Any] = {
        "index": 1,
        "kind": "measure",
        "max_concurrency": 4,
        "request_rate": None,
        "burstiness": 1.0,
        "num_prompts": None,
        "duration_s": None,
        "input_len": None,
        "output_len": None,
        "seed": 0,
        "cancel_share": 0.25,
    }
    return Leavers(LoadPoint(**{**fields, **changes}), "sse")


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def test_a_share_of_the_requests_leaves_after_a_random_part() -> None:
    parts = [leavers().part(index) for index in range(4000)]
    chosen = [part for part in parts if part is not None]
    assert len(chosen) / len(parts) == pytest.approx(0.25, abs=0.03)
    assert sum(chosen) / len(chosen) == pytest.approx(0.5, abs=0.04)
    assert parts == [leavers().part(index) for index in range(4000)]  # whoever draws
    assert parts != [leavers(seed=1).part(index) for index in range(4000)]


def test_what_is_given_up_after_a_part_of_the_answer_waits_for_2_to_all_but_one_token() -> None:
    own = leavers(cancel_share=0.999)
    made = [own.kind_of(index, 10)(index, b"", 0, None) for index in range(2000)]
    most = [exchange.most for exchange in made if isinstance(exchange, AbandonedExchange)]
    assert set(most) == set(range(2, 10))
    assert own.waiting == []
    timed = leavers(cancel_share=0.999, cancel_within_s=2.0)
    assert {timed.kind_of(index, 10) for index in range(2000)} == {Exchange}


def test_times_are_within_the_limit_and_kept_in_order() -> None:
    own = leavers(cancel_share=0.5, cancel_within_s=2.0)
    for index in range(2000):
        own.sent(Exchange(index, b"", 0), 5)
    assert len(own.waiting) == pytest.approx(1000, abs=100)
    assert own.waiting[0] == min(own.waiting)
    assert max(leaver.due_ns for leaver in own.waiting) < 5 + 2_000_000_000


def read_all(exchange: Exchange, wire: bytes, size: int) -> None:
    for number, at in enumerate(range(0, len(wire), size)):
        assert not exchange.keep(number, 0, wire[at:], size)
        exchange.take((number, 0, wire[at : at + size]))


@pytest.mark.parametrize("line", [b"\n\n", b"\r\n\r\n"])
def test_an_answer_is_left_once_so_many_events_are_there_wherever_reads_are_cut(line: bytes) -> None:
    events = [b"data: " + bytes([65 + number]) * (number + 1) + line for number in range(6)]
    wire = HEAD + b"".join(map(chunk, events)) + b"0\r\n\r\n"
    for size in (1, 7, 50):
        exchange = AbandonedExchange(0, b"", 0)
        exchange.most = 4
        with pytest.raises(AbandonedError, match="4 events"):
            read_all(exchange, wire, size)
        assert exchange.body.count(line) >= 4
        assert bytes(exchange.body).startswith(b"".join(events[:4]))


def test_an_answer_that_ends_before_is_not_left() -> None:
    exchange = AbandonedExchange(0, b"", 0)
    exchange.most = 2
    wire = HEAD + chunk(b"data: a\n\n") + chunk(b"data: b\n\n") + b"0\r\n\r\n"
    assert exchange.take((7, 0, wire)) == 7


def test_streams_that_are_no_events_are_counted_by_reads() -> None:
    exchange = AbandonedExchange(0, b"", 0)
    exchange.framing, exchange.most = "ndjson", 3
    exchange.take((0, 0, HEAD))
    exchange.take((1, 0, chunk(b"{}\n")))
    with pytest.raises(AbandonedError):
        exchange.take((2, 0, chunk(b"{}\n")))

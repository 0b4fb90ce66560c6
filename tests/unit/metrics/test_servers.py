"""One row for each of several servers."""

from __future__ import annotations

from run_builder import Chunk, point, request

from inferometer.metrics.latency import PointData
from inferometer.metrics.servers import by_server

URLS = ("http://a", "http://b")


def test_each_server_has_its_own_latencies_and_failures() -> None:
    """Even numbers went to a, odd ones to b, which is slower and failed once."""
    first_ms = [10.0, 30.0, 12.0, 34.0]
    records = [
        request(i, server=i % 2, sent=0.0, first_token=ms, last_token=ms, end=ms, output_tokens_server=1)
        for i, ms in enumerate(first_ms)
    ]
    records.append(request(4, server=1, sent=0.0, end=1.0, status="http_error", http_status=503))
    table = point(records, [Chunk(i, ms) for i, ms in enumerate(first_ms)])
    a, b = by_server(PointData(table), URLS, (50.0,))
    assert [(s.server, s.url, s.requests, s.failed) for s in (a, b)] == [
        (0, "http://a", 2, 0),
        (1, "http://b", 3, 1),
    ]
    assert (a.stats["ttft_ms"].mean, b.stats["ttft_ms"].mean) == (11.0, 32.0)
    assert "tpot_ms" not in a.stats


def test_a_single_server_needs_no_rows() -> None:
    assert by_server(PointData(point([request(0)])), URLS[:1], (50.0,)) == []


def test_a_server_that_got_nothing_is_listed() -> None:
    rows = by_server(PointData(point([request(0, sent=0.0, end=5.0)])), URLS, (50.0,))
    assert [(row.requests, row.failed) for row in rows] == [(1, 0), (0, 0)]


def test_a_turn_that_was_never_sent_is_none_of_a_server_and_a_refused_connection_is() -> None:
    records = [
        request(0, sent=0.0, end=5.0, status="http_error", http_status=503, turns_left=1),
        request(1, end=None, status="cancelled", turn=1),
        request(2, server=1, connect_start=0.0, end=1.0, status="connect_error"),
        request(3, server=1, sent=0.0, end=9.0, status="cancelled"),
    ]
    rows = by_server(PointData(point(records)), URLS, (50.0,))
    assert [(row.requests, row.failed) for row in rows] == [(1, 1), (2, 2)]
    rows = by_server(PointData(point(records, stop_reason="duration")), URLS, (50.0,))
    assert [(row.requests, row.failed) for row in rows] == [(1, 1), (2, 1)]

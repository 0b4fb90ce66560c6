"""What a person reads of limits and of servers that take turns."""

from __future__ import annotations

import msgspec
from run_builder import point, request, run, steady_requests

from inferometer.metrics.summary import RunSummary, summarize
from inferometer.record.tables import PointTable
from inferometer.report.console import render_run
from inferometer.report.limits import limit_lines, server_lines


def refused(index: int, count: int) -> PointTable:
    """A load point with so many refusals in half a second, and as many good requests."""
    good, chunks = steady_requests(count)
    bad = [
        request(
            count + i,
            sent=1.0 * i,
            end=1.0 * i + 1,
            status="http_error",
            http_status=429,
            error="HTTP 429: no",
        )
        for i in range(count)
    ]
    return point([*good, *bad], chunks, index=index)


def test_what_failed_at_several_load_points_is_told_once() -> None:
    lines = limit_lines(summarize(run(refused(1, 10), refused(2, 30))), 100)
    assert " ".join(" ".join(lines).split()) == (
        "40 x HTTP 429: the server, or a gateway in front of it, refuses what is above its limit. Next: lower "
        "--max-concurrency or --request-rate, or have the limit raised (API gateways often allow 100 requests/s "
        "for a service)."
    )
    assert max(map(len, lines)) <= 100


def test_the_report_has_it_under_the_table() -> None:
    lines = render_run(summarize(run(refused(1, 10)))).splitlines()
    assert lines.index("What the failures mean") > lines.index("Load points, qwen2.5-7b")


def test_nothing_is_said_of_a_run_without_failures() -> None:
    text = render_run(summarize(run(point(*steady_requests(10)))))
    assert "What the failures mean" not in text
    assert "Servers" not in text


def several() -> RunSummary:
    records, chunks = steady_requests(2000)
    records = [msgspec.structs.replace(record, server=record.index % 2) for record in records]
    urls = {"url": "http://a:8000", "more_url": ["http://b:8000"]}
    return summarize(run(point(records, chunks), spec={"endpoint": urls}))


def test_each_server_has_a_row() -> None:
    summary = several()
    assert server_lines(summary.points, ["concurrency 1"], ("p50", "p99")) == [
        "  server         load           requests  failed  TTFT p50/p99 ms  TPOT p50/p99 ms",
        "  http://a:8000  concurrency 1     1,000       0    30.00 / 30.00    30.00 / 30.00",
        "  http://b:8000  concurrency 1     1,000       0    30.00 / 30.00    30.00 / 30.00",
    ]
    assert "Servers, in turn" in render_run(summary)

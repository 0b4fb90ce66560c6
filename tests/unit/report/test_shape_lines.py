"""What the console says of loads that change."""

from __future__ import annotations

import msgspec
from run_builder import point, request, run

from inferometer.metrics.groups import Group
from inferometer.metrics.percentiles import Stat
from inferometer.metrics.spike import Spike
from inferometer.metrics.summary import PointSummary, summarize, summarize_point
from inferometer.report.console import render_run
from inferometer.report.shape import shape_lines, spike_lines
from inferometer.spec import Measure


def phase(name: str, requests: int, ok: int, failed: int, p50: float | None) -> Group:
    stat = Stat(count=ok, mean=1.0, std=0.0, min=1.0, max=1.0, percentiles={"p50": p50, "p99": None})
    tokens = dict.fromkeys(("input_tokens", "cached_tokens", "output_tokens"))
    return Group(name=name, requests=requests, ok=ok, failed=failed, stats={"ttft_ms": stat}, **tokens)


def summary(status: str = "ok", **fields: object) -> PointSummary:
    requests = [
        request(n, planned=n, sent=n, end=n + 1, status="ok" if n < 95 else status) for n in range(100)
    ]
    return summarize_point(point(requests, **fields), Measure())


def test_what_was_given_up_is_told_with_its_number() -> None:
    assert shape_lines([summary("aborted")], ["a"]) == ["given up 5 of 100 as asked, not in the latencies"]


def test_why_a_load_point_was_stopped_is_told() -> None:
    load = {"max_concurrency": None, "request_rate": 8.0, "drain": "cut"}
    lines = shape_lines(
        [
            summary("cancelled", stop_reason="saturated", load=load),
            summary("http_error", stop_reason="errors"),
        ],
        ["rate 8", "rate 4"],
    )
    assert lines == [
        "rate 8: cut off 5 of 100 at the end, as asked (--drain cut)",
        "rate 8: stopped: the server fell behind the arrivals (--stop-on-saturation)",
        "rate 4: stopped: the failed share, 5.0 %, went above --stop-on-errors",
    ]


def test_a_spike_is_a_table_with_its_recovery() -> None:
    spike = Spike(
        factor=3.0,
        at_s=10.0,
        time_s=5.0,
        before=phase("before", 100, 90, 0, 15.0),
        during=phase("during", 300, 280, 10, 80.5),
        after=phase("after", 200, 200, 0, 16.0),
        judged="p90_ttft_ms",
        before_ms=20.0,
        recovery_s=7.25,
        reason="",
    )
    told = msgspec.structs.replace(summary(), spike=spike)
    assert spike_lines([told], ["rate 8"], ("p50", "p99")) == [
        "  phase   requests  TTFT p50/p99 ms  failed",
        "  before       100      15.00 / n/a       0",
        "  during       300      80.50 / n/a      10",
        "  after        200      16.00 / n/a       0",
        "  p90 TTFT, 20.00 ms before: back within 10 % 7.2 s after the spike",
    ]
    assert spike_lines([summary()], ["rate 8"], ("p50", "p99")) == []


def test_the_console_shows_what_was_given_up() -> None:
    table = point(
        [request(n, planned=n, sent=n, end=n + 1, status="aborted" if n else "ok") for n in range(4)]
    )
    assert "given up 3 of 4 as asked" in render_run(summarize(run(table)))

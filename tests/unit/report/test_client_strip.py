"""The client-health strip: a row a worker, the broken condition marked where it broke."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
from run_builder import point, run, steady_requests

from inferometer.metrics.summary import RunSummary, summarize
from inferometer.record.tables import PointTable, Telemetry
from inferometer.record.types import ClientHealth
from inferometer.report.client_strip import bars, client_strip, most_strained
from inferometer.report.console import render_run

FIXED = {"sampling": {"ignore_eos": True}}


def health(worker: int = 0, **fields: Any) -> ClientHealth:
    known = {
        "receive_clock": "kernel", "cpu": worker + 1, "cpu_s": 60.0, "wall_s": 100.0, "run_queue_wait_s": 0.5,
        "context_switches": 123_456, "involuntary_switches": 5, "backlog_peak_bytes": 3 << 19,
        "backlog_peak_age_s": 0.05, "in_flight_peak": 9, "loop_turns": 1000, "loop_turn_p99_s": 0.00012,
        "loop_turn_max_s": 0.0254, "rss_peak_bytes": 85 << 20, "clock_error_ns": 310, "clock_drift_ns": -20,
    }  # fmt: skip
    return ClientHealth(worker=worker, **(known | fields))


def two_workers(**second: Any) -> PointTable:
    """Requests in turn; worker 0 sends at once, worker 1 after 0.5 ms."""
    requests, chunks = steady_requests(2000)
    requests = [
        msgspec.structs.replace(r, worker=r.index % 2, sent_ns=r.planned_ns + 500_000 * (r.index % 2))
        for r in requests
    ]
    chunks = [chunk._replace(lag_ms=0.25 if chunk.request % 2 else 0.02) for chunk in chunks]
    load = {"max_concurrency": None, "request_rate": 10.0}
    return point(requests, chunks, load=load, workers=2, health=[health(), health(1, **second)])


def summary_of(*tables: PointTable, telemetry: Telemetry | None = None) -> RunSummary:
    return summarize(replace(run(*tables, spec=FIXED), telemetry=telemetry or Telemetry()))


def test_a_row_a_worker_with_its_own_lags() -> None:
    summary = summary_of(two_workers())
    assert client_strip(summary.points[0], "Client") == [
        "Client: 2 workers, kernel receive times, clock error 0.3 us",
        "  worker  CPU %  wait %     send lag ms  receive lag ms    turn ms     backlog  switch/s  RSS",
        "  0 cpu1   60.0     0.5  0.00/0.00/0.00  0.02/0.02/0.02  0.12/25.4  1.5M 0.05s     1,235  85M",
        "  1 cpu2   60.0     0.5  0.50/0.50/0.50  0.25/0.25/0.25  0.12/25.4  1.5M 0.05s     1,235  85M",
        "  lags p50/p99/max, turn p99/max; M = MiB; - not known",
    ]


def test_the_worst_worker_of_a_condition_that_fails_is_marked() -> None:
    summary = summary_of(two_workers(cpu_s=97.0, run_queue_wait_s=12.0, clock_error_ns=200_000))
    lines = client_strip(summary.points[0], "Client", colour=True)
    assert lines[0] == "\x1b[1;31mClient: 2 workers, kernel receive times, clock error 200.0 us!\x1b[0m"
    assert lines[2].startswith("  0 cpu1   60.0     0.5 ")
    assert lines[3].startswith("  1 cpu2  97.0!   12.0! ")
    assert lines[4].endswith("; ! does not hold")
    warned = summary_of(two_workers(run_queue_wait_s=12.0))
    assert client_strip(warned.points[0], "Client", colour=True)[0].startswith("\x1b[1;33mClient: 2 workers")


def test_workers_that_all_had_a_real_time_priority_say_so() -> None:
    def heading(*kinds: bool | None) -> str:
        table = two_workers()
        table.point.health = [health(worker, realtime=kind) for worker, kind in enumerate(kinds)]
        return client_strip(summary_of(table).points[0], "Client")[0]

    assert heading(True, True).startswith("Client: 2 workers at real-time priority, kernel receive times")
    assert heading(True, False) == heading(None, None), "one of them lost it, or had never got it"


def test_a_worker_that_was_lost_is_missed() -> None:
    table = two_workers()
    table.point.health = table.point.health[:1]
    assert "Client: 1 of 2 workers!, kernel receive times" in render_run(summary_of(table))


def test_the_strip_is_of_the_point_on_which_the_client_did_worst() -> None:
    calm, busy, late = two_workers(), two_workers(cpu_s=80.0), two_workers(run_queue_wait_s=12.0)
    tables = [replace(t, point=msgspec.structs.replace(t.point, index=i)) for i, t in enumerate((calm, busy))]
    assert most_strained(summary_of(*tables).points) == 1
    assert most_strained(summary_of(*tables, replace(late, point=msgspec.structs.replace(late.point, index=2)))
                         .points) == 2  # fmt: skip
    assert most_strained(summary_of().points) is None


def samples(worker: int, shares: list[float]) -> Telemetry:
    count = len(shares)
    return Telemetry(
        point=np.full(count, 1),
        at_ns=np.arange(count) * 1_000_000_000,
        source=np.array([f"client/{worker}"] * count, dtype=object),
        name=np.array(["cpu_share"] * count, dtype=object),
        value=np.array(shares),
    )


def test_the_busiest_worker_is_shown_over_time() -> None:
    summary = summary_of(two_workers(cpu_s=70.0), telemetry=samples(1, [0.0, 0.5, 1.0, 1.02]))
    lines = client_strip(summary.points[0], "Client")
    assert lines[-1] == "  CPU of worker 1 over time, 0 to 100 %: | =##|"
    assert summary.points[0].client.each[1].cpu_over_time == [0.0, 0.5, 1.0, 1.02]
    assert summary.points[0].client.each[0].cpu_over_time == []


def test_a_long_run_has_forty_bars_and_no_peak_is_lost() -> None:
    shares = [0.1] * 3600
    shares[1801] = 0.9
    course = summary_of(two_workers(), telemetry=samples(0, shares)).points[0].client.each[0].cpu_over_time
    assert len(course) == 40
    assert [i for i, share in enumerate(course) if share == 0.9] == [20]


def test_bars_have_eight_levels() -> None:
    assert bars([i / 7 for i in range(8)]) == " .:-=+*#"
    assert bars([-0.1, 1.5]) == " #"


def test_no_line_is_wider_than_a_terminal_of_100_columns() -> None:
    wide = two_workers(
        cpu=15, cpu_s=97.0, run_queue_wait_s=12.0, loop_turn_max_s=12.3, backlog_peak_bytes=64 << 20,
        backlog_peak_age_s=12.25, context_switches=12_345_600, rss_peak_bytes=1234 << 20,
    )  # fmt: skip
    assert max(len(line) for line in client_strip(summary_of(wide).points[0], "Client")) <= 100

"""A spike: phases by planned time, and the time until latencies are back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from run_builder import Chunk, point, request

from inferometer.metrics.latency import PointData
from inferometer.metrics.spike import Spike, spike_of
from inferometer.record.tables import PointTable
from inferometer.spec import LoadPoint

PERCENTILES = (50.0, 99.0)


def spiked(ttft_ms: Callable[[float], float], per_s: int = 100, **changes: object) -> PointTable:
    """Ten seconds of arrivals in a row, a spike from 3 s to 4 s; TTFT by planned time in s."""
    load = LoadPoint(
        index=1,
        kind="measure",
        max_concurrency=None,
        request_rate=float(per_s),
        burstiness=float("inf"),
        num_prompts=None,
        duration_s=10.0,
        input_len=None,
        output_len=None,
        seed=0,
        spike=2.0,
        spike_at_s=3.0,
        spike_time_s=1.0,
    )
    times = [n / per_s for n in range(10 * per_s)]
    requests = [
        request(n, planned=at * 1e3, sent=at * 1e3, first_token=at * 1e3 + ttft_ms(at), last_token=at * 1e3 + 200,
                end=at * 1e3 + 201, output_tokens_server=2, status="http_error" if n == 350 else "ok")
        for n, at in enumerate(times)
    ]  # fmt: skip
    chunks = [Chunk(n, at * 1e3 + ttft_ms(at)) for n, at in enumerate(times)]
    return point(requests, chunks, load={**load.to_dict(), **changes})


def found(table: PointTable) -> Spike:
    spike = spike_of(PointData(table), PERCENTILES)
    assert spike is not None
    return spike


def test_phases_go_by_planned_time() -> None:
    spike = found(spiked(lambda at: 50.0 if 3.0 <= at < 4.0 else 10.0))
    assert [phase.requests for phase in (spike.before, spike.during, spike.after)] == [300, 100, 600]
    assert (spike.during.ok, spike.during.stats["ttft_ms"].percentiles["p50"]) == (99, 50.0)
    assert (spike.judged, spike.before_ms, spike.recovery_s) == ("p90_ttft_ms", 10.0, 0.0)


def test_the_time_to_recover_ends_with_the_first_window_that_is_back() -> None:
    """Slow until 2.5 s after the spike. Of the 100 requests from 2.41 s on, 9 are slow, so the p90 is back."""
    spike = found(spiked(lambda at: 50.0 if 3.0 <= at < 6.5 else 10.0))
    assert spike.recovery_s == pytest.approx(2.41, abs=0.015)


def test_the_windows_of_a_long_recovery_are_not_looked_at_in_one() -> None:
    """2.5 s of 1,000 requests per s are more windows than one look has; the first that is back has 10 slow ones."""
    spike = found(spiked(lambda at: 50.0 if 3.0 <= at < 6.5 else 10.0, per_s=1000))
    assert (spike.judged, spike.recovery_s) == ("p99_ttft_ms", pytest.approx(2.49, abs=0.0015))


def test_what_the_client_gave_up_is_no_failure_of_its_phase() -> None:
    table = spiked(lambda at: 10.0)
    table.requests["status"][[10, 20, 360]] = "aborted"
    spike = found(table)
    assert (spike.before.ok, spike.before.failed) == (298, 0)
    assert (spike.during.ok, spike.during.failed) == (98, 1)


def test_what_does_not_come_back_has_no_time() -> None:
    spike = found(spiked(lambda at: 12.0 if at >= 3.0 else 10.0))
    assert spike.recovery_s is None
    assert "had not come back" in spike.reason


def test_too_few_requests_are_told() -> None:
    spike = found(spiked(lambda at: 10.0, per_s=5))
    assert (spike.judged, spike.recovery_s) == (None, None)
    assert spike.reason == "needs 20 requests before the spike and 100 after it"


def test_a_ramp_is_not_what_the_spike_is_held_against() -> None:
    ramp = {"ramp": "linear", "ramp_from": 0.0, "ramp_time_s": 2.0}
    assert found(spiked(lambda at: 10.0, **ramp)).before.requests == 100


def test_there_is_no_spike_where_none_was_asked_for() -> None:
    assert spike_of(PointData(point([request(0, sent=0, end=1)])), PERCENTILES) is None

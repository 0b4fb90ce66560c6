"""What failures say about limits: rates, fixed times, and nothing where nothing can be said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_builder import point, request

from inferometer.metrics.failures import Reading, read_failures
from inferometer.record.types import RequestRecord


def ok(index: int, sent_ms: float, took_ms: float = 100.0) -> RequestRecord:
    return request(index, sent=sent_ms, end=sent_ms + took_ms, http_status=200)


def failed(index: int, sent_ms: float, http_status: int, took_ms: float = 1.0) -> RequestRecord:
    return request(index, sent=sent_ms, end=sent_ms + took_ms, status="http_error", http_status=http_status)


def only(records: list[RequestRecord], **fields: Any) -> Reading:
    (reading,) = read_failures(point(records, **fields))
    return reading


def fixed_window(rate: int, asked: int, seconds: int) -> list[RequestRecord]:
    """``asked`` requests/s at a gateway that lets the first ``rate`` of each of its seconds through."""
    times_ms = np.arange(asked * seconds) * 1000.0 / asked + 300.0  # its seconds are not ours
    seen: dict[int, int] = {}
    records = []
    for index, at_ms in enumerate(times_ms.tolist()):
        second = int(at_ms // 1000)
        seen[second] = seen.get(second, 0) + 1
        records.append(ok(index, at_ms) if seen[second] <= rate else failed(index, at_ms, 429))
    return records


def token_bucket(rate: int, burst: int, asked: int, seconds: int) -> list[RequestRecord]:
    """The same with a limit that refills evenly and allows a burst at first."""
    tokens, records = float(burst), []
    for index in range(asked * seconds):
        tokens = min(float(burst), tokens + rate / asked)
        at_ms = index * 1000.0 / asked
        if tokens >= 1.0:
            tokens -= 1.0
            records.append(ok(index, at_ms))
        else:
            records.append(failed(index, at_ms, 429))
    return records


@pytest.mark.parametrize(
    "records", [fixed_window(100, 180, 6), fixed_window(100, 1000, 5), token_bucket(100, 200, 180, 8)]
)
def test_the_rate_that_a_gateway_lets_through(records: list[RequestRecord]) -> None:
    reading = only(records)
    assert reading.accepted_per_s == pytest.approx(100, rel=0.03)
    assert reading.accepted_in_flight is not None
    assert "let about 1" in reading.meaning
    assert "requests/s through" in reading.meaning
    assert "--request-rate" in reading.next_step


def test_a_limit_of_concurrent_requests_looks_like_one() -> None:
    """Eight at a time, of 200 ms each: the ninth is refused."""
    free_ms, records = [0.0] * 8, []
    for index in range(600):
        at_ms = index * 10.0
        slot = min(range(8), key=lambda each: free_ms[each])
        if free_ms[slot] <= at_ms:
            free_ms[slot] = at_ms + 200.0
            records.append(ok(index, at_ms, 200.0))
        else:
            records.append(failed(index, at_ms, 429))
    reading = only(records)
    assert (reading.accepted_per_s, reading.accepted_in_flight) == (40.0, 8.0)
    assert "always with about 8 of them in flight: the limit may be on either" in reading.meaning


def test_a_few_refusals_say_nothing_of_a_rate() -> None:
    reading = only(
        [*(ok(i, 10.0 * i) for i in range(50)), *(failed(50 + i, 100.0 * i, 429) for i in range(4))]
    )
    assert (reading.count, reading.accepted_per_s) == (4, None)
    assert (
        reading.meaning
        == "HTTP 429: the server, or a gateway in front of it, refuses what is above its limit"
    )


def test_refusals_within_a_second_say_nothing_of_a_rate() -> None:
    assert only([failed(i, float(i), 429) for i in range(100)]).accepted_per_s is None


@pytest.mark.parametrize("stream", [True, False])
def test_calls_that_end_at_a_minute(stream: bool) -> None:
    records = [ok(i, 0.0, 40_000.0 + i) for i in range(20)]
    records += [failed(20 + i, 100.0 * i, 504, 60_000.0 + 7 * i) for i in range(10)]
    (reading,) = read_failures(point(records), stream)
    assert reading.limit_s == pytest.approx(60.03, abs=0.01)
    assert "each time after about 60 s: a limit of about 60 s for a synchronous call" in reading.meaning
    assert ("drop --no-stream" in reading.next_step) is not stream
    assert "shorten" in reading.next_step


@pytest.mark.parametrize(
    "records",
    [
        [failed(i, 0.0, 504, 30_000.0 + 3000.0 * i) for i in range(10)],  # at any time
        [failed(i, 0.0, 504, 60_000.0) for i in range(4)],  # too few
        [
            ok(99, 0.0, 90_000.0),
            *(failed(i, 0.0, 504, 60_000.0) for i in range(10)),
        ],  # a good one took longer
        [failed(i, 0.0, 504, 20.0) for i in range(10)],  # at once, which is no time limit
    ],
)
def test_what_is_no_time_limit(records: list[RequestRecord]) -> None:
    reading = only(records)
    assert reading.limit_s is None
    assert reading.meaning == "HTTP 504: a gateway gave up waiting for the server behind it"


def test_streams_that_are_all_cut_after_the_same_time() -> None:
    cut = [request(i, sent=0.0, end=60_000.0 + i, status="truncated", http_status=200) for i in range(5)]
    reading = only([*cut, ok(5, 0.0)])
    assert (reading.status, reading.http_status, reading.count) == ("truncated", None, 5)
    assert reading.meaning.startswith("answers were cut off about 60 s after they were asked for")


@pytest.mark.parametrize(("code", "word"), [(408, "gave up"), (502, "proper answer"), (503, "queue is full")])
def test_each_status_has_a_meaning_and_a_next_step(code: int, word: str) -> None:
    reading = only([ok(0, 0.0), failed(1, 0.0, code)])
    assert word in reading.meaning
    assert reading.next_step


def test_the_most_frequent_comes_first_and_other_failures_are_left_alone() -> None:
    records = [failed(0, 0.0, 502), *(failed(i, 0.0, 503) for i in range(1, 4)), failed(4, 0.0, 400)]
    assert [(r.http_status, r.count) for r in read_failures(point(records))] == [(503, 3), (502, 1)]


def test_no_requests_no_readings() -> None:
    assert read_failures(point([])) == []

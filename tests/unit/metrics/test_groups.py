"""Groups of requests, and what sessions change: arrivals, permits, caches, what was cut off."""

from __future__ import annotations

import pytest
from run_builder import Chunk, point, request, run

from inferometer.metrics.concurrency import holders, plateau_concurrency
from inferometer.metrics.generator import dispatch_rate
from inferometer.metrics.groups import TURNS_APART
from inferometer.metrics.summary import PointSummary, summarize, summarize_point
from inferometer.record.tables import PointTable
from inferometer.record.types import RequestRecord
from inferometer.spec import Measure


def turn(index: int, number: int, at: float, *, ttft: float = 10.0, **fields: object) -> RequestRecord:
    usual = {
        "turn": number, "session": f"s{index - number}", "planned": at, "sent": at, "first_token": at + ttft,
        "first_answer": at + ttft, "last_token": at + ttft + 20, "end": at + ttft + 21,
        "input_tokens_server": 100, "output_tokens_server": 3, "cached_tokens": 50 * (number > 0),
    }  # fmt: skip
    return request(index, **{**usual, **fields})


def two_sessions(**fields: object) -> PointTable:
    """Turns of 31 ms, and 69 ms of thinking between them; the second session begins when the first has ended."""
    records = [turn(k, k, 100.0 * k, ttft=10.0 + k) for k in range(3)]
    records += [turn(3 + k, k, 300.0 + 100.0 * k, ttft=10.0 + k) for k in range(3)]
    chunks = [
        Chunk(r.index, (r.first_token_ns or 0) / 1e6 + 10 * k, read=k) for r in records for k in range(3)
    ]
    return point(records, chunks, **fields)


def summary_of(table: PointTable) -> PointSummary:
    return summarize_point(table, Measure(percentiles=(50.0,)))


def test_turns_are_told_apart() -> None:
    groups = {group.name: group for group in summary_of(two_sessions()).groups["turn"]}
    assert list(groups) == ["first turn", "later turns", "turn 1", "turn 2", "turn 3"]
    assert [(g.requests, g.ok, g.failed) for g in groups.values()] == [
        (2, 2, 0), (4, 4, 0), (2, 2, 0), (2, 2, 0), (2, 2, 0)
    ]  # fmt: skip
    assert [g.stats["ttft_ms"].mean for g in groups.values()] == pytest.approx([10.0, 11.5, 10.0, 11.0, 12.0])
    assert groups["later turns"].stats["tpot_ms"].mean == pytest.approx(10.0)
    assert [groups[name].cached_tokens for name in ("first turn", "later turns")] == [0.0, 200.0]
    assert groups["later turns"].input_tokens == 400.0


def test_only_the_first_turns_have_a_group_of_their_own() -> None:
    table = point([turn(k, k, 100.0 * k) for k in range(12)])
    names = [group.name for group in summary_of(table).groups["turn"]]
    assert names == ["first turn", "later turns", *(f"turn {n + 1}" for n in range(TURNS_APART))]


def test_requests_that_stand_alone_have_no_groups() -> None:
    assert summary_of(point([turn(0, 0, 0.0)])).groups == {}


def test_models_are_told_apart() -> None:
    records = [turn(k, 0, 100.0 * k, model="lora" if k == 2 else "base", ttft=10.0 + k) for k in range(3)]
    summary = summarize(run(point(records))).points[0]
    found = {g.name: (g.requests, g.stats["ttft_ms"].mean) for g in summary.groups["model"]}
    assert found == {"base": (2, pytest.approx(10.5)), "lora": (1, pytest.approx(12.0))}


def test_a_failed_turn_counts_in_its_group() -> None:
    failed = turn(2, 2, 200.0, status="http_error", first_token=None, last_token=None)
    groups = {
        g.name: g for g in summary_of(point([turn(0, 0, 0.0), turn(1, 1, 100.0), failed])).groups["turn"]
    }
    assert (groups["turn 3"].requests, groups["turn 3"].ok, groups["turn 3"].failed) == (1, 0, 1)
    assert groups["turn 3"].stats == {}


def test_a_permit_is_held_from_the_first_turn_of_a_session_to_the_end_of_its_last() -> None:
    start, end, worker = holders(two_sessions())
    assert (start / 1e6).tolist() == [0.0, 300.0]
    assert (end / 1e6).tolist() == [233.0, 533.0]
    assert worker.tolist() == [0.0, 0.0]
    table = two_sessions(load={"max_concurrency": 1, "request_rate": None, "burstiness": 1.0, "closed": True})
    assert plateau_concurrency(table, 1) == pytest.approx(233 / 300)


def test_the_rate_is_that_of_sessions() -> None:
    rate = dispatch_rate(two_sessions())
    assert rate is not None
    assert rate.planned_per_s == pytest.approx(1 / 0.3)


def test_later_turns_may_come_from_the_cache() -> None:
    names = [condition.name for condition in summary_of(two_sessions()).verdict.failed]
    assert "cached prompt tokens" not in names


def test_a_turn_that_was_never_sent_failed_even_where_time_ended_the_point() -> None:
    records = [
        turn(0, 0, 0.0, status="http_error", first_token=None, last_token=None),
        turn(1, 1, 31.0, status="cancelled", sent=None, first_token=None, last_token=None, end=None),
        turn(2, 0, 100.0, status="cancelled", first_token=None, last_token=None),
    ]
    counts = summary_of(point(records, stop_reason="duration")).counts
    assert (counts.ok, counts.failed, counts.cut_off) == (0, 2, 1)

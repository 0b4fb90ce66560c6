"""Loads that change are held against their curve; requests that were given up count apart."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest
from run_builder import Chunk, point, request

from inferometer.metrics.concurrency import held_ns, plateau
from inferometer.metrics.counts import count_requests
from inferometer.metrics.latency import PointData
from inferometer.metrics.slo import goodput
from inferometer.metrics.summary import summarize_point
from inferometer.metrics.verdict import Condition
from inferometer.metrics.views.vllm import vllm_result
from inferometer.record.tables import PointTable
from inferometer.record.types import RequestRecord, RunMeta
from inferometer.schedule import Schedule, make_schedule
from inferometer.spec import LoadPoint, Measure


def load(**changes: Any) -> LoadPoint:
    fields: dict[str, Any] = {
        "index": 1,
        "kind": "measure",
        "max_concurrency": None,
        "request_rate": None,
        "burstiness": float("inf"),
        "num_prompts": None,
        "duration_s": None,
        "input_len": None,
        "output_len": None,
        "seed": 0,
    }
    return LoadPoint(**{**fields, **changes})


def carried_out(asked: LoadPoint, took_ms: float, sent: Any = lambda ms: ms) -> PointTable:
    """A load point whose answers all take ``took_ms``; ``sent`` says when what was planned at a time went out."""
    schedule: Schedule = make_schedule(asked)
    requests: list[RequestRecord] = []
    ends: list[float] = []
    while True:
        due = schedule.wake_ns()
        if ends and (due is None or ends[0] * 1e6 <= due):
            schedule.release(round(ends.pop(0) * 1e6))
        elif due is not None:
            planned = schedule.take()
            at_ms = sent(planned.planned_ns / 1e6)
            requests.append(
                request(
                    planned.request,
                    planned=planned.planned_ns / 1e6,
                    sent=at_ms,
                    end=at_ms + took_ms,
                    first_token=at_ms + took_ms,
                    last_token=at_ms + took_ms,
                    output_tokens_server=1,
                )
            )
            ends = sorted([*ends, at_ms + took_ms])
        else:
            break
    chunks = [Chunk(each.index, (each.end_ns or 0) / 1e6) for each in requests]
    return point(requests, chunks, load=asked.to_dict())


def condition(table: PointTable, name: str) -> Condition | None:
    found = summarize_point(table, Measure()).verdict.conditions
    return next((each for each in found if each.name == name), None)


RAMP = load(request_rate=50.0, ramp="linear", ramp_from=0.0, ramp_time_s=10.0, duration_s=12.0)
CLIMB = load(max_concurrency=16, ramp="climb", ramp_from=4.0, climb=4.0, climb_every_s=1.0, duration_s=6.0)


def test_a_ramp_that_was_followed() -> None:
    reached = condition(carried_out(RAMP, 30.0), "achieved rate")
    assert reached is not None
    assert reached.ok
    assert reached.asked.startswith("rate 0 to 50 req/s linear")
    assert condition(carried_out(RAMP, 30.0), "shape").ok  # type: ignore[union-attr]


def test_a_peak_that_was_not_reached_does_not_hide_in_the_mean_of_the_ramp() -> None:
    """The client stands still for a second at the end of the ramp, and catches up."""
    late = carried_out(RAMP, 30.0, lambda ms: max(ms, 10_000.0) if ms >= 9000.0 else ms)
    reached = condition(late, "achieved rate")
    assert reached is not None
    assert reached.ok is False


def test_a_climb_that_was_held_and_one_that_was_not() -> None:
    held = condition(carried_out(CLIMB, 40.0), "concurrency")
    assert held is not None
    assert held.ok
    assert held.asked == "concurrency 4 to 16 climb 4 each 1 s, 95 % of it held"
    slow = condition(carried_out(CLIMB, 40.0, lambda ms: ms + 10.0), "concurrency")
    assert slow is not None
    assert slow.ok is False


def test_permits_that_are_withdrawn_while_requests_are_in_flight_are_no_fault() -> None:
    spike = load(max_concurrency=4, spike=3.0, spike_at_s=2.0, spike_time_s=1.0, duration_s=5.0)
    held = condition(carried_out(spike, 700.0), "concurrency")
    assert held is not None
    assert held.ok


def test_a_load_point_that_ends_before_its_ramp_says_so() -> None:
    short = carried_out(
        load(request_rate=50.0, ramp="linear", ramp_from=0.0, ramp_time_s=10.0, num_prompts=50), 5.0
    )
    cut = condition(short, "shape")
    assert cut is not None
    assert (cut.ok, cut.limit, cut.level) == (False, 10.0, "warn")


def test_a_ramp_that_time_ended_is_whole_even_if_its_last_answers_are_long() -> None:
    """Two in flight, 7 s each: nothing more is sent in the last 6 of the 20 seconds."""
    ramp = load(max_concurrency=2, ramp="linear", ramp_from=1.0, ramp_time_s=20.0, duration_s=20.0)
    table = carried_out(ramp, 7000.0)
    assert np.nanmax(table.number("sent_ns")) < 19e9
    table.point.stop_reason = "duration"
    assert condition(table, "shape").ok  # type: ignore[union-attr]
    table.point.stop_reason = "interrupted"
    assert condition(table, "shape").ok is False  # type: ignore[union-attr]


@pytest.mark.parametrize(("took_ms", "held"), [(50.0, True), (0.1, False)])
def test_rounds_have_all_their_requests_in_flight_together(took_ms: float, held: bool) -> None:
    """They are written one after the other, 0.05 ms each: an answer may have come before the last has left."""
    waves, place = load(max_concurrency=8, waves=True, num_prompts=42), count()
    found = condition(carried_out(waves, took_ms, lambda ms: ms + 0.05 * (next(place) % 8)), "concurrency")
    assert found is not None
    assert found.ok is held


@pytest.mark.parametrize(("read_ms", "ok"), [(2.6, True), (12.0, False)])
def test_a_round_has_time_to_be_read_and_written_but_not_any_time(read_ms: float, ok: bool) -> None:
    """64 answers stand in the sockets when the last of a round has come: reading them takes some 0.04 ms each."""
    waves, place = load(max_concurrency=64, waves=True, num_prompts=640), count()
    found = carried_out(waves, 250.0, lambda ms: ms + read_ms + 0.013 * (next(place) % 64))
    sent_in_time = condition(found, "send lag")
    assert sent_in_time is not None
    assert sent_in_time.ok is ok


@pytest.mark.parametrize("reason", ["errors", "saturated"])
def test_a_load_point_that_was_stopped_early_says_so_and_lacks_no_records(reason: str) -> None:
    table = point(
        [request(n, planned=n, sent=n, end=n + 1) for n in range(30)],
        stop_reason=reason,
        planned_requests=1000,
    )
    stopped = condition(table, "stopped early")
    assert stopped is not None
    assert (stopped.ok, stopped.level) == (False, "warn")
    assert condition(table, "records").ok  # type: ignore[union-attr]


def given_up_table() -> PointTable:
    requests = [
        request(n, planned=n, sent=n, first_token=n + 5, last_token=n + 9, end=n + 10, output_tokens_server=4)
        for n in range(38)
    ]
    aborted = [
        request(38, planned=38, sent=38, first_token=40, last_token=41, end=42, status="aborted", error="given up"),
        request(39, planned=42, status="aborted", turn=1, error="not sent"),
    ]  # fmt: skip
    return point([*requests, *aborted])


def test_what_was_given_up_is_neither_a_success_nor_a_failure() -> None:
    table = given_up_table()
    counts = count_requests(table)
    assert (counts.planned, counts.records, counts.ok, counts.failed) == (40, 40, 38, 0)
    assert (counts.given_up, counts.cut_off, counts.failed_share, counts.errors) == (2, 0, 0.0, [])
    summary = summarize_point(table, Measure())
    assert summary.stats["e2el_ms"].count == 38
    for name in ("records", "errors", "usage missing"):
        assert next(each for each in summary.verdict.conditions if each.name == name).ok
    meta = RunMeta(run_id="", state="complete", simulated=False, created_utc="", model="m", spec={})
    assert vllm_result(table, meta)["failed"] == 0


def test_attainment_is_of_the_requests_that_were_not_given_up() -> None:
    reached = goodput(PointData(given_up_table(), slo=("e2el:1000",)))
    assert reached is not None
    assert reached.attainment == 1.0


def test_cut_off_by_a_soft_stop_is_no_failure() -> None:
    requests = [request(n, planned=n, sent=n, end=n + 1) for n in range(5)]
    cut = [request(n, planned=n, sent=n, end=9, status="cancelled") for n in range(5, 9)]
    counts = count_requests(point([*requests, *cut], stop_reason="saturated"))
    assert (counts.cut_off, counts.failed) == (4, 0)
    assert np.isclose(counts.failed_share or 0.0, 0.0)


@pytest.mark.parametrize("asked", [{"request_rate": 50.0}, {"max_concurrency": 4}])
def test_the_steady_window_ends_with_the_spike(asked: dict[str, Any]) -> None:
    spiked = load(**asked, spike=3.0, spike_at_s=20.0, spike_time_s=5.0, duration_s=40.0)
    found = summarize_point(carried_out(spiked, 80.0), Measure()).steady
    assert found is not None
    assert found.window is not None
    assert 15.0 <= found.window.end_s <= 20.0


def test_what_was_cut_off_is_not_what_the_service_carried() -> None:
    """200 requests/s for 10 s at a service that ends 120 a second; the others are cut off together."""
    ends = [(n + 1) / 0.12 for n in range(2000)]
    requests = [
        request(n, planned=5.0 * n, sent=5.0 * n, first_token=min(end, 10_000.0), end=min(end, 10_000.0),
                last_token=min(end, 10_000.0), output_tokens_server=1, status="ok" if end < 10_000.0 else "cancelled")
        for n, end in enumerate(ends)
    ]  # fmt: skip
    table = point(requests, load=load(request_rate=200.0).to_dict(), stop_reason="saturated")
    steady = condition(table, "steady window")
    assert steady is not None
    assert "200 req/s were offered, the service carried about 120" in steady.next_step
    assert "--request-rate 110" in steady.next_step


@pytest.mark.parametrize(("left", "ok"), [(20, True), (31, True), (3, False), (0, False)])
def test_a_share_that_was_not_given_up_is_told(left: int, ok: bool) -> None:
    """A fifth of 100 was asked for; answers in few chunks end before their clients leave."""
    requests = [
        request(n, planned=n, sent=n, end=n + 1, status="aborted" if n < left else "ok") for n in range(100)
    ]
    asked = load(request_rate=50.0, cancel_share=0.2)
    given_up = condition(point(requests, load=asked.to_dict()), "given up")
    assert given_up is not None
    assert (given_up.ok, given_up.level, given_up.measured) == (ok, "warn", left / 100)
    assert condition(point(requests, load=load(request_rate=50.0).to_dict()), "given up") is None


def test_the_steady_window_begins_after_the_ramp() -> None:
    long = load(request_rate=50.0, ramp="linear", ramp_from=0.0, ramp_time_s=10.0, duration_s=40.0)
    found = summarize_point(carried_out(long, 30.0), Measure()).steady
    assert found is not None
    assert found.window is not None
    assert 10.0 <= found.window.start_s < 12.0
    all_ramp = summarize_point(carried_out(replace(long, duration_s=10.0), 30.0), Measure()).steady
    assert all_ramp is not None
    assert all_ramp.window is None
    assert "a ramp up to the last request" in all_ramp.reason
    assert held_ns(carried_out(CLIMB, 40.0)).start_ns == 3e9
    assert plateau(carried_out(CLIMB, 40.0), 16).start_ns >= 3e9  # type: ignore[union-attr]
    assert held_ns(point([request(0, sent=0, end=1)])) == (0.0, float("inf"))

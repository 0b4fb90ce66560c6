"""The steady window of load points whose true throughput is known by arithmetic; why there is none; by hand."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from batch_server import Lengths, Load, Server, even, measure
from run_builder import point, steady_requests

from inferometer.metrics.bootstrap import Interval
from inferometer.metrics.latency import PointData
from inferometer.metrics.slo import judge_point
from inferometer.metrics.steady import Steady, steady_of
from inferometer.metrics.summary import summarize_point
from inferometer.metrics.throughput import output_throughput
from inferometer.metrics.verdict import Condition
from inferometer.record.tables import PointTable
from inferometer.spec import Measure

SERVER = Server()
QUICK = Server(prefill_s=0.01)
EVEN = even(20, 200)
MEAN = 110.0


def closed(seed: int, count: int = 1000, lengths: Lengths = EVEN) -> PointTable:
    return measure(SERVER, Load(16, lengths(np.random.default_rng(seed), count)), seed)


def opened(seed: int, rate: float, count: int, server: Server | None = None) -> PointTable:
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1 / rate, count))
    return measure(server or Server(batch=64), Load(None, EVEN(rng, count), arrivals_s=arrivals), seed)


def changed(table: PointTable, **columns: np.ndarray) -> PointTable:
    return PointTable(table.point, {**table.requests, **columns}, table.chunks)


def condition(table: PointTable, measure: Measure | None = None) -> Condition:
    verdict = summarize_point(table, measure or Measure()).verdict
    return next(c for c in verdict.conditions if c.name == "steady window")


def throughput(found: Steady) -> float:
    assert found.output_throughput is not None, found.reason
    return found.output_throughput.per_s


def interval_of(found: Steady) -> Interval:
    assert found.output_throughput is not None, found.reason
    assert found.output_throughput.interval is not None
    return found.output_throughput.interval


def ramped(seed: int) -> PointTable:
    """A closed loop of 16 whose ramp and tail are about 30 % of its time."""
    return measure(QUICK, Load(16, EVEN(np.random.default_rng(seed), 500), ramp_s=1.6), seed)


def test_a_closed_loop_with_ramp_and_tail_gives_the_rate_of_the_service() -> None:
    truth, covered = QUICK.tokens_per_s(16, MEAN), 0
    for seed in range(200):
        data = PointData(ramped(seed))
        found, whole = steady_of(data), output_throughput(data)
        assert throughput(found) == pytest.approx(truth, rel=0.01)
        assert whole is not None
        assert whole < 0.92 * truth
        interval = interval_of(found)
        assert interval.half_width < 0.02 * truth
        covered += interval.low <= truth <= interval.high
    assert 180 <= covered <= 198


def test_an_open_loop_carries_what_is_offered_and_its_interval_says_how_sure_that_is() -> None:
    truth, covered, rates = 3 * MEAN, 0, []
    for seed in range(60):
        found = steady_of(PointData(opened(seed, 3.0, 400)))
        if found.window is not None:
            rates.append(throughput(found))
            covered += interval_of(found).low <= truth <= interval_of(found).high
    # Now and then chance makes arrivals look like a change of level, and no window is found.
    assert len(rates) >= 58
    assert np.mean(rates) == pytest.approx(truth, rel=0.02)
    assert covered >= 0.9 * len(rates)


def test_the_three_phases_add_up_to_the_load_point() -> None:
    data = PointData(ramped(0))
    phases = steady_of(data).phases
    assert [phase.name for phase in phases] == ["ramp", "steady", "tail"]
    assert sum(phase.share for phase in phases) == pytest.approx(1.0)
    tokens = [(p.output_tokens_per_s or 0.0) * p.span.length_s for p in phases]
    # The very first token has no time in which it was made.
    assert sum(tokens) == pytest.approx(data.output_tokens.sum(), rel=1e-4)
    ramp, steady, tail = (phase.output_tokens_per_s or 0.0 for phase in phases)
    assert ramp < 0.8 * steady
    assert tail < 0.9 * steady


def test_input_tokens_and_requests_count_by_their_share_of_time() -> None:
    found = steady_of(PointData(closed(1)))
    rates = (found.input_throughput, found.request_throughput, found.total_throughput)
    inputs, requests, total = (rate.per_s for rate in rates if rate is not None)
    assert inputs == pytest.approx(100 * requests)
    assert total == pytest.approx(inputs + throughput(found))
    assert requests * MEAN == pytest.approx(throughput(found), rel=0.03)


def test_waves_of_equal_lengths_are_a_steady_state() -> None:
    found = steady_of(PointData(closed(2, 400, even(110, 110))))
    assert throughput(found) == pytest.approx(SERVER.tokens_per_s(16, MEAN), rel=0.01)
    assert found.request_throughput is not None
    assert found.request_throughput.per_s == pytest.approx(throughput(found) / MEAN, rel=0.01)
    assert not found.drifts


@pytest.mark.parametrize(("count", "words"), [(12, "do not outlast the first 16"), (24, "had to pass")])
def test_a_short_load_point_says_so(count: int, words: str) -> None:
    found = steady_of(PointData(closed(3, count)))
    assert found.window is None
    assert found.needs_requests is None
    assert found.reason.startswith("too short: ")
    assert words in found.reason
    assert "--num-prompts" in found.next_step


def test_a_window_of_few_requests_has_no_interval_but_says_what_it_needs() -> None:
    found = steady_of(PointData(closed(4, 64)))
    assert found.window is not None
    assert found.lives < 3
    assert found.output_throughput is not None
    assert found.output_throughput.interval is None
    assert found.needs_requests
    assert 20 < found.needs_requests < 200


def test_more_is_offered_than_the_service_carries() -> None:
    found = steady_of(PointData(opened(5, 40.0, 600)))
    assert found.window is None
    assert found.reason.startswith("in flight grew until the end")
    assert "service carried about 15" in found.reason
    assert "--request-rate 1" in found.next_step


def test_all_sent_at_once_holds_no_load() -> None:
    table = measure(SERVER, Load(None, EVEN(np.random.default_rng(6), 50), arrivals_s=np.zeros(50)), 6)
    assert "sent at once" in steady_of(PointData(table)).reason


def test_a_service_that_becomes_slower_midway_never_settled() -> None:
    server = Server(pace=lambda at_s: 1.0 if at_s < 90 else 1.25)
    table = measure(server, Load(16, EVEN(np.random.default_rng(7), 1000)), 7)
    found = steady_of(PointData(table))
    assert found.window is None
    assert found.reason.startswith("throughput never settled")
    verdict = condition(table)
    assert verdict.ok is False
    assert verdict.next_step.startswith(found.reason)


@pytest.mark.parametrize(("prefill_s", "length", "count"), [(0.03, 32, 60), (0.002, 32, 60), (0.05, 100, 48)])
def test_waves_of_few_requests_are_too_short_and_no_fault_of_the_server(
    prefill_s: float, length: int, count: int
) -> None:
    table = measure(Server(prefill_s=prefill_s, step_s=0.006), Load(16, np.full(count, length)), 1)
    found = steady_of(PointData(table))
    assert found.window is None
    assert found.reason.startswith("too short: ")
    assert "times as long as a request" in found.reason
    assert "--num-prompts" in found.next_step


def test_what_is_left_out_for_its_other_level_is_told() -> None:
    server = Server(pace=lambda at_s: 1.0 if at_s < 140 else 1.25)
    found = steady_of(PointData(measure(server, Load(16, EVEN(np.random.default_rng(8), 1000)), 8)))
    assert throughput(found) == pytest.approx(SERVER.tokens_per_s(16, MEAN), rel=0.02)
    assert "%" in found.left_out
    assert "-1" in found.left_out


@pytest.mark.parametrize(("slower", "drifts"), [(0.0, False), (0.01, False), (0.06, True)])
def test_only_a_drift_of_some_size_is_one(slower: float, drifts: bool) -> None:
    server = Server(pace=lambda at_s: 1.0 + slower * at_s / 660)
    table = measure(server, Load(16, EVEN(np.random.default_rng(9), 4000)), 9)
    found = steady_of(PointData(table))
    assert found.drift is not None
    assert found.drifts is drifts
    assert condition(table).ok is not drifts
    if drifts:
        assert found.drift.change == pytest.approx(-0.06, abs=0.02)


def test_a_window_by_hand_is_taken_as_it_is() -> None:
    found = steady_of(PointData(closed(10), steady_window="30s-2m"))
    assert found.by_hand
    assert found.window is not None
    assert (found.window.start_s, found.window.end_s) == (30.0, 120.0)
    late = steady_of(PointData(closed(10), steady_window="1h-2h"))
    assert late.window is None
    assert "the load point took" in late.reason


def test_it_can_be_left_out() -> None:
    table = closed(11, 100)
    assert steady_of(PointData(table, steady_window="off")).window is None
    off = condition(table, Measure(steady_window="off"))
    assert off.ok is None
    assert "--steady-window off" in off.next_step


def test_tokens_that_are_not_known_leave_only_their_rates_out() -> None:
    table = closed(12, 400)
    unknown = np.full(400, np.nan)
    found = steady_of(PointData(changed(table, output_tokens_server=unknown)))
    assert found.window is not None
    assert found.output_throughput is None
    assert found.total_throughput is None
    assert found.request_throughput is not None
    assert found.input_throughput is not None


@pytest.mark.parametrize("known", [True, False])
def test_answers_in_one_piece_are_in_the_making_until_they_end(known: bool) -> None:
    """Waves of four, 0.2 ms apart: counted at their ends, three of four answers would come in no time."""
    row, tokens = np.arange(40), np.full(40, 32.0 if known else np.nan)
    sent_ns = (row // 4 * 173.7 + row % 4 * 0.2) * 1e6
    waves = changed(
        measure(SERVER, Load(4, np.full(40, 32)), 1), streamed=np.zeros(40), output_tokens_server=tokens,
        planned_ns=sent_ns, sent_ns=sent_ns, end_ns=sent_ns + 173.5e6, last_token_ns=sent_ns + 173.5e6,
    )  # fmt: skip
    chunks = {name: column[:0] for name, column in waves.chunks.items()}
    found = steady_of(PointData(PointTable(waves.point, waves.requests, chunks)))
    assert found.request_throughput is not None
    assert found.request_throughput.per_s == pytest.approx(4 / 0.1737, rel=0.001)
    assert not found.drifts
    assert found.needs_requests == 0
    if known:
        assert throughput(found) == pytest.approx(4 * 32 / 0.1737, rel=0.001)
        assert interval_of(found).half_width < 0.001 * throughput(found)


def test_chunks_of_unknown_count_share_what_their_request_has_left() -> None:
    table = closed(13, 400)
    chunks = {**table.chunks, "tokens": np.full(len(table.chunks["tokens"]), np.nan)}
    blind = steady_of(PointData(PointTable(table.point, table.requests, chunks)))
    assert throughput(blind) == pytest.approx(throughput(steady_of(PointData(table))))


def test_requests_that_the_end_cut_off_were_served_until_then() -> None:
    """Ended by its time limit, a load point gives the window what the server made for those that did not end."""
    table = closed(14, 400)
    end_ns, last_ns = table.number("end_ns"), 60e9
    began, cut = table.number("sent_ns") < last_ns, end_ns > last_ns
    status = np.where(cut, "cancelled", "ok").astype(object)[began]
    seen = table.chunks["recv_ns"] <= last_ns
    requests = {name: column[began] for name, column in table.requests.items()}
    requests |= {"status": status, "end_ns": np.minimum(end_ns, last_ns)[began]}
    point = msgspec.structs.replace(table.point, stop_reason="duration", planned_requests=None)
    found = steady_of(PointData(PointTable(point, requests, {k: v[seen] for k, v in table.chunks.items()})))
    assert throughput(found) == pytest.approx(SERVER.tokens_per_s(16, MEAN), rel=0.03)


def test_latencies_are_of_requests_that_began_or_were_inside() -> None:
    table = closed(15)
    found = steady_of(PointData(table))
    assert found.window is not None
    sent_s, end_s = table.number("sent_ns") / 1e9, table.number("end_ns") / 1e9
    began = (sent_s >= found.window.start_s) & (sent_s < found.window.end_s)
    assert found.stats["ttft_ms"].count == began.sum()
    assert found.stats["e2el_ms"].count == (began & (end_s < found.window.end_s)).sum()


def test_a_limit_may_be_on_the_steady_twin() -> None:
    limits = ("steady_output_throughput>=650", "steady_request_throughput>=100")
    met = judge_point(PointData(closed(16), "planned", limits))
    assert [result.met for result in met] == [True, False]
    short = judge_point(PointData(closed(16, 12), "planned", limits))
    assert short[0].met is None
    assert short[0].reason.startswith("too short")


def test_a_faultless_run_of_one_at_a_time_is_steady() -> None:
    found = steady_of(PointData(point(*steady_requests(200))))
    assert throughput(found) == pytest.approx(30.0, rel=1e-3)
    assert found.needs_requests == 0
    assert not found.drifts
    assert not found.left_out

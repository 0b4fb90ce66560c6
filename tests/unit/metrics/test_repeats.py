"""Repeats of a load as one row: figures over all of them, intervals, and repeats that differ."""

import numpy as np
import pytest
from run_builder import point, request, run, steady_requests

from inferometer.metrics.latency import PointData
from inferometer.metrics.rows import Estimate, measured_rows, rows_of
from inferometer.metrics.series import samples_of
from inferometer.metrics.summary import summarize

LOAD = {"max_concurrency": 1, "request_rate": None, "burstiness": 1.0, "closed": True}


def repeat(number, *, count=60, slow=1.0, index=None, load=LOAD, seed=1):
    """One request after another of about 100 ms each, 3 tokens, TTFT 30 ms and TPOT 30 ms; ``slow`` times as long."""
    rng = np.random.default_rng(seed + number)
    at, requests = 0.0, []
    for i in range(count):
        step = slow * 30 * rng.uniform(0.95, 1.05)
        requests.append(
            request(i, planned=at, sent=at, first_token=at + step, first_answer=at + step, last_token=at + 3 * step,
                    end=at + 3 * step, input_tokens_server=8, output_tokens_server=3, output_tokens_target=3,
                    finish_reason="length")
        )  # fmt: skip
        at += 3 * step
    own = {**load, "index": index or number, "repeat": number, "seed": 100 + number}
    return point(requests, index=index or number, load=own)


def rows(*tables, **settings):
    samples = [samples_of(PointData(table)) for table in tables]
    return measured_rows(samples, (50.0, 90.0, 99.0), **settings)


def test_what_differs_between_repeats_is_not_part_of_the_load():
    found = rows_of(
        [
            (1, {"max_concurrency": 1, "repeat": 1, "seed": 5}),
            (2, {"max_concurrency": 1, "repeat": 2, "seed": 9}),
        ]
    )
    assert [(row.load, row.points) for row in found] == [({"max_concurrency": 1}, [1, 2])]


def test_repeats_give_one_row_with_intervals_over_them():
    (row,) = rows(repeat(1), repeat(2), repeat(3))
    assert row.points == [1, 2, 3]
    throughput = row.estimates["request_throughput_per_s"]
    own = [60 / (t.number("end_ns").max() / 1e9) for t in (repeat(1), repeat(2), repeat(3))]
    assert throughput.mean == pytest.approx(np.mean(own))
    assert throughput.spread == pytest.approx(np.std(own, ddof=1) / np.mean(own))
    assert throughput.repeats == 3
    assert throughput.low < 1000 / 90 < throughput.high
    assert throughput.half_width < 0.05 * throughput.mean
    assert row.estimates["output_throughput_per_s"].mean == pytest.approx(3 * np.mean(own))
    pooled = np.concatenate([PointData(repeat(k)).ttft_ms for k in (1, 2, 3)])
    assert row.estimates["ttft_ms.p90"].mean == pytest.approx(np.percentile(pooled, 90)), (
        "of 180 requests together"
    )
    assert "ttft_ms.p99" not in row.estimates, "1,000 are needed"
    assert row.differing == []
    assert rows(repeat(1), repeat(2), repeat(3)) == [row], "the same every time"


def test_one_repeat_does_not_know_how_another_would_differ():
    (row,) = rows(repeat(1))
    throughput = row.estimates["request_throughput_per_s"]
    own = 60 / (repeat(1).number("end_ns").max() / 1e9)
    assert throughput == Estimate(mean=pytest.approx(own), low=None, high=None, repeats=1)
    assert throughput.half_width is None


def test_the_throughput_of_repeats_is_the_mean_of_theirs_however_long_each_was():
    (row,) = rows(repeat(1, count=20), repeat(2, slow=2.0, count=100))
    own = [count / (repeat(k, slow=slow, count=count).number("end_ns").max() / 1e9)
           for k, slow, count in ((1, 1.0, 20), (2, 2.0, 100))]  # fmt: skip
    throughput = row.estimates["request_throughput_per_s"]
    assert throughput.mean == pytest.approx(np.mean(own))
    assert throughput.half_width == pytest.approx(12.706 * abs(own[0] - own[1]) / 2, rel=1e-4)


def test_repeats_of_another_spread_are_covered_and_equal_ones_not_called_different():
    """Loads of two and three repeats whose true speed changes from repeat to repeat by 5 %, and by nothing."""
    for repeats in (2, 3):
        covered, named = 0, 0
        for seed in range(20):
            drawn = np.random.default_rng(seed).normal(1.0, 0.05, repeats)
            (row,) = rows(*(repeat(k + 1, slow=drawn[k], seed=10 * seed, count=24) for k in range(repeats)))
            ttft = row.estimates["ttft_ms.mean"]
            covered += ttft.low <= 30.0 <= ttft.high
            (alike,) = rows(*(repeat(k + 1, seed=10 * seed, count=24) for k in range(repeats)))
            named += bool(alike.differing)
        assert covered >= 18
        assert named <= 1


def test_a_repeat_that_stands_apart_is_named():
    (row,) = rows(repeat(1), repeat(2, slow=1.3), repeat(3))
    assert {one.repeat for one in row.differing} == {2}
    ttft = next(one for one in row.differing if one.key == "ttft_ms.p50")
    assert ttft.value == pytest.approx(39, rel=0.02)
    assert ttft.others == pytest.approx(30, rel=0.02)


def test_a_difference_below_one_percent_is_none():
    (row,) = rows(point(*steady_requests(60)), point(*steady_requests(60, gap_ms=100.2), index=2))
    assert row.differing == []


def test_rows_stand_by_time_or_by_load():
    tables = [repeat(1, index=i + 1, load={**LOAD, "max_concurrency": c}) for i, c in enumerate((8, 1, 4))]
    assert [row.load["max_concurrency"] for row in rows(*tables)] == [8, 1, 4]
    assert [row.load["max_concurrency"] for row in rows(*tables, sort=True)] == [1, 4, 8]


def test_requests_that_end_together_are_no_chance():
    """Four in flight, in step: counted at their ends, throughput would come in pulses."""
    requests = [
        request(i, planned=100 * (i // 4), sent=100 * (i // 4), first_token=100 * (i // 4) + 50, first_answer=0,
                last_token=100 * (i // 4 + 1), end=100 * (i // 4 + 1), input_tokens_server=8, output_tokens_server=3)
        for i in range(80)
    ]  # fmt: skip
    (row,) = rows(point(requests), point(requests, index=2))
    throughput = row.estimates["request_throughput_per_s"]
    assert throughput.mean == pytest.approx(40.0)
    assert throughput.half_width == pytest.approx(0.0, abs=0.01)


def test_the_run_warns_when_repeats_disagree_and_knows_what_serves():
    spec = {"sweep": {"nodes_served": 2, "devices_served": 16}, "sampling": {"ignore_eos": True}}
    summary = summarize(run(repeat(1), repeat(2, slow=1.3), repeat(3), spec=spec))
    judged = {condition.name: condition for condition in summary.verdict.conditions}
    assert judged["throughput of repeats"].ok is False
    assert (
        judged["throughput of repeats"].measured
        == summary.rows[0].estimates["output_throughput_per_s"].spread
    )
    assert judged["latency of repeats"].ok is False
    assert summary.verdict.word == "WARN"
    whole = summary.rows[0].estimates["output_throughput_per_s"]
    assert summary.rows[0].estimates["output_throughput_per_node_per_s"].mean == pytest.approx(whole.mean / 2)
    (first, *_) = summary.points
    assert first.values["output_throughput_per_device_per_s"] == first.values["output_throughput_per_s"] / 16
    agreeing = summarize(run(repeat(1), repeat(2), repeat(3), spec=spec)).verdict.conditions
    assert {c.name: c.ok for c in agreeing if "of repeats" in c.name} == {
        "throughput of repeats": True, "latency of repeats": True
    }  # fmt: skip
    single = summarize(run(repeat(1), spec=spec)).verdict.conditions
    assert not [c for c in single if "of repeats" in c.name]

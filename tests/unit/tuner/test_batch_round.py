"""One static batch: the formulas of performance_maxbs, worked out by hand, and what makes a batch none."""

from __future__ import annotations

import msgspec
import pytest
from run_builder import Chunk, point, request
from services import broken

from inferometer.metrics.summary import PointSummary, summarize_point
from inferometer.metrics.targets import BatchRound
from inferometer.spec import Measure, Sampling
from inferometer.tuner.batch_round import BatchCase, BatchLimit, read_round

CASE = BatchCase(input_tokens=8, output_tokens=5)


def summary(*firsts_and_steps: tuple[float, float], rounds: int = 1, **measure: object) -> PointSummary:
    """Requests sent together at 0, 1000, ... ms: first token and time per token in ms, five tokens each."""
    requests, chunks = [], []
    for index, (first, step) in enumerate(firsts_and_steps * rounds):
        begin = 1000.0 * (index // len(firsts_and_steps))
        last = begin + first + 4 * step
        requests.append(
            request(index, planned=begin, sent=begin, first_token=begin + first, first_answer=begin + first,
                    last_token=last, end=last, input_tokens_server=8, output_tokens_server=5,
                    output_tokens_target=5, finish_reason="length")
        )  # fmt: skip
        chunks += [Chunk(index, begin + first + step * k, read=k) for k in range(5)]
    return summarize_point(point(requests, chunks), Measure(**measure), Sampling(ignore_eos=True))


def read(found: PointSummary, limit: BatchLimit, batch: int = 2) -> BatchRound:
    return read_round(found, batch, 1, CASE, limit)


def test_the_figures_of_a_batch_are_those_of_performance_maxbs() -> None:
    entry = read(summary((100.0, 20.0), (120.0, 16.0)), BatchLimit(20.0))

    assert (entry.met, entry.carried, entry.remark) == (True, True, None)
    assert entry.total_time_s == pytest.approx(0.184)  # the later end: 120 + 4 x 16
    assert entry.prefill_all_ms == pytest.approx(120.0)
    assert entry.prefill_average_ms == pytest.approx(110.0)
    assert entry.non_first_token_ms == pytest.approx(18.0)
    assert entry.non_first_token_throughput == pytest.approx(2 / 0.018)
    assert entry.e2e_throughput == pytest.approx(2 * 5 / 0.184)


def test_of_several_rounds_the_total_time_is_that_of_one() -> None:
    entry = read(summary((100.0, 20.0), (120.0, 16.0), rounds=2), BatchLimit(20.0))

    assert entry.total_time_s == pytest.approx((1.0 + 0.184) / 2)


def test_a_batch_above_the_limit_is_too_slow() -> None:
    entry = read(summary((100.0, 20.0), (120.0, 16.0)), BatchLimit(17.9))

    assert (entry.met, entry.carried) == (False, True)


@pytest.mark.parametrize(
    ("statistic", "expected"), [("mean-tpot", 18.0), ("p90-tpot", 20.0), ("median-itl", 20.0)]
)
def test_too_few_values_for_a_percentile_give_the_largest(statistic: str, expected: float) -> None:
    entry = read(summary((100.0, 20.0), (120.0, 16.0)), BatchLimit(50.0, statistic))

    assert entry.non_first_token_ms == pytest.approx(expected)


def test_a_percentile_that_was_not_computed_is_no_evidence() -> None:
    entry = read(summary((100.0, 20.0), (120.0, 16.0), percentiles=(99.0,)), BatchLimit(50.0, "p90-tpot"))

    assert (entry.met, entry.non_first_token_ms) == (None, None)
    assert entry.remark is not None
    assert "--percentiles" in entry.remark


def test_who_waits_for_the_place_of_another_is_not_in_its_batch() -> None:
    entry = read(summary((100.0, 20.0), (181.0, 20.0)), BatchLimit(50.0))

    assert (entry.met, entry.carried) == (False, False)
    assert entry.remark is not None
    assert entry.remark.startswith(
        "not decoded all at once: a request had its first token after another had its last"
    )


def test_who_was_put_aside_ends_too_late() -> None:
    entry = read(summary((100.0, 20.0), (110.0, 40.0)), BatchLimit(50.0))

    assert (entry.met, entry.carried) == (False, False)
    assert entry.remark is not None
    assert "requests ended up to 90 ms apart, their first tokens were 10 ms apart" in entry.remark


def test_failures_are_the_end_of_a_batch_whatever_its_times() -> None:
    entry = read(
        msgspec.structs.replace(summary((100.0, 20.0), (100.0, 20.0)), **broken("errors")), BatchLimit(50.0)
    )

    assert (entry.met, entry.carried, entry.remark) == (False, False, "errors: see there")


@pytest.mark.parametrize("condition", ["send lag", "receive lag", "client CPU", "streamed"])
def test_a_client_that_was_late_proves_nothing(condition: str) -> None:
    entry = read(
        msgspec.structs.replace(summary((100.0, 20.0), (100.0, 20.0)), **broken(condition)), BatchLimit(50.0)
    )

    assert (entry.met, entry.carried, entry.remark) == (None, False, f"{condition}: see there")


@pytest.mark.parametrize(("lag_ms", "met"), [(8.0, True), (12.0, None)])
def test_the_time_to_send_a_batch_counts_where_it_is_a_part_of_the_answer_time(
    lag_ms: float, met: bool | None
) -> None:
    late = broken("send lag", measured=lag_ms)  # the mean E2EL is 180 ms

    entry = read(msgspec.structs.replace(summary((100.0, 20.0), (100.0, 20.0)), **late), BatchLimit(50.0))

    assert entry.met is met


def test_half_a_batch_proves_nothing() -> None:
    entry = read(summary((100.0, 20.0), (100.0, 20.0)), BatchLimit(50.0), batch=4)

    assert (entry.met, entry.remark) == (None, "only 2 of 4 requests were sent")

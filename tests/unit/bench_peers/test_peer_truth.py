from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from peers.cases import Case
from peers.results import Gaps
from peers.truth import truth_of

MS = 1_000_000


class Request(NamedTuple):
    received_ns: int
    sent_ns: NDArray[np.int64]


def request(received_ms: int, *sent_ms: int) -> Request:
    return Request(received_ms * MS, np.array(sent_ms, np.int64) * MS)


LOG = {
    "a": request(1000, 1050, 1070, 1090),
    "b": request(1010, 1070, 1100, 1170),
    "cut off": request(1020, 1090, 1180),
    "not answered": request(1030),
}
CLOSED = Case("closed", "", requests=2, tokens=3, streams=2, itl_ms=20.0)
FLOOD = Case("flood", "", requests=2, tokens=3, streams=2)
OPEN = Case("open", "", requests=2, tokens=3, rate=100.0)


def test_counts_what_was_answered_to_the_end() -> None:
    truth = truth_of(LOG, CLOSED, Gaps.CHUNKS)
    assert truth is not None
    assert (truth.requests, truth.events, truth.span_s) == (2, 8, pytest.approx(0.17))
    assert truth.requests_per_s == pytest.approx(2 / 0.17)
    assert truth.events_per_s == pytest.approx(7 / 0.17), "one chunk left after the last whole answer"
    assert (truth.ttft.mean, truth.ttft.p50) == (55.0, 55.0)


def test_ends_with_the_last_answer_that_the_tool_counts() -> None:
    truth = truth_of(LOG, CLOSED, Gaps.CHUNKS, completed=1)
    assert truth is not None
    assert (truth.requests, truth.events, truth.span_s) == (1, 8, pytest.approx(0.09))
    assert truth.events_per_s == pytest.approx(5 / 0.09)
    assert truth.ttft.mean == 50.0


def test_the_rate_of_an_open_loop_is_that_of_arrivals() -> None:
    truth = truth_of(LOG, OPEN, Gaps.CHUNKS)
    assert truth is not None
    assert truth.requests_per_s == pytest.approx(1 / 0.01)


@pytest.mark.parametrize(
    ("gaps", "mean", "p50"),
    [
        (Gaps.CHUNKS, (20 + 20 + 30 + 70) / 4, 25.0),
        (Gaps.STEPS, (20 + 20 + 30 + 70) / 4, 25.0),
        (Gaps.FRAMES, (20 + 20 + 30 + 70) / 8, 10.0),  # two more of 0 for each of two requests
        (Gaps.REQUESTS, (20 + 50) / 2, 35.0),
    ],
)
def test_the_same_statistic_as_the_tool_that_is_judged(gaps: Gaps, mean: float, p50: float) -> None:
    truth = truth_of(LOG, CLOSED, gaps)
    assert truth is not None
    assert (truth.itl.mean, truth.itl.p50) == (pytest.approx(mean), p50)


def test_no_server_knows_the_gaps_between_the_reads_of_a_flood() -> None:
    steps, chunks = (truth_of(LOG, FLOOD, gaps) for gaps in (Gaps.STEPS, Gaps.CHUNKS))
    assert steps is not None
    assert chunks is not None
    assert (steps.itl.mean, steps.ttft) == (None, chunks.ttft)
    assert chunks.itl.mean == 35.0


def test_nothing_answered_to_the_end_has_no_statistics() -> None:
    truth = truth_of({"cut off": LOG["cut off"]}, CLOSED, Gaps.CHUNKS)
    assert truth is not None
    assert (truth.requests, truth.events, truth.ttft.mean, truth.itl.mean) == (0, 2, None, None)


def test_nothing_answered_is_no_truth() -> None:
    assert truth_of({"none": LOG["not answered"]}, CLOSED, Gaps.CHUNKS) is None

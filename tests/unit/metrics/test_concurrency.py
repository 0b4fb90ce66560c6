import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_builder import point, request

from inferometer.metrics.concurrency import (
    Window,
    concurrency_mean,
    concurrency_peak,
    mean_in_flight,
    peak_in_flight,
    plateau,
)

span = st.tuples(st.integers(0, 50), st.integers(1, 50)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(span, min_size=1, max_size=30), st.integers(0, 90), st.integers(1, 30))
def test_mean_and_peak_agree_with_counting_at_every_moment(
    spans: list[tuple[int, int]], at: int, length: int
) -> None:
    start, end = (np.array(side, dtype=float) for side in zip(*spans, strict=True))
    level = [sum(a <= t < b for a, b in spans) for t in range(150)]
    assert peak_in_flight(start, end) == max(level)
    assert mean_in_flight(start, end, Window(at, at + length)) == pytest.approx(
        np.mean(level[at : at + length])
    )


def test_nothing_in_flight_has_no_mean_and_no_peak() -> None:
    empty = point([request(0, status="connect_error")])
    assert concurrency_mean(empty) is None
    assert concurrency_peak(empty) is None
    assert mean_in_flight(np.array([1.0]), np.array([2.0]), Window(3, 3)) is None


def test_a_request_without_an_end_is_in_flight_until_the_last_known_moment() -> None:
    table = point([request(0, sent=0, end=10), request(1, sent=0, status="cancelled")])
    assert concurrency_mean(table) == 2.0


def test_the_plateau_ends_when_the_first_worker_has_sent_all() -> None:
    sent = [(0, 0), (1, 1), (10, 0), (11, 1), (20, 0)]
    table = point([request(i, sent=at, end=at + 10, worker=w) for i, (at, w) in enumerate(sent)])
    assert plateau(table, 2) == Window(1e6, 11e6)
    assert plateau(table, 5) is None

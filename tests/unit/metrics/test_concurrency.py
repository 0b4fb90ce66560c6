import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_builder import point, request

from inferometer.metrics.concurrency import (
    Window,
    concurrency_mean,
    concurrency_peak,
    holders,
    mean_in_flight,
    peak_in_flight,
    plateau,
    plateau_concurrency,
)
from inferometer.metrics.curves import in_flight_during

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
    table = point([request(i, sent=at, end=at + 10, worker=w) for i, (at, w) in enumerate(sent)], workers=2)
    assert plateau(table, 2) == Window(1e6, 11e6)
    assert plateau(table, 5) is None


def test_the_plateau_starts_when_the_last_worker_has_sent_its_share() -> None:
    """Worker 0 holds two of three permits and is in its second round when worker 1 sends its first request."""
    sent = [(0, 0), (1, 0), (7, 1), (5, 0), (6, 0), (12, 1), (20, 0)]
    table = point([request(i, sent=at, end=at + 5, worker=w) for i, (at, w) in enumerate(sent)], workers=2)
    assert plateau(table, 3) == Window(7e6, 12e6)
    alone = point([request(i, sent=at, end=at + 5) for i, (at, _) in enumerate(sent)])
    assert plateau(alone, 3) == Window(5e6, 20e6)


def test_there_is_no_plateau_while_a_worker_is_missing() -> None:
    table = point([request(i, sent=i, end=i + 5) for i in range(9)], workers=2)
    assert plateau(table, 2) is None


def test_more_workers_than_permits_have_no_part_in_the_plateau() -> None:
    table = point([request(i, sent=i, end=i + 1) for i in range(4)], workers=3)
    assert plateau(table, 1) == Window(0, 3e6)


def test_a_session_that_was_to_go_on_when_the_point_ended_is_under_way_until_then() -> None:
    """Two permits; the second session has not said its last word when time is up, and the fourth has failed."""
    turns = [
        request(0, sent=0, end=2, turns_left=1),
        request(1, sent=5, end=8, turn=1),
        request(2, sent=1, end=3, turns_left=3),
        request(6, sent=8, end=9, turns_left=1),
        request(7, sent=10, end=12, turn=1),
        request(8, sent=12, end=14, turns_left=1, status="http_error"),
        request(10, sent=14, end=20),
    ]
    start, end, _ = holders(point(turns))
    assert start.tolist() == [0, 1e6, 8e6, 12e6, 14e6]
    assert end.tolist() == [8e6, 20e6, 12e6, 14e6, 20e6]
    assert plateau_concurrency(point(turns), 2) == 2.0


def test_in_flight_during_stretches_of_time() -> None:
    start, end = np.array([0.0, 10.0]), np.array([20.0, 30.0])
    found = in_flight_during(start, end, np.array([0.0, 10.0, 0.0, 5.0]), np.array([10.0, 20.0, 40.0, 5.0]))
    assert found[:3].tolist() == [1.0, 2.0, 1.0]
    assert np.isnan(found[3])

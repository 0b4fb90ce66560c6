"""How fast a server was, from what a run says of its load points."""

import pytest
from run_builder import point, request, run, steady_requests

from inferometer.metrics.pace import Lengths, Pace, Seen, pace_of
from inferometer.metrics.summary import summarize

SPEC = {"sampling": {"ignore_eos": True}}


def pace(*tables):
    return pace_of(summarize(run(*tables, spec=SPEC)).points)


def test_a_closed_loop_shows_its_concurrency_and_an_open_one_what_it_had_in_flight():
    closed = point(*steady_requests(30), load={"max_concurrency": 3, "closed": True})
    rate = point(*steady_requests(30), index=2, load={"request_rate": 10.0, "closed": False})
    first, second = pace(closed, rate).seen
    # TTFT 30 ms, two more tokens of 30 ms each, 8 ms until the end; 98 of 100 ms with one in flight.
    assert first == Seen(
        pytest.approx(0.98, abs=0.01), 0.03, pytest.approx(0.03), pytest.approx(0.008), 8.0, 3.0
    )
    assert second.in_flight == 3.0
    assert pace(closed).request_s(3.0, Lengths(8.0, 3.0)) == pytest.approx(0.098)


def test_what_failed_tells_nothing():
    failed = [
        request(i, sent=0, end=5, status="http_error", http_status=503, streamed=False) for i in range(5)
    ]
    nothing = pace(point(failed))
    assert nothing.assumed
    assert nothing.reach is None


def test_answers_in_one_piece_take_time_by_their_tokens():
    requests = [
        request(i, planned=i * 100, sent=i * 100, end=i * 100 + 90, streamed=False, input_tokens_server=8,
                output_tokens_server=9)
        for i in range(30)
    ]  # fmt: skip
    (seen,) = pace(point(requests)).seen
    assert (seen.ttft_s, seen.tpot_s) == (0.0, pytest.approx(0.01))


def test_beyond_what_was_measured_throughput_levels_off():
    line = Pace(Seen(c, 0.1 * c, 0.0, 0.0, 10.0, 1.0) for c in (1.0, 2.0, 4.0))
    lengths = Lengths(10.0, 1.0)
    assert line.request_s(3.0, lengths) == pytest.approx(0.3)
    assert line.request_s(400.0, lengths) == pytest.approx(40.0)
    assert line.capacity_per_s(lengths) == pytest.approx(10.0)
    slower = Pace([Seen(1.0, 0.2, 0.0, 0.0, 10.0, 1.0), Seen(4.0, 0.1, 0.0, 0.0, 10.0, 1.0)])
    assert slower.request_s(8.0, lengths) == pytest.approx(0.1), "a line that falls is not followed"


def test_repeats_of_a_load_are_averaged():
    twice = Pace([Seen(1.0, 0.1, 0.0, 0.0, 10.0, 1.0), Seen(1.0, 0.3, 0.0, 0.0, 10.0, 1.0)])
    assert twice.request_s(1.0, Lengths(10.0, 1.0)) == pytest.approx(0.2)

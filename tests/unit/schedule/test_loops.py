"""When requests are due, in virtual time."""

from __future__ import annotations

import math
from itertools import islice, pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.schedule import ClosedLoop, OpenLoop, arrival_offsets_ns, make_schedule
from inferometer.schedule.loops import START_STAGGER_NS
from inferometer.spec import LoadPoint


def point(**changes: Any) -> LoadPoint:
    fields: dict[str, Any] = {
        "index": 1,
        "kind": "measure",
        "max_concurrency": None,
        "request_rate": None,
        "burstiness": 1.0,
        "num_prompts": None,
        "duration_s": None,
        "input_len": None,
        "output_len": None,
        "seed": 0,
    }
    return LoadPoint(**{**fields, **changes})


@pytest.mark.parametrize("burstiness", [0.5, 1.0, 4.0])
def test_gaps_have_the_asked_mean_and_spread(burstiness: float) -> None:
    offsets = list(islice(arrival_offsets_ns(50.0, burstiness, 1), 20001))
    gaps = [(b - a) / 1e9 for a, b in pairwise(offsets)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert offsets[0] == 0
    assert mean == pytest.approx(1 / 50, rel=0.03)
    # A gamma distribution of shape k has a squared coefficient of variation of 1 / k.
    assert variance / mean**2 == pytest.approx(1 / burstiness, rel=0.08)


def test_infinite_burstiness_is_a_constant_rate_without_accumulated_rounding() -> None:
    offsets = list(islice(arrival_offsets_ns(3.0, math.inf, 1), 3001))
    assert offsets[3000] == 1000 * 1_000_000_000
    assert offsets[:3] == [0, 333_333_333, 666_666_667]


def test_an_infinite_rate_is_due_at_once() -> None:
    assert list(islice(arrival_offsets_ns(math.inf, 1.0, 1), 3)) == [0, 0, 0]


@given(st.integers(0, 1000))
def test_arrivals_follow_the_seed_alone(seed: int) -> None:
    first, second = (list(islice(arrival_offsets_ns(10.0, 1.0, seed), 5)) for _ in range(2))
    assert first == second == sorted(first)
    assert first != list(islice(arrival_offsets_ns(10.0, 1.0, seed + 1), 5))


def test_an_open_loop_does_not_wait_for_answers() -> None:
    loop = OpenLoop(iter([0, 10, 20]))
    assert [loop.take().planned_ns for _ in range(3)] == [0, 10, 20]
    assert loop.exhausted()
    assert loop.wake_ns() is None


def test_a_capped_open_loop_keeps_planned_times_and_shows_the_wait() -> None:
    loop = OpenLoop(iter([0, 10, 20]), max_concurrency=1)
    assert loop.take() == (0, 0, None)
    assert loop.wake_ns() is None  # the permit is out
    loop.release(50)
    assert loop.wake_ns() == 50
    assert loop.take() == (1, 10, 50)  # planned at 10, could go at 50
    loop.release(60)
    assert loop.take() == (2, 20, 60)


def test_a_free_permit_is_no_wait() -> None:
    loop = OpenLoop(iter([0, 100]), max_concurrency=1)
    loop.take()
    loop.release(50)
    assert loop.wake_ns() == 100
    assert loop.take() == (1, 100, None)


def test_a_closed_loop_plans_a_request_for_the_moment_its_permit_was_freed() -> None:
    loop = ClosedLoop(2, count=4)
    assert [loop.take().planned_ns for _ in range(2)] == [0, START_STAGGER_NS]
    assert loop.wake_ns() is None
    loop.release(700)
    loop.release(600)  # seen later, freed earlier
    assert [loop.take().planned_ns for _ in range(2)] == [600, 700]
    assert loop.exhausted()


def test_a_closed_loop_bounded_by_time_ends_with_the_first_permit_after_it() -> None:
    loop = ClosedLoop(1, until_ns=1000)
    loop.take()
    assert not loop.exhausted()
    loop.release(999)
    assert loop.wake_ns() == 999
    loop.take()
    loop.release(1000)
    assert loop.exhausted()
    assert loop.wake_ns() is None


@given(concurrency=st.integers(1, 20), count=st.integers(1, 60), seed=st.integers(0, 1 << 20))
def test_a_closed_loop_never_exceeds_its_concurrency_and_sends_all(
    concurrency: int, count: int, seed: int
) -> None:
    loop = make_schedule(point(max_concurrency=concurrency, num_prompts=count))
    toss = Random(seed)
    in_flight, sent, now_ns = 0, 0, 0
    while not (loop.exhausted() and in_flight == 0):
        now_ns += 1_000_000
        due = loop.wake_ns()
        if due is not None and due <= now_ns and toss.choice((True, False)):
            loop.take()
            in_flight, sent = in_flight + 1, sent + 1
        elif in_flight:
            loop.release(now_ns)
            in_flight -= 1
        assert in_flight <= concurrency
    assert sent == count


def test_number_and_duration_both_bound_an_open_loop() -> None:
    by_time = make_schedule(point(request_rate=10.0, burstiness=math.inf, num_prompts=100, duration_s=0.55))
    taken = 0
    while not by_time.exhausted():
        by_time.take()
        taken += 1
    assert taken == 6  # at 0, 0.1 ... 0.5 s
    by_count = make_schedule(point(request_rate=10.0, num_prompts=2, duration_s=60.0))
    by_count.take()
    by_count.take()
    assert by_count.exhausted()

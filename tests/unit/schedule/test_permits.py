"""Closed loops whose permits come and go, in virtual time."""

from __future__ import annotations

import heapq
from random import Random

import pytest

from inferometer.schedule import Schedule, ShapedLoop, Shard, WaveLoop
from inferometer.schedule.loops import START_STAGGER_NS
from inferometer.schedule.permits import levels_at, permit_edges
from inferometer.spec.curves import Curve, level_for_ever, ramp_over_time, stairs

SECOND = 1_000_000_000
CURVES = {
    "ramp": ramp_over_time("linear", 1, 40, 20),
    "exponential": ramp_over_time("exponential", 2, 40, 20),
    "down": ramp_over_time("linear", 40, 5, 20),
    "stairs": stairs([10, 20, 30], [5.0] * 3),
    "spike": level_for_ever(15).raised(3.0, 8.0, 4.0),
    "spike after a ramp": ramp_over_time("linear", 1, 20, 6).raised(2.0, 10.0, 5.0),
    "spike, then higher": stairs([10, 12], [20.0]).raised(3.0, 5.0, 3.0),
    "valley": stairs([30, 10, 20], [5.0, 10.0, 10.0]),
}


def simulate(loops: list[Schedule], mean_s: float, seed: int) -> list[tuple[int, int, int]]:
    """(time, worker, +1 or -1) of sends and ends; answers take an exponential time."""
    toss, ends, log = Random(seed), [], []
    while True:
        due = [(wake, worker) for worker, loop in enumerate(loops) if (wake := loop.wake_ns()) is not None]
        if not due and not ends:
            return log
        if ends and (not due or ends[0][0] <= min(due)[0]):
            now_ns, worker = heapq.heappop(ends)
            loops[worker].release(now_ns)
            log.append((now_ns, worker, -1))
        else:
            now_ns, worker = min(due)
            assert loops[worker].take().planned_ns == now_ns
            log.append((now_ns, worker, 1))
            heapq.heappush(ends, (now_ns + round(toss.expovariate(1 / mean_s) * SECOND), worker))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("name", CURVES)
def test_as_many_are_in_flight_as_the_curve_says(name: str, workers: int) -> None:
    """Each worker sends as soon as its share of the curve allows, and never beyond."""
    curve, until_ns = CURVES[name], 30 * SECOND
    shards = [Shard(worker, workers) for worker in range(workers)]
    log = simulate([ShapedLoop(curve, None, until_ns, shard) for shard in shards], 0.4, 1)
    for shard in shards:
        mine = [(at_ns, change) for at_ns, worker, change in log if worker == shard.worker]
        levels = list(levels_at(permit_edges(curve, shard), iter([at_ns for at_ns, _ in mine])))
        in_flight = 0
        for (at_ns, change), (later_ns, _), level in zip(mine, mine[1:], levels, strict=False):
            in_flight += change
            if change > 0:
                assert in_flight <= level
            if at_ns < later_ns < until_ns:  # all that comes at this instant has come
                assert in_flight >= level
    assert sum(change > 0 for _, _, change in log) > 500


def test_permits_come_when_the_curve_reaches_them() -> None:
    edges = permit_edges(ramp_over_time("linear", 1, 5, 8))
    assert edges == [(0, 1), (2 * SECOND, 1), (4 * SECOND, 1), (6 * SECOND, 1), (8 * SECOND, 1)]


def test_the_shares_of_workers_are_all_permits() -> None:
    for curve in CURVES.values():
        shares = [edge for worker in range(3) for edge in permit_edges(curve, Shard(worker, 3))]
        assert sorted(shares) == permit_edges(curve)


def test_a_step_comes_one_after_the_other_as_the_start_does() -> None:
    edges = permit_edges(stairs([2, 4], [1.0]))
    assert edges == [(0, 1), (START_STAGGER_NS, 1), (SECOND, 1), (SECOND + START_STAGGER_NS, 1)]


def test_permits_are_withdrawn_as_requests_end_and_come_back() -> None:
    loop = ShapedLoop(stairs([2, 1, 2], [1.0, 1.0]))
    loop.take(), loop.take()
    loop.release(SECOND + 5)  # one permit went at 1 s
    assert loop.wake_ns() == 2 * SECOND
    loop.release(SECOND + 9)
    assert loop.wake_ns() == SECOND + 9
    assert loop.take().planned_ns == SECOND + 9
    assert loop.take().planned_ns == 2 * SECOND


def test_a_permit_that_comes_before_a_withdrawn_one_was_given_back_makes_up_for_it() -> None:
    loop = ShapedLoop(stairs([2, 1, 2], [1.0, 1.0]))
    loop.take(), loop.take()
    assert loop.wake_ns() is None
    loop.release(3 * SECOND)
    assert loop.take().planned_ns == 3 * SECOND


def test_number_and_time_bound_a_shaped_loop() -> None:
    curve: Curve = ramp_over_time("linear", 1, 40, 20)
    counted = simulate([ShapedLoop(curve, 77)], 0.1, 2)
    assert sum(change > 0 for _, _, change in counted) == 77
    timed = simulate([ShapedLoop(curve, None, 5 * SECOND)], 0.1, 2)
    assert max(at_ns for at_ns, _, change in timed if change > 0) < 5 * SECOND


def test_a_round_begins_when_the_round_before_has_ended() -> None:
    log = simulate([WaveLoop(4, 14)], 1.0, 3)
    sends = [at_ns for at_ns, _, change in log if change > 0]
    assert len(sends) == 14
    for first in (0, 4, 8, 12):
        begun = sends[first : first + 4]
        assert len(set(begun)) == 1, "a static batch is due in one instant"
        earlier = [at_ns for at_ns, _, change in log if change < 0 and at_ns <= begun[0]]
        assert len(earlier) == first
        assert begun[0] == max(earlier, default=0)


def test_no_round_begins_after_the_time_is_up() -> None:
    loop = WaveLoop(2, None, until_ns=900_000)
    loop.take(), loop.take()
    assert not loop.exhausted()
    loop.release(200_000)
    assert loop.wake_ns() is None
    loop.release(900_000)
    assert loop.exhausted()


def test_nothing_is_taken_that_is_not_due() -> None:
    for loop in (WaveLoop(1), ShapedLoop(level_for_ever(1))):
        loop.take()
        with pytest.raises(RuntimeError, match="due"):
            loop.take()

"""When a load point is stopped early: not by chance, and soon enough. Servers in virtual time."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections.abc import Callable
from random import Random
from typing import NamedTuple

import pytest

from inferometer.loadgen.progress import Progress
from inferometer.loadgen.stopping import SoftStop, binomial_tail, falls_behind, too_many_errors

Service = Callable[[Random], float]


class Series(NamedTuple):
    """What looks at a load point see, one a second."""

    at_s: list[float]
    started: list[int]
    done: list[int]


def fixed(mean_s: float) -> Service:
    return lambda toss: mean_s


def lognormal(mean_s: float) -> Service:
    return lambda toss: mean_s * toss.lognormvariate(0.0, 1.0) / math.exp(0.5)


def series(rate: float, servers: int, service: Service, span_s: float, seed: int) -> Series:
    """Poisson arrivals at so many servers with one queue."""
    toss, now_s, free = Random(seed), 0.0, [0.0] * servers
    arrivals, ends = [], []
    while (now_s := now_s + toss.expovariate(rate)) < span_s:
        arrivals.append(now_s)
        ends.append(max(now_s, heapq.heappop(free)) + service(toss))
        heapq.heappush(free, ends[-1])
    ends.sort()
    at_s = [float(second) for second in range(1, int(span_s) + 1)]
    return Series(
        at_s, [bisect_right(arrivals, each) for each in at_s], [bisect_right(ends, each) for each in at_s]
    )


def stopped_after(found: Series) -> int | None:
    """Arrivals until the load point is stopped; None when it goes on to its end."""
    for look in range(1, len(found.at_s) + 1):
        if falls_behind(*(column[:look] for column in found)):
            return found.started[look - 1]
    return None


@pytest.mark.parametrize(
    ("rate", "servers", "service", "count"),
    [
        (18.0, 1, fixed(0.05), 150),  # M/D/1 at 90 %
        (19.0, 1, fixed(0.05), 40),  # at 95 %
        (18.0, 100, lognormal(5.0), 40),  # fills for half a minute
        (35.0, 500, lognormal(10.0), 40),  # mostly fills
        (20.0, 400, fixed(15.0), 10),  # nothing ends for 15 s, then as much as begins
    ],
)
def test_a_server_that_keeps_up_is_not_stopped(
    rate: float, servers: int, service: Service, count: int
) -> None:
    stopped = [stopped_after(series(rate, servers, service, 300.0, seed)) for seed in range(count)]
    assert stopped == [None] * count


@pytest.mark.parametrize(
    ("over", "servers", "service", "usual", "most"),
    [
        (1.2, 1, fixed(0.05), 1800, 4000),
        (1.2, 100, lognormal(5.0), 1800, 4500),
        (2.0, 100, lognormal(5.0), 1000, 2500),
        (5.0, 200, fixed(10.0), 3000, 3500),
    ],
)
def test_a_server_that_falls_behind_is_found(
    over: float, servers: int, service: Service, usual: int, most: int
) -> None:
    """It carries 20 requests/s."""
    arrivals = [stopped_after(series(20.0 * over, servers, service, 250.0, seed)) for seed in range(15)]
    known = sorted(each for each in arrivals if each is not None)
    assert len(known) == len(arrivals)
    assert known[len(known) // 2] <= usual
    assert known[-1] <= most


def test_a_ramp_is_stopped_after_it_has_passed_what_the_server_carries() -> None:
    """Arrivals from 0 to 40 a second in 200 s, at a server that ends 20 a second: passed after 100 s."""
    at_s = [float(second) for second in range(1, 201)]
    started = [round(0.1 * each * each) for each in at_s]
    done = [
        min(begun, round(20 * each - 1000)) if each > 100 else begun
        for each, begun in zip(at_s, started, strict=True)
    ]
    found = stopped_after(Series(at_s, started, done))
    assert found is not None
    assert started[99] < found < 2500


def test_the_binomial_tail_is_the_sum_of_its_terms() -> None:
    for count, trials, share in ((3, 20, 0.05), (20, 20, 0.3), (60, 400, 0.1), (0, 5, 0.5)):
        terms = [
            math.comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in range(count, trials + 1)
        ]
        assert binomial_tail(count, trials, share) == pytest.approx(sum(terms), rel=1e-9)
    assert binomial_tail(1, 1_000_000, 0.0) == 0.0


@pytest.mark.parametrize(
    ("failed", "ended", "share", "stops"),
    [
        (19, 19, 0.5, False),  # too few to judge
        (20, 20, 0.5, True),
        (10, 100, 0.1, False),
        (16, 100, 0.1, False),  # may be chance
        (30, 100, 0.1, True),
        (1, 20, 0.0, True),  # none was allowed
        (0, 1000, 0.0, False),
        (1100, 10_000, 0.1, False),
        (1200, 10_000, 0.1, True),
    ],
)
def test_errors_stop_a_load_point_beyond_chance(failed: int, ended: int, share: float, stops: bool) -> None:
    assert too_many_errors(failed, ended, share) is stops


def test_a_failed_share_at_the_limit_hardly_ever_stops() -> None:
    """A look at every tenth of 4,000 requests, of which as many fail as are allowed."""
    stopped = 0
    for seed in range(200):
        toss, failed = Random(seed), 0
        for ended in range(1, 4001):
            failed += toss.random() < 0.05
            if ended % 10 == 0 and too_many_errors(failed, ended, 0.05):
                stopped += 1
                break
    assert stopped <= 2


def progress(done: int, failed: int, in_flight: int, elapsed_s: float) -> Progress:
    return Progress(
        point=1,
        points_total=1,
        kind="measure",
        title="",
        planned=None,
        done=done,
        failed=failed,
        in_flight=in_flight,
        output_tokens=0,
        elapsed_s=elapsed_s,
        limit_s=None,
    )


def test_only_what_was_asked_for_stops_a_load_point() -> None:
    assert SoftStop.of({}) is None
    errors = SoftStop.of({"stop_on_errors": 0.1, "drain": "cut"})
    assert errors is not None
    assert errors.level == 2
    assert errors.look(progress(100, 5, 10, 1.0)) is None
    assert errors.look(progress(200, 80, 10, 2.0)) == "errors"
    saturation = SoftStop.of({"stop_on_saturation": True})
    assert saturation is not None
    assert saturation.level == 1
    looks = [saturation.look(progress(20 * s, 20 * s, 20 * s, float(s))) for s in range(1, 60)]
    assert looks[0] is None
    assert "saturated" in looks
    assert saturation.look(progress(1, 0, 1, 3.0)) is None  # a late report of an earlier time

"""Arrivals of changing rate, and bursts: the right number at the right time, whoever sends them."""

from __future__ import annotations

import heapq
import math
from itertools import islice, pairwise
from typing import Any

import pytest

from inferometer.schedule import (
    Shard,
    arrival_offsets_ns,
    make_schedule,
    planned_offsets_ns,
    shaped_offsets_ns,
)
from inferometer.spec import LoadPoint
from inferometer.spec.curves import level_for_ever, ramp_over_time


def point(**changes: Any) -> LoadPoint:
    fields: dict[str, Any] = {
        "index": 1,
        "kind": "measure",
        "max_concurrency": None,
        "request_rate": 20.0,
        "burstiness": 1.0,
        "num_prompts": None,
        "duration_s": None,
        "input_len": None,
        "output_len": None,
        "seed": 0,
    }
    return LoadPoint(**{**fields, **changes})


def test_a_constant_ramp_sends_each_request_when_the_integrated_rate_reaches_it() -> None:
    curve = ramp_over_time("linear", 0.0, 10.0, 20.0)
    offsets = list(islice(shaped_offsets_ns(curve, math.inf, 1, 0), 121))
    assert offsets[0] == 0
    assert offsets[25] == 10_000_000_000  # 10 s at 0 to 5 req/s
    assert offsets[100] == 20_000_000_000
    assert offsets[120] == 22_000_000_000


@pytest.mark.parametrize("burstiness", [0.5, 1.0, 4.0])
def test_gaps_of_a_ramp_keep_their_spread(burstiness: float) -> None:
    """Seen in operational time, gaps have mean 1 and a squared coefficient of variation of 1 / burstiness."""
    curve = ramp_over_time("exponential", 5.0, 80.0, 300.0)
    offsets = list(islice(shaped_offsets_ns(curve, burstiness, 1, 3), 8000))
    gaps = [curve.area(b / 1e9) - curve.area(a / 1e9) for a, b in pairwise(offsets)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert mean == pytest.approx(1.0, rel=0.05)
    assert variance / mean**2 == pytest.approx(1 / burstiness, rel=0.1)


def test_a_level_that_never_changes_is_the_plain_process() -> None:
    plain = list(islice(arrival_offsets_ns(20.0, 0.7, 9), 500))
    shaped = list(islice(shaped_offsets_ns(level_for_ever(20.0), 0.7, 1, 9), 500))
    assert shaped == pytest.approx(plain, abs=5)


def test_bursts_keep_the_mean_rate_and_arrive_together() -> None:
    offsets = list(planned_offsets_ns(point(burst=5, burstiness=math.inf, num_prompts=43)))
    assert offsets == [number // 5 * 250_000_000 for number in range(43)]
    drawn = list(planned_offsets_ns(point(burst=5, num_prompts=40_000)))
    assert len(set(drawn)) == 8000
    assert 40_000 / (drawn[-1] / 1e9) == pytest.approx(20.0, rel=0.05)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_spike_is_exact_over_workers(workers: int) -> None:
    load = point(spike=4.0, spike_at_s=10.0, spike_time_s=5.0, duration_s=30.0, burstiness=math.inf)
    schedules = [make_schedule(load, Shard(worker, workers)) for worker in range(workers)]
    sent = []
    for schedule in schedules:
        while not schedule.exhausted():
            sent.append(schedule.take())
    offsets = [planned.planned_ns for planned in sorted(sent)]
    assert [planned.request for planned in sorted(sent)] == list(range(len(sent)))
    assert offsets == list(planned_offsets_ns(load)) == sorted(offsets)
    seconds = [sum(1 for offset in offsets if low <= offset / 1e9 < low + 5) for low in range(0, 30, 5)]
    assert seconds == [100, 100, 400, 100, 100, 100]
    assert heapq.nsmallest(1, offsets) == [0]

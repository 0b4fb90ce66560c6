"""Workers share a load point by a fixed rule; together they are exactly the one-worker schedule."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from inferometer.schedule import Planned, Shard, make_schedule, owner_of
from inferometer.schedule.loops import START_STAGGER_NS
from inferometer.spec import LoadPoint

WORKERS = st.integers(1, 7)


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


def shards(workers: int) -> list[Shard]:
    return [Shard(worker, workers) for worker in range(workers)]


def drained(load: LoadPoint, shard: Shard, service_ns: int = 1_000_000_000) -> list[Planned]:
    """Everything that one worker sends, when each answer takes as long and all that is due is sent at once."""
    schedule = make_schedule(load, shard)
    sent: list[Planned] = []
    ends: list[int] = []
    while not schedule.exhausted():
        due = schedule.wake_ns()
        if due is not None and (not ends or due <= ends[0]):
            sent.append(schedule.take())
            ends = sorted([*ends, due + service_ns])
        else:
            schedule.release(ends.pop(0))
    return sent


@given(
    workers=WORKERS,
    rate=st.one_of(st.floats(0.5, 500.0), st.just(math.inf)),
    burstiness=st.sampled_from([0.5, 1.0, math.inf]),
    count=st.integers(1, 120),
    duration_s=st.one_of(st.none(), st.floats(0.01, 2.0)),
    seed=st.integers(0, 1000),
)
def test_an_open_loop_shared_is_the_one_schedule(
    workers: int, rate: float, burstiness: float, count: int, duration_s: float | None, seed: int
) -> None:
    load = point(
        request_rate=rate, burstiness=burstiness, num_prompts=count, duration_s=duration_s, seed=seed
    )
    alone = drained(load, Shard())
    parts = [drained(load, shard) for shard in shards(workers)]
    assert sorted(planned for part in parts for planned in part) == alone
    for worker, part in enumerate(parts):
        assert all(owner_of(load, planned.request, workers) == worker for planned in part)


@given(
    concurrency=st.integers(1, 20),
    workers=WORKERS,
    count=st.integers(1, 90),
    service_ns=st.integers(1, 10_000_000),
)
def test_a_closed_loop_shared_sends_every_request_once(
    concurrency: int, workers: int, count: int, service_ns: int
) -> None:
    load = point(max_concurrency=concurrency, num_prompts=count)
    parts = [drained(load, shard, service_ns) for shard in shards(workers)]
    assert sorted(planned.request for part in parts for planned in part) == list(range(count))
    for worker, part in enumerate(parts):
        indices = [planned.request for planned in part]
        assert indices == sorted(indices)
        assert all(owner_of(load, index, workers) == worker for index in indices)


@given(concurrency=st.integers(1, 50), workers=WORKERS)
def test_first_permits_go_in_the_order_of_the_whole(concurrency: int, workers: int) -> None:
    load = point(max_concurrency=concurrency, num_prompts=concurrency)
    parts = [drained(load, shard, service_ns=10**12) for shard in shards(workers)]
    first = sorted(planned for part in parts for planned in part)
    assert first == [(slot, slot * START_STAGGER_NS, None) for slot in range(concurrency)]


@given(
    concurrency=st.integers(1, 20),
    workers=WORKERS,
    limited=st.sampled_from([{"num_prompts": 200}, {"request_rate": math.inf, "num_prompts": 200}]),
)
def test_permits_in_use_add_up_to_the_asked_concurrency(
    concurrency: int, workers: int, limited: dict[str, Any]
) -> None:
    load = point(max_concurrency=concurrency, **limited)
    taken = 0
    for shard in shards(workers):
        schedule = make_schedule(load, shard)
        while schedule.wake_ns() is not None:
            schedule.take()
            taken += 1
    assert taken == concurrency


@given(concurrency=st.integers(1, 12), workers=WORKERS, turns=st.integers(1, 20), data=st.data())
def test_shares_of_the_requests_are_shares_of_the_permits(
    concurrency: int, workers: int, turns: int, data: st.DataObject
) -> None:
    load = point(max_concurrency=concurrency, num_prompts=concurrency * turns)
    worker = data.draw(st.integers(0, workers - 1))
    permits = len(range(worker, concurrency, workers))
    assert len(drained(load, Shard(worker, workers))) == permits * turns


def test_a_worker_without_a_permit_has_nothing_to_do() -> None:
    schedule = make_schedule(point(max_concurrency=1, num_prompts=5), Shard(1, 2))
    assert schedule.wake_ns() is None
    assert schedule.exhausted()

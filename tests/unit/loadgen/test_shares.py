"""How many workers, which core, who gets which request, and what they say together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.loadgen import plan, shards
from inferometer.loadgen.affinity import core_of
from inferometer.loadgen.messages import Later, WireRequest
from inferometer.loadgen.plan import plan_arrivals, point_record
from inferometer.loadgen.progress import Progress, add_up
from inferometer.loadgen.shards import BATCH_BYTES, Dealer, resolve_workers
from inferometer.schedule import owner_of, planned_offsets_ns
from inferometer.spec import LoadPoint
from inferometer.workload import Turn


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


@pytest.mark.parametrize(
    ("load", "cpus", "workers"),
    [
        ({"max_concurrency": 1000}, 16, 1),
        ({"max_concurrency": 1001}, 16, 2),
        ({"max_concurrency": 10_000}, 16, 10),
        ({"max_concurrency": 10_000}, 4, 3),  # one core is left for the parent
        ({"max_concurrency": 10_000}, 1, 1),
        ({"request_rate": 1000.0}, 16, 1),
        ({"request_rate": 2500.0}, 16, 3),
        ({"request_rate": 2500.0, "max_concurrency": 8000}, 16, 8),  # whichever asks for more
        ({"request_rate": 2500.0, "max_concurrency": 2}, 16, 2),
        ({"request_rate": math.inf, "num_prompts": 3000}, 16, 3),
        ({"request_rate": 5000.0, "num_prompts": 1}, 16, 1),
    ],
)
def test_auto_is_as_many_as_the_load_needs_and_the_machine_has(
    load: dict[str, Any], cpus: int, workers: int
) -> None:
    assert resolve_workers("auto", point(**load), cpus) == workers


@pytest.mark.parametrize(("asked", "permits", "workers"), [(3, 64, 3), (8, 4, 4), (1, 5000, 1)])
def test_a_number_is_taken_as_given_but_for_workers_without_a_permit(
    asked: int, permits: int, workers: int
) -> None:
    assert resolve_workers(asked, point(max_concurrency=permits), cpus=1) == workers


@given(
    asked=st.one_of(st.just("auto"), st.integers(1, 64)),
    permits=st.one_of(st.none(), st.integers(1, 20_000)),
    rate=st.one_of(st.none(), st.floats(0.1, 1e5), st.just(math.inf)),
    count=st.one_of(st.none(), st.integers(1, 10_000)),
    cpus=st.integers(1, 128),
)
def test_no_worker_is_without_a_request(
    asked: int | Literal["auto"], permits: int | None, rate: float | None, count: int | None, cpus: int
) -> None:
    load = point(max_concurrency=permits or (None if rate else 1), request_rate=rate, num_prompts=count)
    workers = resolve_workers(asked, load, cpus)
    owners = {owner_of(load, index, workers) for index in range(min(count or workers, workers))}
    assert workers >= 1
    assert owners == set(range(workers))


def test_workers_are_pinned_from_the_last_core_when_two_are_left_over() -> None:
    allowed = [0, 2, 4, 6]
    assert [core_of(worker, 2, allowed) for worker in range(2)] == [6, 4]
    assert [core_of(worker, 3, allowed) for worker in range(3)] == [None] * 3
    assert core_of(0, 1, []) is None  # the platform does not tell


def wire(sizes: list[int]) -> Iterator[WireRequest]:
    for row, size in enumerate(sizes):
        yield WireRequest(body=bytes(size), row=row)


@given(workers=st.integers(1, 5), permits=st.integers(1, 9), count=st.integers(0, 60), data=st.data())
def test_each_worker_gets_its_requests_in_order_whoever_asks_first(
    workers: int, permits: int, count: int, data: st.DataObject
) -> None:
    load = point(max_concurrency=permits, num_prompts=count)
    dealer = Dealer(wire([1] * count), lambda index: owner_of(load, index, workers), workers)
    got: list[list[int | None]] = [[] for _ in range(workers)]
    left = set(range(workers))
    while left:
        worker = data.draw(st.sampled_from(sorted(left)))
        batch, complete = dealer.batch(worker, 4)
        got[worker] += [request.row for request in batch]
        if complete:
            left.remove(worker)
    for worker in range(workers):
        assert got[worker] == [row for row in range(count) if row % permits % workers == worker]


def test_a_batch_ends_with_the_request_that_makes_it_too_large() -> None:
    dealer = Dealer(wire([BATCH_BYTES - 1, 2, 1, 1]), lambda index: 0, 1)
    assert [([r.row for r in batch], end) for batch, end in (dealer.batch(0, 9), dealer.batch(0, 9))] == [
        ([0, 1], False),
        ([2, 3], True),
    ]


def test_what_is_to_follow_a_request_counts_for_the_size_of_a_batch() -> None:
    picture = {"type": "image_url", "image_url": {"url": "x" * (BATCH_BYTES // 2)}}
    turns = [Turn(content="y" * (BATCH_BYTES // 4)), Turn(content=[picture], reply="y" * (BATCH_BYTES // 4))]
    sessions = [WireRequest(body=b"", row=row, later=Later([], turns)) for row in range(2)]
    assert sessions[0].weight > BATCH_BYTES
    dealer = Dealer(iter(sessions), lambda index: 0, 1)
    assert [len(dealer.batch(0, 9)[0]) for _ in range(3)] == [1, 1, 0]


def test_a_huge_prompt_is_a_batch_of_its_own() -> None:
    dealer = Dealer(wire([2 * BATCH_BYTES] * 2), lambda index: 0, 1)
    assert [len(dealer.batch(0, 9)[0]) for _ in range(3)] == [1, 1, 0]


def test_a_source_that_ended_is_told_at_once() -> None:
    dealer = Dealer(wire([1, 1, 1]), lambda index: 0, 1)
    assert [(len(batch), end) for batch, end in (dealer.batch(0, 2), dealer.batch(0, 2))] == [
        (2, False),
        (1, True),
    ]


def two_workers(sizes: list[int]) -> Dealer:
    return Dealer(wire(sizes), lambda index: index % 2, 2)


def test_what_waits_for_a_slow_worker_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "WAITING_BYTES", 10 << 20)
    monkeypatch.setattr(shards, "BATCH_BYTES", 1 << 20)
    dealer = two_workers([1 << 20] * 100)
    assert [request.row for request in dealer.batch(1, 1)[0]] == [1]
    got = []
    complete = False
    while not complete:
        batch, complete = dealer.batch(0, 1)
        got += [request.row for request in batch]
    assert got == list(range(0, 24, 2)), "ten waited for worker 1, and the eleventh was too much"
    assert dealer.trouble is not None
    assert "worker 1 was so much slower than worker 0 that 11 MiB of prompts waited for it" in dealer.trouble
    assert dealer.batch(1, 1) == ([], True), "both end, or half the load would go on alone"


def test_what_a_batch_draws_for_the_others_is_no_imbalance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every worker of 20 asks for a batch of huge prompts in turn."""
    monkeypatch.setattr(shards, "WAITING_BYTES", 10 << 10)
    monkeypatch.setattr(shards, "BATCH_BYTES", 1 << 10)
    dealer = Dealer(wire([2 << 10] * 100), lambda index: index % 20, 20)
    rows = [request.row for _ in range(5) for worker in range(20) for request in dealer.batch(worker, 9)[0]]
    assert rows == list(range(100))
    assert dealer.trouble is None


def test_a_balanced_point_of_any_size_goes_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "WAITING_BYTES", 10)
    monkeypatch.setattr(shards, "BATCH_BYTES", 4)
    dealer = two_workers([4] * 100)
    rows = [request.row for _ in range(50) for worker in (0, 1) for request in dealer.batch(worker, 1)[0]]
    assert (rows, dealer.trouble) == (list(range(100)), None)


def progress(**changes: Any) -> Progress:
    fields: dict[str, Any] = {
        "point": 1,
        "points_total": 2,
        "kind": "measure",
        "title": "t",
        "planned": 100,
        "done": 1,
        "failed": 0,
        "in_flight": 2,
        "output_tokens": 10,
        "elapsed_s": 1.0,
        "limit_s": None,
    }
    return Progress(**{**fields, **changes})


def test_the_workers_progress_adds_up_and_the_plan_is_of_the_whole_point() -> None:
    parts = [
        progress(),
        progress(done=4, failed=1, in_flight=3, output_tokens=5, elapsed_s=1.2, stopping=True),
    ]
    assert add_up(parts) == progress(
        done=5, failed=1, in_flight=5, output_tokens=15, elapsed_s=1.2, stopping=True
    )


@given(
    rate=st.floats(0.05, 3000.0),
    duration_s=st.floats(0.001, 3.0),
    count=st.one_of(st.none(), st.integers(1, 5000)),
    burstiness=st.sampled_from([1.0, math.inf]),
)
def test_planned_requests_are_counted_exactly(
    rate: float, duration_s: float, count: int | None, burstiness: float
) -> None:
    load = point(request_rate=rate, duration_s=duration_s, num_prompts=count, burstiness=burstiness)
    assert plan_arrivals(load).requests == sum(1 for _ in planned_offsets_ns(load))


def test_a_long_constant_rate_is_counted_without_drawing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "HASHED_OFFSETS", 10)
    day = point(request_rate=10_000.0, burstiness=math.inf, duration_s=86_400.0)
    hour = point(request_rate=10_000.0, burstiness=math.inf, duration_s=3600.0)
    assert plan_arrivals(day).requests == 864_000_000
    assert plan_arrivals(day).sha256 == plan_arrivals(hour).sha256  # only the beginning is hashed


def test_counting_beyond_the_hashed_part_goes_on_where_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    load = point(request_rate=100.0, duration_s=2.0, seed=5)
    whole = plan_arrivals(load)
    monkeypatch.setattr(plan, "HASHED_OFFSETS", 10)
    head = plan_arrivals(load)
    assert head.requests == whole.requests == sum(1 for _ in planned_offsets_ns(load))
    assert head.sha256 != whole.sha256


def test_a_point_that_has_not_begun_knows_its_workers() -> None:
    assert point_record(point(max_concurrency=4, num_prompts=9), 3).workers == 3

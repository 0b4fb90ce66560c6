"""A run that goes on: equal load points keep their numbers, others get new ones, and what is missing is measured."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inferometer.loadgen.conduct import CarryOut, Finished, in_order
from inferometer.loadgen.plan import point_record
from inferometer.loadgen.resume import Past, go_on, identity_of, stored_point, taken_up
from inferometer.record.store import StoredPoints
from inferometer.record.types import PointRecord, RunMeta, Sitting
from inferometer.spec import Endpoint, Load, LoadPoint, RunSpec, Sweep, Workload, load_points, warmup_point
from inferometer.workload import RowFeed, open_dataset
from inferometer.workload.tokenizer_file import load_tokenizer

HERE = Endpoint(url="http://h")


def rates(*values: float, **others: Any) -> tuple[LoadPoint, ...]:
    return load_points(RunSpec(endpoint=HERE, load=Load(request_rate=values, num_prompts=(20,)), **others))


def stored(point: LoadPoint, end: str | None = "complete", sitting: int = 0) -> PointRecord:
    """A load point as ``run.json`` has it; ``never`` = not begun."""
    record = point_record(LoadPoint(**json.loads(json.dumps(_plain(point)))))
    if end != "never":
        record.epoch_ns, record.sitting, record.dispatched = (
            100 + point.index,
            sitting,
            point.num_prompts or 0,
        )
        record.end_ns = None if end is None else 200
        record.stop_reason = end  # type: ignore[assignment]
    return record


def _plain(point: LoadPoint) -> dict[str, Any]:
    return {name: value for name, value in point.to_dict().items() if name != "closed"}


def past_of(
    records: Sequence[PointRecord], asked: Sequence[LoadPoint] = (), redo: Sequence[int] = ()
) -> Past:
    meta = RunMeta(
        run_id="run",
        state="interrupted",
        simulated=False,
        created_utc="then",
        model="m",
        spec={},
        notes=["cut"],
    )
    successes = {record.index: 5 for record in records if record.epoch_ns is not None}
    past = Past(Path("run"), -1, meta, StoredPoints(list(records), successes))  # type: ignore[arg-type]
    past.ask(asked)
    past.redo = frozenset(redo)
    return past


@pytest.mark.parametrize(
    "point",
    [
        *rates(0.5, 3, math.inf),
        *load_points(
            RunSpec(endpoint=HERE, load=Load(max_concurrency=(4,)), workload=Workload(input_len=(8,)))
        ),
        *load_points(
            RunSpec(
                endpoint=HERE, load=Load(request_rate=(2,), burstiness=(math.inf,)), sweep=Sweep(repeat=2)
            )
        ),
    ],
)
def test_a_stored_load_is_recognised(point: LoadPoint) -> None:
    load = json.loads(json.dumps(point.to_dict()))
    assert identity_of(load) == point.identity == identity_of(point.to_dict())
    assert stored_point(load) == point


def test_a_load_of_a_version_that_knew_fewer_fields_is_recognised() -> None:
    (point,) = rates(4)
    old = {
        name: value
        for name, value in point.to_dict().items()
        if name not in ("repeat", "trace", "trace_speed")
    }
    assert identity_of(old) == point.identity
    assert stored_point(old) == point


def test_another_seed_or_repeat_is_another_load() -> None:
    (point,) = rates(4)
    others = [replace(point, seed=1), replace(point, repeat=2), replace(point, num_prompts=21)]
    assert len({point.identity, *(other.identity for other in others)}) == 4
    assert replace(point, index=9).identity == point.identity


def test_the_same_list_keeps_its_numbers_and_what_was_cut_is_missing() -> None:
    points = rates(1, 2, 3, 4)
    past = past_of(
        [stored(points[0]), stored(points[1], "lost"), stored(points[2], "never"), stored(points[3])], points
    )
    assert past.asked == points
    assert [point.index for point in past.missing] == [2, 3]
    assert past.others == ()


def test_a_changed_list_keeps_what_is_finished_and_numbers_what_is_new() -> None:
    before, now = rates(1, 2, 3, 4), rates(8, 3, 1, 6)
    past = past_of([stored(before[0]), stored(before[1]), stored(before[2]), stored(before[3], "lost")], now)
    assert [(point.request_rate, point.index) for point in past.asked] == [(8, 5), (3, 3), (1, 1), (6, 6)]
    assert [point.request_rate for point in past.missing] == [8, 6]
    assert [point.load["request_rate"] for point in past.others] == [
        2
    ]  # 4 was cut, and is no longer asked for


def test_of_equal_load_points_each_has_its_own_number() -> None:
    points = rates(5, 5, 5)
    past = past_of([stored(points[0]), stored(points[1], "lost"), stored(points[2])], points)
    assert [point.index for point in past.asked] == [1, 2, 3]
    assert [point.index for point in past.missing] == [2]


def test_rates_above_one_that_the_server_could_not_carry_stay_left_out() -> None:
    points = rates(1, 2, 4, 8)
    records = [stored(points[0]), stored(points[1], "saturated"), stored(points[2], "never")]
    past = past_of(records, points)
    assert past.missing == ()
    assert [point.request_rate for point in past.left_out] == [4, 8]
    meta = taken_up(past, replace_meta([]))
    assert [point.index for point in meta.points] == [1, 2, 3]
    assert [point.request_rate for point in past_of(records, points, redo=[2]).missing] == [2, 4, 8]


def test_redo_measures_again_and_what_is_there_counts_until_then() -> None:
    points = rates(1, 2)
    past = past_of([stored(points[0]), stored(points[1])], points, redo=[2])
    meta = taken_up(past, replace_meta([point_record(past.missing[0])]))
    assert [point.index for point in past.missing] == [2]
    assert [(point.index, point.stop_reason, point.redo) for point in meta.points] == [
        (1, "complete", False),
        (2, "complete", True),
    ]
    again = past_of(meta.points, points)  # killed before it was measured
    assert [point.index for point in again.missing] == [2]


def replace_meta(points: list[PointRecord]) -> RunMeta:
    return RunMeta(
        run_id="",
        state="running",
        simulated=False,
        created_utc="now",
        model="m",
        spec={},
        points=points,
        notes=["new"],
    )


def test_load_points_are_shown_in_the_order_of_the_list() -> None:
    before, now = rates(1, 2, 3), rates(3, 9, 1)
    warmup = warmup_point(RunSpec(endpoint=HERE), before[0])
    assert warmup is not None
    past = past_of([stored(warmup), *(stored(point) for point in before)], now)
    meta = taken_up(past, replace_meta([point_record(point) for point in past.missing]))
    assert [point.index for point in meta.points] == [0, 3, 4, 1, 2]
    assert (meta.run_id, meta.created_utc, meta.notes) == ("run", "then", ["new"])
    assert meta.sittings == [Sitting(began_utc="then", state="interrupted", notes=["cut"])]


class Stage:
    """Carries out load points by noting them."""

    def __init__(self) -> None:
        self.carried: list[tuple[str, int]] = []
        self.read: Any = lambda: pytest.fail("not asked for")

    def carry_out(self, point: LoadPoint) -> Finished:
        self.carried.append((point.kind, point.index))
        return Finished(point_record(point), None, self.read)


class Feed:
    """Notes which rows are drawn again, and when."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.drawn: list[tuple[int, int]] = []
        self.after: list[int] = []

    def draw_again(self, point: LoadPoint, requests: int) -> None:
        self.drawn.append((point.index, requests))
        self.after.append(len(self._stage.carried))


def test_a_conductor_that_knows_nothing_of_it_gets_stored_load_points_at_once() -> None:
    """As a search does: deterministic given its results, it is simply conducted again."""
    points = rates(1, 2, 3, 4)
    warmup = warmup_point(RunSpec(endpoint=HERE), points[0])
    assert warmup is not None
    records = [stored(warmup), stored(points[0]), stored(points[1]), stored(points[2], "lost")]
    past, stage = past_of(records), Stage()
    feed = Feed(stage)
    seen: list[Finished] = []

    def search(carry_out: CarryOut) -> None:
        carry_out(warmup)
        for place, point in enumerate(points):
            seen.append(carry_out(replace(point, index=10 + place)))  # its own count does not matter

    go_on(past, search, feed)(stage.carry_out)  # type: ignore[arg-type]
    assert stage.carried == [("warmup", 0), ("measure", 3), ("measure", 4)]
    assert [finished.point.index for finished in seen] == [1, 2, 3, 4]
    assert seen[0].point is records[1]
    # The warm-up draws first, as in the first sitting; what was sent then comes before anything new.
    assert feed.drawn == [(1, 20), (2, 20), (3, 20)]
    assert feed.after == [1, 1, 1]


def test_when_everything_is_there_nothing_is_measured_not_even_a_warm_up() -> None:
    points = rates(1, 2)
    warmup = warmup_point(RunSpec(endpoint=HERE), points[0])
    assert warmup is not None
    stage = Stage()
    past = past_of([stored(point) for point in points], points)
    go_on(past, in_order([warmup, *past.asked]), Feed(stage))(stage.carry_out)  # type: ignore[arg-type]
    assert stage.carried == []


def test_a_warm_up_that_is_read_is_measured_at_once_and_only_once() -> None:
    points = rates(1, 2)
    warmup = warmup_point(RunSpec(endpoint=HERE), points[0])
    assert warmup is not None
    stage = Stage()
    stage.read = lambda: "what it measured"

    def conduct(carry_out: CarryOut) -> None:
        warm = carry_out(warmup)
        assert [warm.read(), warm.read()] == ["what it measured"] * 2
        carry_out(points[1])

    go_on(past_of([stored(points[0])], points), conduct, Feed(stage))(stage.carry_out)  # type: ignore[arg-type]
    assert stage.carried == [("warmup", 0), ("measure", 2)]


def test_rows_of_earlier_sittings_are_not_sent_again(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps({"question": f"Question {n}?"}) + "\n" for n in range(100)))
    spec = RunSpec(
        endpoint=HERE,
        load=Load(request_rate=(1, 2, 3), num_prompts=(20,)),
        workload=Workload(dataset="openqa", dataset_path=str(file)),
    )
    tokenizer = load_tokenizer(spec.workload.tokenizer)
    points = load_points(spec)
    warmup = warmup_point(spec, points[0])
    assert warmup is not None

    def feed() -> RowFeed:
        return RowFeed(lambda point: open_dataset(spec, point, tokenizer))

    undisturbed, resumed = feed(), feed()
    rows = {
        point.index: [request.row for request in undisturbed.take(point, "")] for point in (warmup, *points)
    }
    assert [request.row for request in resumed.take(warmup, "")] == rows[0]
    for point in points[:2]:
        resumed.draw_again(point, 20)
    assert [request.row for request in resumed.take(points[2], "")] == rows[3]
    assert resumed.reused == 0
    timed = replace(points[0], num_prompts=None, duration_s=5.0)
    other = feed()
    other.draw_again(timed, requests=7)
    taken = {request.row for request in other.take(points[1], "")}
    assert taken.isdisjoint(rows_of(feed(), timed, 7))


def rows_of(feed: RowFeed, point: LoadPoint, count: int) -> set[int | None]:
    requests = feed.take(point, "")
    return {next(requests).row for _ in range(count)}

"""Which load points are carried out after what those before have shown."""

from __future__ import annotations

from typing import Any

import pytest

from inferometer.loadgen.conduct import EndOfRun, Finished, in_order
from inferometer.record.tables import PointTable, Telemetry
from inferometer.record.types import PointRecord, StopReason
from inferometer.spec import LoadPoint


def point(index: int, rate: float | None, **changes: Any) -> LoadPoint:
    fields: dict[str, Any] = {
        "index": index,
        "kind": "measure",
        "max_concurrency": None if rate else 8,
        "request_rate": rate,
        "burstiness": 1.0,
        "num_prompts": None if rate is None else round(60 * rate),
        "duration_s": None,
        "input_len": 8,
        "output_len": None,
        "seed": 0,
    }
    return LoadPoint(**{**fields, **changes})


class Stage:
    """Carries load points out in no time; those above ``capacity`` are stopped."""

    def __init__(self, capacity: float) -> None:
        self.capacity = capacity
        self.carried: list[int] = []

    def __call__(self, load: LoadPoint) -> Finished:
        self.carried.append(load.index)
        reason: StopReason = "saturated" if (load.request_rate or 0.0) > self.capacity else "complete"
        record = PointRecord(index=load.index, kind="measure", load=load.to_dict(), stop_reason=reason)
        return Finished(record, None, _unread)


def _unread() -> tuple[PointTable, Telemetry]:
    raise AssertionError("the order of load points does not read their requests")


def test_higher_rates_of_the_same_load_are_left_out_and_told() -> None:
    stage = Stage(4.0)
    rows = [point(n, rate) for n, rate in enumerate((2.0, 8.0, 4.0, 16.0, 6.0), start=1)]
    others = [point(6, 16.0, input_len=64), point(7, None), point(8, 16.0, repeat=2, seed=5)]
    with pytest.raises(EndOfRun) as end:
        in_order([*rows, *others])(stage)
    assert stage.carried == [1, 2, 3, 5, 6, 7]
    assert (end.value.left_out, end.value.whole) == (2, True)
    assert end.value.reason is not None
    assert "load point 2 (rate 8 req/s), 5 (rate 6 req/s), 6" in end.value.reason


def test_a_warm_up_is_left_out_with_the_load_point_that_it_precedes() -> None:
    stage = Stage(4.0)
    rows = [point(n, rate) for n, rate in enumerate((8.0, 16.0, 2.0), start=1)]
    warmups = [point(-n, None, kind="warmup") for n in (1, 2, 3)]
    with pytest.raises(EndOfRun) as end:
        in_order([each for pair in zip(warmups, rows, strict=True) for each in pair])(stage)
    assert stage.carried == [-1, 1, -3, 3]
    assert end.value.left_out == 1


def test_nothing_is_left_out_of_what_a_server_carries() -> None:
    stage = Stage(100.0)
    in_order([point(1, 2.0), point(2, 8.0)])(stage)
    assert stage.carried == [1, 2]

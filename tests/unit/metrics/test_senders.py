"""The machines that sent a run's load: what their clocks say of it, and which of them count."""

from __future__ import annotations

from typing import Any

from inferometer.metrics.senders import sender_conditions, senders_of
from inferometer.record.types import ClockMark, NodeRecord, PointRecord, RunMeta
from inferometer.report.senders import sender_lines

MS = 1_000_000


def node(*marks: tuple[int, int], name: str = "a", **more: Any) -> NodeRecord:
    """Marks are (offset, bound) in ns."""
    clock = [ClockMark(at_ns=i, offset_ns=offset, bound_ns=bound) for i, (offset, bound) in enumerate(marks)]
    return NodeRecord(
        **{"node_id": name, "name": name, "address": "10.0.0.1", "workers": [0], "clock": clock, **more}
    )


def run_of(*nodes: NodeRecord, sittings: tuple[int, ...] = (0,)) -> RunMeta:
    points = [
        PointRecord(index=i + 1, kind="measure", load={}, epoch_ns=1, sitting=sitting)
        for i, sitting in enumerate(sittings)
    ]
    return RunMeta(
        run_id="r", state="complete", simulated=False, created_utc="", model="m", spec={},
        nodes=list(nodes), points=points,
    )  # fmt: skip


def judged(*nodes: NodeRecord) -> dict[str, tuple[float | None, bool | None]]:
    return {each.name: (each.measured, each.ok) for each in sender_conditions(run_of(*nodes))}


def test_a_clock_may_be_ahead_but_has_to_be_known_and_to_stay() -> None:
    day = 86_400_000 * MS
    steady = node((day, MS // 2), (day + MS // 4, MS // 4))
    assert judged(steady) == {"node start": (0.5, True), "node clocks": (0.5, True)}
    vague = node((0, 2 * MS + 1), (0, 1))
    assert judged(steady, vague) == {"node start": (2.000001, False), "node clocks": (2.000001, False)}
    leaping = node((0, 1), (-3 * MS, 1))
    assert judged(steady, leaping) == {"node start": (0.5, True), "node clocks": (3.0, False)}
    assert judged(node()) == {"node start": (None, None), "node clocks": (None, None)}
    assert judged() == {}


def test_only_machines_of_sittings_that_something_is_left_of_are_told() -> None:
    vague, exact = node((0, 9 * MS), name="a"), node((0, 1), name="b", sitting=1)
    assert [each.name for each in senders_of(run_of(vague, exact, sittings=(0, 1)))] == ["a", "b"]
    assert [each.name for each in senders_of(run_of(vague, exact, sittings=(1, 1)))] == ["b"]
    assert senders_of(run_of(vague, sittings=(1, 1))) == [], "all was measured anew by this machine alone"


def test_a_line_for_each_machine_says_which_workers_are_there() -> None:
    few, many = node((0, 1), workers=[0, 2]), node(workers=list(range(1, 128, 2)), lost="gone", cores=64)
    told = sender_lines(senders_of(run_of(few, many)))
    assert [" ".join(line.split()) for line in told[1:3]] == [
        "a 10.0.0.1 0, 2 - 0.000 - 0.000",
        "a 10.0.0.1 1, 3 .. 127 64 - - - lost",
    ]

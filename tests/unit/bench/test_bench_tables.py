"""What the bench makes of its measurements: joins, medians, goals, the page."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from inferometer.record.tables import PointTable
from inferometer.record.types import ChunkKind, PointRecord
from inferometer.testing.truth_server import RequestTruth

BENCH = Path(__file__).parents[3] / "bench"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of the bench, which is a folder of programs and no package."""
    monkeypatch.syspath_prepend(str(BENCH))

    def module(name: str) -> ModuleType:
        return importlib.import_module(name)

    return module


def table_of(rows: dict[str, list[float]]) -> PointTable:
    """A load point whose content chunks arrived then; each request also has a role and a done chunk."""
    kinds, received, owners = [], [], []
    for index, times in enumerate(rows.values()):
        kinds += [ChunkKind.ROLE, *[ChunkKind.CONTENT] * len(times), ChunkKind.DONE]
        received += [times[0], *times, times[-1]]
        owners += [index] * (len(times) + 2)
    return PointTable(
        PointRecord(index=1, kind="measure", load={}, epoch_ns=1_000_000),
        {"index": np.arange(len(rows), dtype=float), "response_id": np.array(list(rows), dtype=object)},
        {
            "request": np.array(owners, float),
            "recv_ns": np.array(received, float),
            "kind": np.array(kinds, float),
        },
    )


def truth(*sent_ns: int) -> RequestTruth:
    return RequestTruth(0, np.array(sent_ns) - 7, np.array(sent_ns))


def test_chunks_are_joined_by_response_id_and_order(bench: Any) -> None:
    found = bench("truth_error")
    table = table_of({"b": [50.0, 60.0], "a": [10.0, 20.0, 30.0]})
    log = {"a": truth(1_000_008, 1_000_015, 1_000_029), "b": truth(1_000_049, 1_000_062)}
    error_ns, unmatched = found.matched(table, log)
    assert error_ns.tolist() == [1, -2, 2, 5, 1]
    assert unmatched == 0
    numbers = found.timing_error(table, log)
    assert numbers["error_max_us"] == 0.005
    assert numbers["error_smallest_us"] == -0.002
    assert found.server_lateness(log)["server_late_p50_us"] == 0.007


def test_a_request_with_another_number_of_chunks_is_not_compared(bench: Any) -> None:
    table = table_of({"a": [10.0, 20.0], "b": [1.0], "c": [5.0]})
    error_ns, unmatched = bench("truth_error").matched(table, {"a": truth(1_000_001), "c": truth(1_000_004)})
    assert error_ns.tolist() == [1]
    assert unmatched == 3


def test_each_goal_is_of_a_case_and_each_row_of_cases(bench: Any) -> None:
    cases = bench("our_cases")
    names = [case.name for case in cases.CASES]
    assert len(names) == len(set(names))
    assert {goal.case for goal in cases.GOALS} <= set(names)
    assert {name for row in cases.ROWS.values() for name in row} <= set(names)


def test_a_median_but_the_worst_of_what_must_always_hold(bench: Any) -> None:
    run = bench("run")
    repeats = [
        {"us_per_event": 9.0, "honest": 1.0, "verdict": "VALID"},
        {"us_per_event": 7.0, "honest": 0.0, "verdict": "WARN"},
        {"us_per_event": 8.0, "honest": 1.0, "verdict": "VALID"},
    ]
    found = run.middle(repeats)
    assert (found["us_per_event"], found["honest"]) == (8.0, 0.0)
    assert found["verdict"] == ["VALID", "WARN", "VALID"]
    assert found["failures"] == 0


def test_a_goal_that_was_not_measured_or_failed_once_is_not_met(bench: Any) -> None:
    run, cases = bench("run"), bench("our_cases")
    goal = cases.Goal("flood", "events_per_s", ">=", 400_000, "events/s")
    assert run.met(goal, {"flood": {"events_per_s": 400_000.0, "failures": 0}})
    assert not run.met(goal, {"flood": {"events_per_s": 399_999.0, "failures": 0}})
    assert not run.met(goal, {"flood": {"events_per_s": 400_000.0, "failures": 1}})
    assert not run.met(goal, {"flood": {"failures": 3}})
    assert run.judgement(goal, {"events_per_s": 300_000.0}).endswith(": missed by 100,000")
    assert run.judgement(goal, {}).startswith("events/s: not measured")


def test_streams_at_once(bench: Any) -> None:
    most = bench("ours")._most_at_once
    assert most(np.array([0.0, 1.0, 5.0]), np.array([5.0, 6.0, 9.0])) == 2  # one ends as another starts


def test_only_what_stands_between_the_markers_is_replaced(bench: Any, tmp_path: Path) -> None:
    put = bench("table").put
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n<!-- bench:ours -->\nold\n<!-- end of bench:ours -->\n\nrest\n")
    put("ours", "new\n", page)
    put("ours", "newer", page)
    put("soak", "flat", page)
    assert page.read_text() == (
        "# Title\n\n<!-- bench:ours -->\nnewer\n<!-- end of bench:ours -->\n\nrest\n\n"
        "<!-- bench:soak -->\nflat\n<!-- end of bench:soak -->\n"
    )


def test_samples_of_the_profile_are_named(bench: Any) -> None:
    breakdown = bench("breakdown")
    python = "  7f PyEval (/usr/lib/libpython3.11.so.1.0)"
    kernel = "  ff tcp_recvmsg ([kernel.kallsyms])\n  ff __x64_sys_recvmsg ([kernel.kallsyms])"
    in_recv = f"{kernel}\n{python}"
    assert breakdown.name_of_sample(in_recv) == "kernel: recvmsg"
    assert breakdown.name_of_sample(python) == "user: libpython3"
    raw = (
        "main (a.py:1);EpollPoller.wait (inferometer/client/poller.py:77) 90\n"
        "main (a.py:1);read (x/c.py:5) 20\nmain (a.py:2);read (x/c.py:9) 10\n"
    )
    seen = breakdown.functions_of(raw)
    assert seen == {"poller.py: EpollPoller.wait": 90, "c.py: read": 30}
    assert breakdown.without_idle(seen, 50)["poller.py: EpollPoller.wait"] == 20


def test_memory_that_grows_is_told_from_memory_that_is_flat(bench: Any) -> None:
    growth = bench("soak").growth_mib
    assert growth([(10.0 * i, 40.0) for i in range(20)]) == pytest.approx(0.0)
    assert growth([(10.0 * i, 40.0 + i) for i in range(20)]) == pytest.approx(9.0)
    assert growth([(10.0, 40.0)]) is None

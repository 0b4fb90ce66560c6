"""What the bench makes of its measurements: joins, medians, goals, the page."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from inferometer.errors import DataError
from inferometer.record.tables import PointTable
from inferometer.record.types import ChunkKind, PointRecord
from inferometer.testing.truth_server import RequestTruth

BENCH = Path(__file__).parents[3] / "bench"
MACHINE: dict[str, Any] = {"processor": "x", "cores": 2, "kernel": "6", "python": "3"}
TIMEOUT = subprocess.TimeoutExpired("inferometer", 660)


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


def test_a_number_that_one_repetition_lacks_is_absent_and_shown_as_such(bench: Any) -> None:
    run, cases = bench("run"), bench("our_cases")
    known = {
        "events": 10,
        "us_per_event": 7.0,
        "worker_peak_mb": 5.0,
        "error_p50_us": 1.0,
        "verdict": "VALID",
    }
    lacking = {"events": 10, "us_per_event": 9.0, "worker_peak_mb": None, "verdict": "VALID", "extra": 1.0}
    found = run.middle([known, lacking, {"failure": "it fell over"}])
    assert found["us_per_event"] == 8.0
    assert found["failures"] == 1
    assert {"worker_peak_mb", "error_p50_us", "extra"}.isdisjoint(found)
    text = run.report(cases.CASES[0], found, judged=True)
    assert "CPU us/event 8 after imports" in text
    assert "workers - MB" in text
    assert "error of chunk times p99, us: not measured (goal <= 30)" in text


def test_nothing_at_all_measured_is_still_shown(bench: Any) -> None:
    run, cases = bench("run"), bench("our_cases")
    found = run.middle([{"failure": "a"}, {"failure": "b"}])
    for case in cases.CASES:
        assert "verdict no result" in run.report(case, found, judged=True)
    document = {"machine": MACHINE, "cases": {case.name: found for case in cases.CASES}}
    assert "| met |" not in bench("table").ours_table(document)


@pytest.mark.parametrize("error", [OSError("gone"), IndexError("no point"), DataError("torn"), TIMEOUT])
def test_whatever_a_repetition_fails_with_the_others_go_on(
    bench: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    run = bench("run")

    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(run, "measure", fail)
    found = run.attempt(bench("our_cases").CASES[0], None, None)
    assert found == {"failure": f"{type(error).__name__}: {error}"}


def test_a_goal_is_met_only_by_a_case_in_which_nothing_went_wrong(bench: Any) -> None:
    table, cases = bench("table"), bench("our_cases")
    goal = cases.Goal("flood", "events_per_s", ">=", 400_000, "events/s")
    good = {"events_per_s": 400_000.0, "failures": 0, "requests_not_ok": 0, "unmatched_chunks": 0}
    judged = {
        "met": good,
        "missed by 1": {**good, "events_per_s": 399_999.0},
        "missed; 1 of the runs failed": {**good, "failures": 1},
        "missed; 2 requests not ok": {**good, "requests_not_ok": 2},
        "missed by 1; 3 chunks unlike the server's log": {
            **good,
            "events_per_s": 399_999.0,
            "unmatched_chunks": 3,
        },
    }
    for words, result in judged.items():
        assert table.outcome(goal, result).endswith(f" | {words}")
        assert table.met(goal, result) == (words == "met")
    assert not table.met(goal, {"failures": 3})
    run = bench("run")
    assert run.judgement(goal, {**good, "events_per_s": 300_000.0}).endswith(": missed by 100,000")
    assert run.judgement(goal, {}) == "events/s: not measured (goal >= 400,000)"


def test_an_invalid_run_may_have_lost_requests(bench: Any) -> None:
    table = bench("table")
    goal = bench("our_cases").Goal("slowed-nice", "honest", ">=", 1, "honest")
    assert table.met(goal, {"honest": 1.0, "failures": 0, "requests_not_ok": 2})
    assert not table.met(goal, {"honest": 1.0, "failures": 1})
    assert not table.met(goal, {"honest": 0.0, "failures": 0, "requests_not_ok": 2})


def test_what_was_lost_once_is_not_hidden_by_a_median(bench: Any) -> None:
    repeats = [{"requests_not_ok": n, "unmatched_chunks": n} for n in (0, 0, 4)]
    found = bench("run").middle(repeats)
    assert (found["requests_not_ok"], found["unmatched_chunks"]) == (4, 4)


def test_every_paced_load_is_honest_or_invalid(bench: Any) -> None:
    cases = bench("our_cases")
    judged = {goal.case for goal in cases.GOALS if goal.metric == "honest"}
    assert judged == {case.name for case in cases.CASES if not case.flood}


def test_a_closed_loop_has_a_plateau(bench: Any) -> None:
    cases = bench("our_cases")
    for case in (*cases.CASES, *map(cases.quick, cases.CASES)):
        assert case.streams is None or case.requests > case.streams


def test_only_results_of_the_same_sources_and_machine_are_kept(bench: Any, tmp_path: Path) -> None:
    load = bench("run").load_results
    now = {"machine": MACHINE, "code": {"revision": "b", "sources": "1"}}
    path = tmp_path / "ours.json"
    assert load(path, now) == {}

    def stored(machine: dict[str, Any], sources: str) -> dict[str, Any]:
        code = {"revision": "a", "sources": sources}
        path.write_text(json.dumps({"machine": machine, "code": code, "cases": {"flood": {"x": 1}}}))
        return dict(load(path, now))

    assert stored(MACHINE, "1") == {"flood": {"x": 1}}
    assert path.exists()
    assert stored(MACHINE, "2") == {}
    assert not path.exists()
    assert (tmp_path / "ours.old.json").exists(), "moved, not lost"
    assert stored({**MACHINE, "cores": 4}, "1") == {}


def test_the_ratio_to_another_case(bench: Any) -> None:
    results = {
        "paced512": {"us_per_event": 8.0},
        "workers2": {"us_per_event": 9.0},
        "flood2": {"events_per_s": 9.0},
    }
    bench("run").compare(results)
    assert results["workers2"]["cpu_ratio_to_paced512"] == 9 / 8
    assert results["flood2"] == {"events_per_s": 9.0}, "the flood itself was not measured"


def test_a_case_without_enough_cores_is_named_and_a_floor_has_no_goal(bench: Any) -> None:
    table = bench("table")
    cases = {"paced512": {"repeats": [{}], "failures": 0, "floor": {"us_per_event": 4.25}}}
    text = table.ours_table({"machine": MACHINE, "cases": cases, "code": {"revision": "abc"}})
    assert "| flood, 2 workers on 2 cores | | | not measured: needs 3 cores | |" in text
    assert f"|  | {table.FLOOR} | | 4.25 | |" in text
    assert text.endswith("Python 3; commit abc.")
    assert table.floor({"missing": "gcc is not installed"}) == "not measured: gcc is not installed"


def test_a_profile_is_looked_at_while_the_load_lasts(bench: Any) -> None:
    breakdown = bench("breakdown")
    seconds = breakdown.SETTLE_S + 3 * breakdown.LOOK_S
    for case in bench("our_cases").CASES:
        long = breakdown.long_enough(case)
        if case.flood:
            lasts = long.requests * case.tokens / breakdown.FASTEST_EVENTS_PER_S
        elif case.streams is None:
            lasts = long.requests / case.rate
        else:
            lasts = long.requests / case.streams * case.ideal_s
        assert lasts > seconds, case.name


def test_a_tool_that_cannot_look_says_why(bench: Any) -> None:
    ask, missing = bench("breakdown").ask, []  # type: ignore[var-annotated]
    own = os.getpid()
    assert ask("perf", ["true"], own, missing)
    assert missing == []
    assert not ask("py-spy", ["/does/not/exist"], own, missing)
    assert not ask("perf", ["false"], own, missing)
    assert not ask("perf", ["true"], 1 << 30, missing)
    assert "No such file" in missing[0]
    assert missing[1] == "perf ended with status 1: it said nothing"
    assert missing[2].startswith("the worker ended while perf looked")


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({}, None),
        ({"verdict": None}, "no verdict"),
        ({"verdict": "INVALID"}, "the run is INVALID"),
        ({"growth_mib": 5.0}, "memory grew by 5.0 MiB"),
        ({"growth_mib": None}, "too few samples"),
        ({"last_tenth_p99_us": 31.0}, "over the bounds"),
    ],
)
def test_a_soak_without_a_verdict_does_not_pass(
    bench: Any, change: dict[str, Any], wrong: str | None
) -> None:
    good = {
        "growth_mib": 0.1,
        "last_tenth_p99_us": 5.0,
        "last_tenth_p999_us": 20.0,
        "verdict": "VALID",
        "failed_conditions": [],
    }
    found = bench("soak").judge({**good, **change})
    assert len(found) == (wrong is not None)
    assert not wrong or wrong in found[0]


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

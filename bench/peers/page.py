"""The side-by-side tables of docs/performance.md, from what ``peers.run`` stored.

cd bench && python -m peers.page        write them again
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import code_line, machine_line
from peers.cases import CASES, START
from peers.tools import TOOLS
from table import put

OURS = "inferometer"
RESULTS = Path(__file__).resolve().parents[2] / "build" / "bench"
_NOTES = """\
CPU and memory are those of the tool's whole process tree on one core, the server has the other one. CPU per event and
per request: over the whole life, in brackets without what starting and ending the tool costs (first table), and how
many times ours that is. Rates are from the server's log. Errors: what the tool reports less the same statistic of the
server's log, mean / p50 / p99 in ms; GuideLLM and genai-bench report one mean gap per request, the others all gaps.
Ours reports gaps between socket reads, which no server knows in a flood."""


@dataclass(frozen=True)
class PeerGoal:
    """How much better ours must be than a peer.

    Attributes:
        case: the load.
        tool: the peer.
        metric: of the medians.
        less: whether less of it is better.
        least: the ratio to reach.
        words: the metric, for people.
    """

    case: str
    tool: str
    metric: str
    less: bool
    least: float
    words: str


_CHEAPER = "CPU per event, without start and end, theirs / ours"
GOALS = (
    PeerGoal("closed-512x256", "vllm", "net_cpu_us_per_event", True, 3.0, _CHEAPER),
    PeerGoal("closed-512x256", "aiperf", "net_cpu_us_per_event", True, 8.0, _CHEAPER),
    PeerGoal("closed-512x256", "guidellm", "net_cpu_us_per_event", True, 8.0, _CHEAPER),
    PeerGoal("flood-64x512", "vllm", "events_per_s", False, 2.5, "events/s, ours / theirs"),
)


def main() -> int:
    """Write the page; 1 when there is nothing to write."""
    documents = stored(RESULTS)
    if documents:
        put("peers", peers_tables(documents))
    return 0 if documents else 1


def stored(folder: Path) -> list[dict[str, Any]]:
    """The results in ``folder``, in the order of the tools."""
    paths = [folder / f"peers-{tool.name}.json" for tool in TOOLS]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]


def peers_tables(documents: Sequence[Mapping[str, Any]]) -> str:
    """One table of the tools, one of all loads, and how to read them."""
    lines = [*goals_table(documents), ""]
    lines += ["| tool | version | start and end: CPU s | MB |", "| --- | --- | --- | --- |"]
    for document in documents:
        start = _result(document, START.name)
        lines.append(
            f"| {document['title']} | {document['version']} | {_number(start, 'cpu_s', 1)} "
            f"| {_number(start, 'peak_mb', 0)} |"
        )
    lines += [
        "",
        "| load | tool | CPU us per event | x ours | CPU ms per request | peak MB | req/s | tok/s | TTFT error "
        "| ITL error |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for case in CASES:
        if case is not START:
            lines += _rows(case.name, case.title, documents)
    repeats = max(
        (len(entry["runs"]) for document in documents for entry in document["cases"].values()), default=0
    )
    machines = dict.fromkeys(machine_line(document["machine"]) for document in documents)
    code = [code_line(document["code"]) for document in documents if document.get("code")]
    end = "; ".join([*machines, *code])
    return "\n".join([*lines, "", _NOTES, f"Medians of {repeats}. {end}."])


def goals_table(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """One row for each goal that names a peer."""
    by_tool = {document["tool"]: document for document in documents}
    titles = {case.name: case.title for case in CASES}
    names = {tool.name: tool.title for tool in TOOLS}
    rows = ["| load | against | metric | goal | measured | |", "| --- | --- | --- | --- | --- | --- |"]
    rows += [
        f"| {titles[goal.case]} | {names[goal.tool]} | {goal.words} | >= {goal.least:g} "
        f"| {' | '.join(map(_cell, judged(goal, by_tool)))} |"
        for goal in GOALS
    ]
    return rows


def judged(goal: PeerGoal, by_tool: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    """The ratio, and whether it is met, missed or not measured, with the reason."""
    entries = [by_tool.get(tool, {"cases": {}})["cases"].get(goal.case, {}) for tool in (OURS, goal.tool)]
    ours, theirs = ((entry.get("median") or {}).get(goal.metric) for entry in entries)
    failed = [entry.get("failed") for entry in entries]
    if not ours or not theirs:
        reasons = [f"{who} {why}" for who, why in zip(("ours", "theirs"), failed, strict=True) if why]
        return "-", "; ".join(["not measured", *reasons])
    ratio = theirs / ours if goal.less else ours / theirs
    lacks = f" by {goal.least - ratio:.2f}" if ratio < goal.least else ""
    reasons = [f"ours not every time: {failed[0]}"] if failed[0] else []
    word = f"missed{lacks}" if lacks or reasons else "met"
    return f"{ratio:.2f}", "; ".join([word, *reasons])


def _rows(name: str, title: str, documents: Sequence[Mapping[str, Any]]) -> list[str]:
    ours = next((_result(document, name) for document in documents if document["tool"] == OURS), None)
    rows = []
    for document in documents:
        entry = document["cases"].get(name)
        if entry is None:
            continue
        found = entry["median"]
        head = f"| {title} | {document['title']} |"
        title = ""
        if found is None:
            rows.append(f"{head} {_cell(entry['failed'])} | | | | | | | |")
            continue
        cells = [
            f"{_number(found, 'cpu_us_per_event', 1)} ({_number(found, 'net_cpu_us_per_event', 1)})",
            _ratio(found, ours),
            f"{_number(found, 'cpu_ms_per_request', 3)} ({_number(found, 'net_cpu_ms_per_request', 3)})",
            _number(found, "peak_mb", 0),
            _number(found, "requests_per_s", 1),
            _number(found, "events_per_s", 0),
            _errors(found, "ttft"),
            _errors(found, "itl"),
        ]
        rows.append(f"{head} {' | '.join(cells)} |")
        doubts = [f"called INVALID by itself: {', '.join(found['doubts'])}"] if found["doubts"] else []
        doubts += [f"not every time: {entry['failed']}"] if entry["failed"] else []
        rows += [f"| | | {_cell(doubt)} | | | | | | | |" for doubt in doubts]
    return rows


def _result(document: Mapping[str, Any], case: str) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = document["cases"].get(case, {}).get("median")
    return found


def _number(found: Mapping[str, Any] | None, key: str, digits: int) -> str:
    value = found.get(key) if found else None
    return "-" if value is None else f"{value:,.{digits}f}"


def _ratio(found: Mapping[str, Any], ours: Mapping[str, Any] | None) -> str:
    theirs, mine = found["net_cpu_us_per_event"], ours and ours["net_cpu_us_per_event"]
    return "-" if not mine or theirs is None else f"{theirs / mine:.1f}"


def _errors(found: Mapping[str, Any], metric: str) -> str:
    values = [found["error"][metric][key] for key in ("mean", "p50", "p99")]
    return " / ".join("-" if value is None else f"{value:+,.3g}" for value in values)


def _cell(text: str) -> str:
    return text.replace("|", "/")


if __name__ == "__main__":
    sys.exit(main())

"""Writes what was measured into docs/performance.md, between markers; nothing there is written by hand.

python bench/table.py        make the table again from build/bench/ours.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from machine import code_line, machine_line
from our_cases import CASES, GOALS, Goal

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
FLOOR = "CPU per event of a C client that only reads and counts, for scale, us"


def put(name: str, text: str, page: Path = PAGE) -> None:
    """Replace what stands between the markers of ``name``; new markers go to the end of the page."""
    start, end = f"<!-- bench:{name} -->", f"<!-- end of bench:{name} -->"
    old = page.read_text() if page.exists() else "# Performance\n"
    if start not in old:
        old = f"{old.rstrip()}\n\n{start}\n{end}\n"
    before, _, rest = old.partition(start)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{start}\n{text.strip()}\n{end}{after}")


def write_ours(document: dict[str, Any]) -> None:
    """The table of goals and what was measured."""
    put("ours", ours_table(document))


def ours_table(document: dict[str, Any]) -> str:
    """One row a goal, and the machine."""
    lines = ["| load | metric | goal | measured | |", "| --- | --- | --- | --- | --- |"]
    for case in CASES:
        result = document["cases"].get(case.name)
        if result is None:
            if case.own_cores > 1 and case.own_cores >= document["machine"]["cores"]:
                lines.append(f"| {case.title} | | | not measured: needs {case.own_cores + 1} cores | |")
            continue
        title = f"{case.title} ({len(result['repeats'])} x)"
        for goal in (g for g in GOALS if g.case == case.name):
            lines.append(
                f"| {title} | {goal.words} | {goal.op} {number(goal.limit)} | {outcome(goal, result)} |"
            )
            title = ""
        if "floor" in result:
            lines.append(f"| {title} | {FLOOR} | | {floor(result['floor'])} | |")
        if case.slowed:
            lines.append(f"| {title} | error p99, p99.9; verdict | | {slowed(result)} | |")
    foreign = [
        document["cases"][case.name]["foreign_cores"]
        for case in CASES
        if "foreign_cores" in document["cases"].get(case.name, ()) and not case.slowed
    ]
    note = (
        "Medians, but the worst run for what is 1 = yes and for streams held; "
        f"other programs used up to {max(foreign):.2f} cores meanwhile. "
        if foreign
        else ""
    )
    end = f"{machine_line(document['machine'])}; {code_line(document.get('code', {}))}."
    return "\n".join([*lines, "", f"{note}{end}"])


def outcome(goal: Goal, result: dict[str, Any]) -> str:
    """The measured value and whether it is enough."""
    value = result.get(goal.metric)
    if value is None:
        return "not measured | "
    return f"{number(value)} | {'met' if met(goal, result) else why_missed(goal, value, result)}"


def met(goal: Goal, result: dict[str, Any]) -> bool:
    """Whether a goal is reached: measured, good enough, and no repetition failed or lost anything."""
    value = result.get(goal.metric)
    return value is not None and goal.met(value) and not spoilt(goal, result)


def spoilt(goal: Goal, result: dict[str, Any]) -> list[str]:
    """Why the figures of a case do not count, however good they look.

    ``honest`` has the losses in it already: a run that calls itself INVALID may have lost something.
    """
    found = (
        ("failures", "{} of the runs failed"),
        ("requests_not_ok", "{:.0f} requests not ok"),
        ("unmatched_chunks", "{:.0f} chunks unlike the server's log"),
    )
    return [
        words.format(result[name])
        for name, words in found
        if result.get(name) and (name == "failures" or goal.metric != "honest")
    ]


def why_missed(goal: Goal, value: float, result: dict[str, Any]) -> str:
    """What keeps a goal from being met."""
    lacks = "" if goal.met(value) else f" by {number(abs(value - goal.limit))}"
    return "; ".join([f"missed{lacks}", *spoilt(goal, result)])


def floor(found: dict[str, Any]) -> str:
    """What the C client cost."""
    return number(found["us_per_event"]) if "us_per_event" in found else f"not measured: {found['missing']}"


def number(value: float | None) -> str:
    """A number as people read it: three digits, thousands with commas; "-" for none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def slowed(result: dict[str, Any]) -> str:
    """What a held-up client measured and said."""
    if result.get("error_p99_us") is None:
        return "not measured"
    words = ", ".join(sorted(set(result["verdict"])))
    return f"{result['error_p99_us']:,.0f} us, {result['error_p999_us']:,.0f} us; {words}"


if __name__ == "__main__":
    write_ours(json.loads((ROOT / "build" / "bench" / "ours.json").read_text()))
    sys.exit(0)

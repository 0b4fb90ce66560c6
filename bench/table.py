"""Writes what was measured into docs/performance.md, between markers; nothing there is written by hand.

python bench/table.py        make the table again from build/bench/ours.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from machine import machine_line
from our_cases import CASES, GOALS, Goal

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"


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
            continue
        title = f"{case.title} ({len(result['repeats'])} x)"
        for goal in (g for g in GOALS if g.case == case.name):
            lines.append(
                f"| {title} | {goal.words} | {goal.op} {number(goal.limit)} | {outcome(goal, result)} |"
            )
            title = ""
        if case.slowed:
            lines.append(f"| {title} | error p99, p99.9; verdict | | {slowed(result)} | |")
    foreign = [
        document["cases"][case.name].get("foreign_cores", 0)
        for case in CASES
        if case.name in document["cases"] and not case.slowed
    ]
    note = (
        "Medians, but the worst run for what is 1 = yes and for streams held; "
        f"other programs used up to {max(foreign, default=0):.2f} cores meanwhile."
    )
    return "\n".join([*lines, "", f"{note} {machine_line(document['machine'])}."])


def outcome(goal: Goal, result: dict[str, Any]) -> str:
    """The measured value and whether it is enough."""
    value = result.get(goal.metric)
    if value is None:
        return "not measured | "
    missed = f"missed by {number(abs(value - goal.limit))}"
    return f"{number(value)} | {'met' if goal.met(value) else missed}"


def number(value: float) -> str:
    """A number as people read it: three digits, thousands with commas."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def slowed(result: dict[str, Any]) -> str:
    """What a held-up client measured and said."""
    if "error_p99_us" not in result:
        return "not measured"
    words = ", ".join(sorted(set(result["verdict"])))
    return f"{result['error_p99_us']:,.0f} us, {result['error_p999_us']:,.0f} us; {words}"


if __name__ == "__main__":
    write_ours(json.loads((ROOT / "build" / "bench" / "ours.json").read_text()))
    sys.exit(0)

"""A comparison of simulated services as text: a table for each load point, and the answer."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.report.text import percent, table
from inferometer.report.what_if import Cell, Comparison, Fewest, LoadOf, short

_NO_DIFFERENCE = 1e-3  # smaller ones are not worth a sign
_TIMES = 2.0  # larger ones are factors


def comparison_lines(comparison: Comparison) -> list[str]:
    """The comparison as text: the answer, and a table for each load point."""
    lines = ["What if (simulated)"]
    for load in comparison.loads:
        one_stands_alone = len(load.rows) == 1 and load.best is not None  # as after an interrupt
        verdict = [] if comparison.fewest or one_stands_alone else _verdict(load, comparison.limits)
        lines += ["", load.title, *_table(load), *verdict]
        lines += [f"  {row.label}: {text}" for row in load.rows for text in row.warnings]
    if comparison.fewest:
        lines += ["", *(_fewest_line(one, comparison) for one in comparison.fewest)]
    lines += ["", *(f"  {text}" for text in comparison.notes)]
    return [*lines, *(f"run  {one['run']}  ({one['label']})" for one in comparison.simulations)]


def _table(load: LoadOf) -> list[str]:
    titles = list(dict.fromkeys(title for row in load.rows for title in row.cells))
    limited = any(row.meets is not None for row in load.rows)
    rows: list[list[str]] = []
    for row in load.rows:
        cells = [row.cells.get(title, Cell()) for title in titles]
        word = {True: "met", False: "missed", None: ""}[row.meets]
        rows.append([row.label, *map(_value, cells, titles), *([word] if limited else [])])
        if any(cell.low is not None for cell in cells):
            sure = "surely" if row.surely else "not surely" if row.meets else ""
            rows.append(["  90 %", *map(_range, cells, titles), *([sure] if limited else [])])
        if any(cell.difference is not None for cell in cells):
            rows.append(["  difference", *map(_difference, cells, titles), *([""] if limited else [])])
    header = ["service", *titles, *(["limits"] if limited else [])]
    lines = table(header, rows, "<" + ">" * len(titles) + ("<" if limited else ""))
    return [f"  {line}" for line in lines]


def _verdict(load: LoadOf, limits: Sequence[str]) -> list[str]:
    within = " within your limits" if any(row.limited for row in load.rows) else ""
    if load.best is None:
        known = any(row.meets is not None for row in load.rows)
        texts = [f"    {row.label}: {', '.join(row.failing)}" for row in load.rows if row.failing]
        none = "none of these meets" if known else "it is not known whether any of these meets"
        return [f"  {none} {', '.join(limits)}" if limits else "  nothing was answered", *texts]
    return [f"  best{within}: {load.best} ({load.rule})"]


def _fewest_line(one: Fewest, comparison: Comparison) -> str:
    what = f"{one.label}: " if one.label else ""
    limits = ", ".join(comparison.limits)
    if one.enough is None and one.unknown:
        these = "1 instance meets" if one.most == 1 else f"{one.most} instances meet"
        return f"{what}it is not known whether {these} the limits: {one.unknown}"
    if one.enough is None:
        these = "1 instance does" if one.most == 1 else f"{one.most} instances do"
        return (
            f"{what}{these} not meet {limits}: allow more (--instances auto:{4 * one.most}), "
            "or change what each of them is"
        )
    below = "" if one.enough == 1 else "; 1 does not" if one.enough == 2 else f"; {one.enough - 1} do not"
    sure = ""
    if one.sure is not None:
        sure = (
            ", at the worse end of the 90 % intervals too"
            if one.sure == one.enough
            else f"; {one.sure} do at the worse end of the 90 % intervals too"
        )
    return f"{what}{one.enough} instance{'s meet' if one.enough > 1 else ' meets'} {limits}{sure}{below}"


def _value(cell: Cell, title: str) -> str:
    return percent(cell.value) if title == "attainment" else short(cell.value)


def _range(cell: Cell, title: str) -> str:
    if cell.low is None or cell.high is None:
        return ""
    if title == "attainment":
        return f"{percent(cell.low)} to {percent(cell.high)}"
    return f"{short(cell.low)} to {short(cell.high)}"


def _difference(cell: Cell, title: str) -> str:
    """A tilde before a difference that is not larger than the ensemble's spread."""
    if cell.difference is None:
        return ""
    if abs(cell.difference) < _NO_DIFFERENCE:
        return "="
    sign = "~" if cell.sure is False else ""
    if title == "attainment":
        return f"{sign}{100 * cell.difference:+.1f} points"
    if cell.difference > _TIMES:
        return f"{sign}x{short(1.0 + cell.difference)}"
    return f"{sign}{cell.difference:+.1%}"

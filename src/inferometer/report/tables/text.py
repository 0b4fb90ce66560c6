"""Tables as text: for a terminal of some width, and as Markdown. Wide East Asian signs count as two."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.cells import cell_len

from inferometer.report.tables.model import Cell, Column, Table, TableReport
from inferometer.report.text import ABSENT, count, paint

UNPROVEN = "*"
_GAP = 2


def console(report: TableReport, width: int, *, colour: bool = False, unproven: bool = False) -> str:
    """The tables for a terminal: verdict first, and turned on their side where they are wider than it.

    Args:
        report: what to print.
        width: columns of the terminal.
        colour: ANSI colour for the verdict.
        unproven: percentiles of too few requests are shown whatever the style thinks of them.
    """
    heads = [line for headline in report.headlines for line in _wrapped(headline, width)]
    parts = [[paint(line, report.verdict, colour) for line in heads]]
    for table in report.tables:
        columns, body = _texts(table, report, unproven)
        title = f"{table.name}, {report.title}"
        parts.append([title, *(f"  {line}" for line in _fitted(columns, body, width - _GAP))])
    notes = [_footnote(report, unproven), *report.style.notes]
    parts.append([line for note in notes if note for line in _wrapped(note, width)])
    return "\n\n".join("\n".join(part) for part in parts if part)


def markdown(report: TableReport, *, unproven: bool = False) -> str:
    """The tables as Markdown whose source is aligned too."""
    parts = [f"**{headline}**" for headline in report.headlines]
    for table in report.tables:
        columns, body = _texts(table, report, unproven)
        parts += [f"{table.name}, {report.title}", "\n".join(_markdown_lines(columns, body))]
    notes = [_footnote(report, unproven), *report.style.notes]
    parts.append("\n".join(f"- {_escaped(note)}" for note in notes if note))
    return "\n\n".join(parts)


def written(cell: Cell, column: Column, *, strict: bool, grouped: bool) -> str:
    """A cell as text; an absent one as n/a, one that nobody can know as nothing.

    Args:
        cell: what to write.
        column: how many digits it has after the point.
        strict: a percentile of too few requests counts as absent; else it is marked.
        grouped: thousands are set apart.
    """
    value = cell.value
    if value is None or (strict and cell.needs is not None):
        return ABSENT
    if isinstance(value, str):
        return value
    text = f"{value:,.{0 if isinstance(value, int) else column.decimals}f}"
    return (text if grouped else text.replace(",", "")) + (UNPROVEN if cell.needs is not None else "")


def _texts(table: Table, report: TableReport, unproven: bool) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of what text shows."""
    strict, grouped = report.style.strict and not unproven, report.style.grouped
    shown = [place for place, column in enumerate(table.columns) if not column.files_only]
    rows = [
        [written(row[place], table.columns[place], strict=strict, grouped=grouped) for place in shown]
        for row in table.rows
    ]
    return [table.columns[place].heading for place in shown], rows


def _footnote(report: TableReport, unproven: bool) -> str:
    if not report.needs:
        return ""
    rule = f"a percentile p takes 10 / (1 - p) values, up to {count(report.needs)} here"
    if report.style.strict and not unproven:
        return f"{ABSENT}: not measured, or too few requests: {rule}; --unproven shows them."
    return f"{UNPROVEN} too few requests to rely on: {rule}."


def _fitted(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """As it is, if it fits; else loads become columns, and as many stand side by side as fit."""
    plain = _aligned([headings, *rows])
    if max(cell_len(line) for line in plain) <= width:
        return plain
    lines: list[str] = []
    left = max(cell_len(heading) for heading in headings)
    blocks = _blocks([max(cell_len(text) for text in row) for row in rows], width - left)
    for begin, end in blocks:
        turned = [[heading, *(row[i] for row in rows[begin:end])] for i, heading in enumerate(headings)]
        lines += [*([""] if lines else []), *_aligned(turned)]
    return lines


def _blocks(widths: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Runs of columns that fit side by side; at least one each."""
    found, begin, used = [], 0, 0
    for place, wide in enumerate(widths):
        if place > begin and used + _GAP + wide > room:
            found.append((begin, place))
            begin, used = place, 0
        used += _GAP + wide
    return [*found, (begin, len(widths))]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Two blanks between columns; the first to the left, the others to the right."""
    widths = _widths(rows)
    return [
        (" " * _GAP)
        .join(
            _padded(text, wide, right=i > 0) for i, (text, wide) in enumerate(zip(row, widths, strict=True))
        )
        .rstrip()
        for row in rows
    ]


def _markdown_lines(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A pipe table: the first column to the left, the others to the right."""
    cells = [[_escaped(text) for text in row] for row in (headings, *rows)]
    widths = [max(wide, 3) for wide in _widths(cells)]
    rule = [("-" * wide if i == 0 else "-" * (wide - 1) + ":") for i, wide in enumerate(widths)]
    padded = [
        [_padded(text, wide, right=i > 0) for i, (text, wide) in enumerate(zip(row, widths, strict=True))]
        for row in cells
    ]
    return [f"| {' | '.join(row)} |" for row in (padded[0], rule, *padded[1:])]


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(cell_len(row[i]) for row in rows) for i in range(len(rows[0]))]


def _padded(text: str, wide: int, *, right: bool) -> str:
    blanks = " " * (wide - cell_len(text))
    return blanks + text if right else text + blanks


def _escaped(text: str) -> str:
    """Signs that Markdown would read as its own."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*").replace("\n", " ")


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)

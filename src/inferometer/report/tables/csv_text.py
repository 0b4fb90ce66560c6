"""A table as CSV: one heading line, plain numbers, nothing else."""

from __future__ import annotations

import csv
import io

from inferometer.report.tables.model import Cell, Table, Value

_DIGITS = 6  # after the point: 1 ns of a value in ms


def csv_text(table: Table, *, unproven: bool = False) -> str:
    """The table in RFC 4180's form but for plain newlines; an absent value is an empty cell.

    Args:
        table: what to write.
        unproven: percentiles of too few requests are written, and named in a column of their own.
    """
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    headings = [column.csv_heading for column in table.columns]
    writer.writerow([*headings, "unproven"] if unproven else headings)
    for row in table.rows:
        cells = [plain(cell, unproven=unproven) for cell in row]
        weak = [heading for heading, cell in zip(headings, row, strict=True) if cell.needs is not None]
        writer.writerow([*cells, " ".join(weak)] if unproven else cells)
    return target.getvalue()


def plain(cell: Cell, *, unproven: bool) -> Value:
    """The value for a program: rounded far below what can be measured; None where it is absent or not proven."""
    if cell.needs is not None and not unproven:
        return None
    return round(cell.value, _DIGITS) if isinstance(cell.value, float) else cell.value

"""Tables as an Excel workbook: a sheet each, and one that says what the numbers are and whether to believe them."""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

import xlsxwriter
from rich.cells import cell_len

from inferometer.metrics.verdict import Word
from inferometer.report.tables.csv_text import plain
from inferometer.report.tables.model import Table, TableReport
from inferometer.version import __version__

_FILLS: dict[Word, str] = {"VALID": "#C6EFCE", "WARN": "#FFEB9C", "INVALID": "#FFC7CE"}
_WEAK = "#7F7F7F"
_WIDEST = 40
_NOTES = "notes"


def workbook(report: TableReport, *, unproven: bool = False) -> bytes:
    """The file's content; the same report gives the same bytes.

    Args:
        report: what to write.
        unproven: percentiles of too few requests are written, in grey italics; else their cells stay empty.
    """
    target = io.BytesIO()
    book = xlsxwriter.Workbook(
        target, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    book.set_properties({"created": _created(report.created_utc), "comments": f"inferometer {__version__}"})
    formats = _Formats(book)
    for table in report.tables:
        _write_table(book.add_worksheet(table.name[:31]), table, formats, unproven)
    _write_notes(book.add_worksheet(_NOTES), report, formats)
    book.close()
    return target.getvalue()


class _Formats:
    """Formats of a workbook, each made once."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._made: dict[tuple[tuple[str, Any], ...], Any] = {}

    def of(self, **properties: Any) -> Any:
        """The format with these properties."""
        key = tuple(sorted(properties.items()))
        if key not in self._made:
            self._made[key] = self._book.add_format(properties)
        return self._made[key]

    def number(self, decimals: int, *, weak: bool) -> Any:
        """Digits after the point; grey and slanted where too few requests are behind the number."""
        pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
        return self.of(num_format=pattern, **({"italic": True, "font_color": _WEAK} if weak else {}))

    def verdict(self, word: Word) -> Any:
        """Green, yellow or red."""
        return self.of(bg_color=_FILLS[word], bold=True)


def _write_table(sheet: Any, table: Table, formats: _Formats, unproven: bool) -> None:
    head = formats.of(bold=True, bottom=1, text_wrap=True, valign="top")
    for place, column in enumerate(table.columns):
        sheet.write_string(0, place, column.heading, head)
        widest = max((cell_len(str(plain(row[place], unproven=True))) for row in table.rows), default=0)
        sheet.set_column(place, place, min(max(cell_len(column.heading), widest, 8) + 2, _WIDEST))
    for line, (row, word) in enumerate(zip(table.rows, table.verdicts, strict=True), start=1):
        for place, (cell, column) in enumerate(zip(row, table.columns, strict=True)):
            value = plain(cell, unproven=unproven)
            if value is None or value == "":
                continue
            if column.heading == "verdict":
                sheet.write_string(line, place, str(value), formats.verdict(word))
            elif isinstance(value, str):
                sheet.write_string(line, place, value)
            else:
                decimals = column.decimals if isinstance(value, float) else 0
                sheet.write_number(line, place, value, formats.number(decimals, weak=cell.needs is not None))
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, len(table.rows), len(table.columns) - 1)


def _write_notes(sheet: Any, report: TableReport, formats: _Formats) -> None:
    """Verdicts, what to know, and for each column its unit and formula."""
    bold = formats.of(bold=True)
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 1, 48)
    sheet.set_column(2, 3, 24)
    sheet.write_string(0, 0, report.title, bold)
    line = 1
    for headline in report.headlines:
        sheet.write_string(line, 0, headline, formats.verdict(_word_of(headline)))
        line += 1
    notes = [*report.style.notes]
    if report.needs:
        notes.append(
            "A percentile p takes 10 / (1 - p) values; of fewer it is left out, or grey where it was asked for."
        )
    for note in notes:
        sheet.write_string(line, 0, note)
        line += 1
    for place, heading in enumerate(("table", "column", "unit", "formula")):
        sheet.write_string(line + 1, place, heading, bold)
    line += 2
    for table in report.tables:
        for column in table.columns:
            for place, text in enumerate((table.name, column.heading, column.unit, column.formula)):
                sheet.write_string(line, place, text)
            line += 1


def _word_of(headline: str) -> Word:
    """The verdict that a headline begins with."""
    return next((word for word in _FILLS if headline.startswith(word)), "INVALID")


def _created(created_utc: str) -> datetime:
    """When the run was made, so that the file does not depend on when it was written."""
    try:
        return datetime.fromisoformat(created_utc.replace("Z", "+00:00")).replace(tzinfo=None)
    except ValueError:
        return datetime(1980, 1, 1)  # the oldest that a zip file can say

"""A table report in a format, as text or as files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inferometer.errors import UsageError
from inferometer.report.tables.csv_text import csv_text
from inferometer.report.tables.model import TableReport
from inferometer.report.tables.placing import check_free, place
from inferometer.report.tables.text import console, markdown

Format = Literal["console", "md", "csv", "xlsx"]
FORMATS: tuple[Format, ...] = ("console", "md", "csv", "xlsx")
WORKBOOK = "output.xlsx"  # as Huawei's benchmark.py names it
_SUFFIXES: dict[str, Format] = {".md": "md", ".csv": "csv", ".xlsx": "xlsx", ".txt": "console"}
_TEXT_WIDTH = 160
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class How:
    """How a table is written.

    Attributes:
        encoding: of text files; "utf-8-sig" begins with the mark that Excel on a Chinese Windows looks for.
        unproven: percentiles of too few requests too.
        overwrite: replace a file that is there.
    """

    format: Format
    encoding: Literal["utf-8", "utf-8-sig"] = "utf-8"
    unproven: bool = False
    overwrite: bool = False


def check_name(to: str, form: Format | None, flag: str = "--to") -> Format | None:
    """The format that a name to write to says, None when it says none.

    Args:
        to: the name of a file or directory.
        form: what was asked for besides; None = nothing.
        flag: what the name was given by.

    Raises:
        UsageError: the name is empty, says another format than ``form``, or one that there is not.
    """
    path = Path(to)
    if not to:
        raise UsageError(f"{flag} was given an empty name", f"name a file: {flag} table.csv")
    if to.endswith("/") or path.is_dir():
        return None
    told = _SUFFIXES.get(path.suffix.lower())
    if form is None and told is None and path.suffix:
        raise UsageError(
            f"{flag} {to}: no table is written as {path.suffix}",
            f"end the name in {', '.join(_SUFFIXES)}, or give --format",
        )
    if form and told and form != told:
        raise UsageError(
            f"{flag} {to} contradicts the format {form}", "leave one out, or end the name in another way"
        )
    return told


def as_text(report: TableReport, how: How, width: int = _TEXT_WIDTH, *, colour: bool = False) -> str:
    """The report as one text; a newline stands at its end only for CSV.

    Raises:
        UsageError: a workbook is no text, and CSV holds one table.
    """
    if how.format == "xlsx":
        raise UsageError("an Excel workbook cannot be printed", f"give it a name: --to {WORKBOOK}")
    if how.format == "md":
        return markdown(report, unproven=how.unproven)
    if how.format == "console":
        return console(report, width, colour=colour, unproven=how.unproven)
    if len(report.tables) > 1:
        names = " and ".join(table.name for table in report.tables)
        raise UsageError(
            f"these are two tables, {names}, and CSV holds one",
            "name a directory: a name that ends with a slash",
        )
    return _marked(csv_text(report.tables[0], unproven=how.unproven), how)


def write(report: TableReport, to: str, how: How) -> list[Path]:
    """Write the report to a file; into a directory under the names of its tables, CSV one file a table.

    Args:
        report: what to write.
        to: a file, or a directory that exists or ends with a slash.
        how: format and manners.

    Returns:
        What was written.

    Raises:
        UsageError: a file exists already or cannot be written, or CSV of several tables has one name.
    """
    files = _files(report, Path(to), to.endswith("/") or Path(to).is_dir(), how)
    for path in files:
        if to.endswith("/") and not path.parent.exists():
            path.parent.mkdir(parents=True)
        check_free(path, overwrite=how.overwrite)
    for path, content in files.items():
        place(path, content, overwrite=how.overwrite)
    return list(files)


def _files(report: TableReport, to: Path, directory: bool, how: How) -> dict[Path, bytes]:
    if how.format == "xlsx":
        from inferometer.report.tables.workbook import workbook

        path = to / WORKBOOK if directory else to
        return {path: workbook(report, unproven=how.unproven)}
    if how.format == "csv" and directory:
        return {
            to / f"{table.name}.csv": _marked(csv_text(table, unproven=how.unproven), how).encode()
            for table in report.tables
        }
    suffix = "md" if how.format == "md" else "csv" if how.format == "csv" else "txt"
    path = to / f"{report.style.name}.{suffix}" if directory else to
    text = as_text(report, how)
    return {path: (text if how.format == "csv" else _marked(text, how) + "\n").encode()}


def _marked(text: str, how: How) -> str:
    return _BOM + text if how.encoding == "utf-8-sig" else text

"""The table of a run that has just ended, as ``run --table`` and ``--csv`` ask for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from inferometer.errors import UsageError
from inferometer.spec.model import Output

if TYPE_CHECKING:
    from inferometer.api import RunResult


def check_wanted(output: Output) -> None:
    """Refuse a file that could not be written after the run, before anything is sent.

    Raises:
        UsageError: see ``check_name`` and ``check_free``; replacing a file is not offered here.
    """
    if output.csv is None:
        return
    from inferometer.report.tables.output import check_name
    from inferometer.report.tables.placing import check_free

    check_name(output.csv, "csv", "--csv")
    check_free(Path(output.csv), next_step="give --csv another name, or remove that file")


def print_wanted(result: RunResult, output: Output, width: int, *, colour: bool) -> None:
    """Print the table that was asked for, and write it; nothing when none was.

    Raises:
        UsageError: the file could not be written; names the folder that the run is kept in.
    """
    if output.table is None and output.csv is None:
        return
    from inferometer import api
    from inferometer.report.tables import console
    from inferometer.report.tables.output import How, write

    report = api.tables([result.path], output.table or "ours", summaries=[result.summary])
    if output.table is not None:
        print(f"\n{console(report, width, colour=colour)}\n")
    if output.csv is not None:
        try:
            written = write(report, output.csv, How("csv"))
        except UsageError as error:
            error.run_folder = str(result.path)
            raise
        for path in written:
            print(f"table  {path}")

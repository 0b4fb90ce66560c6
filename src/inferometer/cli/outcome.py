"""How a finished run is shown."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING

from inferometer.cli.tables import print_wanted
from inferometer.cli.tracking import print_tracked

if TYPE_CHECKING:
    from inferometer.api import RunResult
    from inferometer.spec.model import Output


def terminal() -> bool:
    """Whether a person is watching: both streams are terminals."""
    return sys.stdout.isatty() and sys.stderr.isatty()


def colour() -> bool:
    """Whether stdout takes colours, and the person wants them (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def unicode() -> bool:
    """Whether stdout takes signs beyond ASCII."""
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")


def width() -> int:
    """Columns to print into; 100 when the output is no terminal."""
    return shutil.get_terminal_size((100, 24)).columns


def print_page(result: RunResult) -> None:
    """Where the report of a run is, if it was written, or why it could not be."""
    from inferometer.report.files import REPORT_HTML

    page = result.path / REPORT_HTML
    if result.page_fault:
        again = f"INFEROMETER_DEBUG=1 inferometer report {result.path} --html"
        why = f"{result.page_fault}; what was measured is kept, and {again} shows more"
        print(f"warning: {page} was not written: {why}", file=sys.stderr)
    elif page.exists():
        print(f"report  {page}")


def print_outcome(result: RunResult, as_json: bool, output: Output | None = None) -> int:
    """Print the console report, a table if ``output`` asks for one, where the run is, and the line for machines."""
    from inferometer.report.console import render_run

    print(render_run(result.summary, width(), colour=colour(), unicode=unicode()))
    if output is not None:
        print_wanted(result, output, width(), colour=colour())
    print(f"run  {result.path}")
    print_page(result)
    if output is not None:
        print_tracked(result, output.track)
    if result.summary.state != "complete" and result.summary.prediction is None:
        print(f"next  inferometer run --resume {result.path}")
    if as_json:
        verdict = result.summary.verdict.word
        line = {"run": str(result.path), "verdict": verdict, "exit_code": result.exit_code}
        print(json.dumps(line, ensure_ascii=False))
    return result.exit_code

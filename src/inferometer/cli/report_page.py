"""``inferometer report --html``: stored runs as one HTML file to be read, sent on, and printed."""

from __future__ import annotations

import argparse
from pathlib import Path

from inferometer.errors import UsageError

_ELSE = ("table", "format", "to", "csv", "md", "xlsx", "encoding", "view", "unproven", "nodes_served", "json")
_SUFFIXES = (".html", ".htm")


def add_page_flag(parser: argparse.ArgumentParser) -> None:
    """``--html [FILE]``."""
    parser.add_argument(
        "--html",
        nargs="?",
        const="",
        metavar="FILE",
        help="one page with every picture and table, which needs no network and no other file; several RUNs lie over "
        "each other in it (without FILE: report.html of the one run, written anew)",
    )


def write_html(asked: argparse.Namespace, folders: list[Path]) -> int:
    """Write the page to the file that was named, or into the folder of the run.

    Raises:
        UsageError: tables or views were asked for too, or the file cannot be written, or is there already.
    """
    from inferometer import api
    from inferometer.report.files import REPORT_HTML
    from inferometer.report.tables.placing import check_free, place

    other = next((name for name in _ELSE if getattr(asked, name)), None)
    if other is not None:
        flag = "--as" if other == "view" else f"--{other.replace('_', '-')}"
        raise UsageError(f"--html and {flag} are two things to write", "ask for one at a time")
    if not asked.html and len(folders) > 1:
        raise UsageError("a page of several runs belongs into no run's folder", "name it: --html FILE.html")
    path = Path(asked.html or folders[0] / REPORT_HTML)
    if path.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"--html {asked.html!r} is no name of a page", "end it in .html")
    overwrite = asked.overwrite or not asked.html
    check_free(path, overwrite=overwrite)
    place(path, api.report_page(folders, asked.lang or "en").encode(), overwrite=overwrite)
    print(f"report  {path}")
    return 0

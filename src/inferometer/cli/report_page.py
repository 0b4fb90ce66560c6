"""``inferometer report --html``: stored runs as one HTML file to be read, sent on, and printed."""

from __future__ import annotations

import argparse
from pathlib import Path

from inferometer.errors import UsageError

_ELSE = ("table", "format", "to", "csv", "md", "xlsx", "encoding", "view", "unproven", "nodes_served", "json")
_SUFFIXES = (".html", ".htm")


def add_page_flag(parser: argparse.ArgumentParser) -> None:
    """``--html FILE``."""
    parser.add_argument(
        "--html",
        metavar="FILE",
        help="one page with every picture and table, which needs no network and no other file; several RUNs lie over "
        "each other in it",
    )


def write_html(asked: argparse.Namespace, folders: list[Path]) -> int:
    """Write the page to the file that was named.

    Raises:
        UsageError: tables or views were asked for too, or the file cannot be written, or is there already.
    """
    other = next((name for name in _ELSE if getattr(asked, name)), None)
    if other is not None:
        flag = "--as" if other == "view" else f"--{other.replace('_', '-')}"
        raise UsageError(f"--html and {flag} are two things to write", "ask for one at a time")
    path = Path(asked.html)
    if path.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"--html {asked.html!r} is no name of a page", "end it in .html")

    from inferometer import api
    from inferometer.report.tables.placing import check_free, place

    check_free(path, overwrite=asked.overwrite)
    place(path, api.report_page(folders, asked.lang or "en").encode(), overwrite=asked.overwrite)
    print(f"report  {path}")
    return 0

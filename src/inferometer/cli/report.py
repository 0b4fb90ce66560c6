"""``inferometer report``: a run's numbers, computed anew from what was recorded."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer.cli.parse import Parser
from inferometer.cli.report_page import add_page_flag, write_html
from inferometer.cli.report_pictures import add_picture_flags, wants_pictures, write_pictures
from inferometer.cli.speed import report_again
from inferometer.cli.which import find_stored, is_speed
from inferometer.errors import UsageError

if TYPE_CHECKING:
    from inferometer.report.tables import TableReport
    from inferometer.report.tables.output import Format, How

_TEXT = """\
Prints a stored run again, its numbers computed anew from the records; as a table in the columns that a community
expects (--table), in a format (--format, or --csv, --md and --xlsx with a file); or as another tool would have
reported the same traffic (--as); or as one HTML page with every picture (--html)."""
_SHORT: tuple[Format, ...] = ("csv", "md", "xlsx")
_OF_TABLES = ("encoding", "unproven", "overwrite", "nodes_served")


def main(argv: list[str]) -> int:
    """Print the console report, a table, or another tool's view of stored runs."""
    asked = _parser().parse(argv)
    folders = list(dict.fromkeys(find_stored(name, asked.out) for name in asked.run))
    speed = next(filter(is_speed, folders), None)
    if speed is not None:
        return report_again(speed, asked)
    if asked.html is not None:
        return write_html(asked, folders)
    if wants_pictures(asked):
        return write_pictures(asked, folders)
    several = len(folders) > 1
    for name in _OF_TABLES:
        if getattr(asked, name) and (asked.view is not None or not (several or _wants_table(asked))):
            raise UsageError(
                f"--{name.replace('_', '-')} is about tables, and none was asked for",
                "add --table STYLE, or leave it out",
            )
    if asked.view is not None:
        return _view(asked, folders)
    if asked.json:
        raise UsageError("--json needs --as NAME", "summary.json in the run folder holds our own numbers")
    if several or _wants_table(asked):
        return _table(asked, folders)

    from inferometer import api
    from inferometer.cli.outcome import colour, unicode, width
    from inferometer.report.console import render_run
    from inferometer.report.search import answer_lines

    summary = api.report(folders[0])
    answer = api.stored_answer(folders[0], summary)
    if answer is not None:
        print("\n".join(answer_lines(answer.found, answer.variable, width())) + "\n")
    print(render_run(summary, width(), colour=colour(), unicode=unicode()))
    return 0


def _parser() -> Parser:
    from inferometer.report.tables import STYLES
    from inferometer.report.tables.output import FORMATS
    from inferometer.report.views import VIEWS

    styles = "; ".join(f"{name} = {style.about}" for name, style in STYLES.items())
    parser = Parser("report", _TEXT)
    parser.add_argument(
        "run",
        nargs="+",
        metavar="RUN",
        help="path, folder name, a unique part of it, or latest; several = one table",
    )
    parser.add_argument(
        "--out", default="runs", metavar="DIR", help="directory of run folders (default runs)"
    )
    parser.add_argument("--table", metavar="STYLE", help=f"one row a load, repeats together. {styles}")
    parser.add_argument("--format", choices=FORMATS, help="default: as the name of --to says, else console")
    parser.add_argument(
        "--to", metavar="FILE", help="write to this file, or into this directory, instead of printing"
    )
    for name in _SHORT:
        parser.add_argument(f"--{name}", metavar="FILE", help=f"short for --format {name} --to FILE")
    parser.add_argument(
        "--encoding",
        choices=("utf-8", "utf-8-sig"),
        help="of text; utf-8-sig is what Excel on a Chinese Windows reads (default utf-8)",
    )
    parser.add_argument(
        "--unproven",
        action="store_true",
        help="also write percentiles of too few requests, and say which they are",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument(
        "--nodes-served", type=_positive, metavar="N", help="nodes that serve, for --table lmdeploy"
    )
    parser.add_argument(
        "--as", dest="view", metavar="TOOL", help=f"what TOOL would have reported: {', '.join(VIEWS)}"
    )
    add_page_flag(parser)
    add_picture_flags(parser)
    parser.add_argument(
        "--lang",
        choices=("en", "zh"),
        help="language of pictures, and the first of the page, which has both (default en)",
    )
    parser.add_argument("--json", action="store_true", help="with --as: that tool's own result objects")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _wants_table(asked: argparse.Namespace) -> bool:
    given = (asked.table, asked.format, asked.to, *(getattr(asked, name) for name in _SHORT))
    return any(value is not None for value in given)


def _table(asked: argparse.Namespace, folders: list[Path]) -> int:
    from inferometer import api
    from inferometer.cli.outcome import width
    from inferometer.report.tables.output import WORKBOOK, as_text, write

    targets = _targets(asked)
    report = api.tables(folders, asked.table or "ours", nodes=asked.nodes_served)
    for to, how in targets:
        if to is None and how.format != "xlsx":
            _print(as_text(report, how, width()), how)
            continue
        for path in write(report, WORKBOOK if to is None else to, how):
            print(f"table  {path}")
        _tell_empty(report, how)
    return 0


def _targets(asked: argparse.Namespace) -> list[tuple[str | None, How]]:
    """Where the table goes, and how; at least one place.

    Raises:
        UsageError: a name is empty, or says another format than was asked for.
    """
    from inferometer.report.tables.output import How, check_name

    def how(chosen: Format) -> How:
        return How(chosen, asked.encoding or "utf-8", asked.unproven, asked.overwrite)

    short: list[tuple[str | None, How]] = []
    for form in _SHORT:
        name = getattr(asked, form)
        if name is not None:
            check_name(name, form, f"--{form}")
            short.append((name, how(form)))
    if asked.to is None and asked.format is None:
        return short or [(None, how("console"))]
    told = None if asked.to is None else check_name(asked.to, asked.format)
    return [(asked.to, how(asked.format or told or "console")), *short]


def _print(text: str, how: How) -> None:
    if how.format == "csv":
        sys.stdout.write(text)
    else:
        print(text)


def _tell_empty(report: TableReport, how: How) -> None:
    """Why cells of a file are empty, where they are."""
    if report.needs and not how.unproven and how.format in ("csv", "xlsx"):
        print(
            f"hint: percentiles of too few requests are empty (up to {report.needs:,} needed); --unproven writes them",
            file=sys.stderr,
        )


def _view(asked: argparse.Namespace, folders: list[Path]) -> int:
    if _wants_table(asked) or len(folders) > 1:
        raise UsageError(
            "--as shows one run, and no table",
            "leave out what is about tables, name one RUN; --json is for programs",
        )

    from inferometer import api
    from inferometer.cli.outcome import width
    from inferometer.record.store import read_run
    from inferometer.report.views import render_view, view_json, view_named

    view_named(asked.view)
    record = read_run(folders[0])
    if (
        record.meta.verdict is None
    ):  # it ended before it was judged, and a view has to say whether it is INVALID
        api.report(folders[0])
        record = read_run(folders[0])
    if asked.json:
        print(json.dumps(view_json(record, asked.view), ensure_ascii=False))
    else:
        print(render_view(record, asked.view, width()))
    return 0

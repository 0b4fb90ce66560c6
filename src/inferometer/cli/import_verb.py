"""``inferometer import``: other tools' result files as runs of ours."""

from __future__ import annotations

import json
from pathlib import Path

from inferometer.cli.parse import Parser

_TEXT = """\
Makes run folders of result files that other tools wrote, so that report, compare, export and ui work on them. The
format is found by content. Files that list their requests are computed anew by our definitions, beside what the tool
stated; a run that we did not measure is WARN at best. The files are kept in the run folder, unchanged."""


def main(argv: list[str]) -> int:
    """Import, and tell what was found."""
    asked = _parser().parse(argv)

    from inferometer.api.importing import import_files

    results = import_files(
        [Path(name) for name in asked.file],
        Path(asked.out),
        label=asked.label,
        form=asked.form,
        together=asked.together,
    )
    if asked.json:
        told = [
            {
                "run": str(result.path),
                "tool": result.tool,
                "format": result.format,
                "points": len(result.summary.points),
                "requests": result.requests,
                "verdict": result.summary.verdict.word,
                "notes": result.summary.notes,
            }
            for result in results
        ]
        print(json.dumps({"runs": told}, ensure_ascii=False))
        return 0

    for result in results:
        points = len(result.summary.points)
        count = f"{result.requests:,} request{'s' * (result.requests != 1)}"
        listed = count if result.requests else "no requests one by one"
        print(
            f"imported  {result.format}: {points} load point{'s' * (points != 1)}, {listed}, {result.summary.model}"
        )
        for note in result.summary.notes[1:]:
            print(f"note  {note}")
        print(f"run  {result.path}")
    names = " ".join(str(result.path) for result in results)
    print(f"next  inferometer {'report' if len(results) == 1 else 'compare'} {names}")
    return 0


def _parser() -> Parser:
    parser = Parser("import", _TEXT)
    parser.add_argument(
        "file", nargs="+", metavar="FILE|FOLDER", help="one run each; a folder holds one run's files"
    )
    parser.add_argument(
        "--out", default="runs", metavar="DIR", help="directory of run folders (default runs)"
    )
    parser.add_argument("--label", default="", metavar="TEXT", help="a word for the folder name")
    parser.add_argument(
        "--as",
        dest="form",
        metavar="FORMAT",
        help=f"whose files they are, where content does not tell: {_names()}",
    )
    parser.add_argument(
        "--together",
        action="store_true",
        help="all files are one run: a load point each, or parts of one result",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object about the runs")
    return parser


def _names() -> str:
    from inferometer.exchange.importing.formats import NAMES

    return ", ".join(NAMES)

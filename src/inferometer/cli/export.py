"""``inferometer export``: a stored run in the files of other tools, or in a tracker."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from inferometer.cli.parse import Parser
from inferometer.cli.which import find_run
from inferometer.errors import UsageError

if TYPE_CHECKING:
    from inferometer.api.exporting import Exported

_TEXT = """\
Writes a stored run as the files that another tool would have written, by that tool's definitions, so that its readers,
plots and dashboards take it; or sends it to a tracker. Without --as, lists the formats. Files of simulated and of
INVALID runs say so."""


def main(argv: list[str]) -> int:
    """Export a run, or list the formats."""
    asked = _parser().parse(argv)
    if asked.form is None:
        return _list(asked)
    if asked.run is None:
        raise UsageError("export needs the name of a run, or latest", "inferometer export RUN --as FORMAT")
    from inferometer.api.exporting import Asked, export

    done = export(
        find_run(asked.run, asked.out),
        asked.form,
        asked.to,
        points=asked.points,
        asked=Asked(asked.detailed, asked.encoding, _settings(asked.set)),
        overwrite=asked.overwrite,
    )
    _tell(done, asked)
    return 0


def _parser() -> Parser:
    parser = Parser("export", _TEXT)
    parser.add_argument(
        "run", nargs="?", metavar="RUN", help="path, folder name, a unique part of it, or latest"
    )
    parser.add_argument(
        "--as", dest="form", metavar="FORMAT", help="which format, or tracker; left out: lists them"
    )
    parser.add_argument(
        "--to",
        metavar="PLACE",
        help="a file, a folder (a name without suffix, or with / at its end), or - for standard output "
        "(default: a folder RUN-FORMAT here)",
    )
    parser.add_argument(
        "--points",
        type=_index,
        nargs="+",
        metavar="N",
        help="numbers of load points (default: all measured ones)",
    )
    parser.add_argument(
        "--detailed",
        action="store_true",
        help="with the requests one by one, where the format has room for them",
    )
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="what the format wants and no record holds: hw=h100 tp=8; options of a tracker",
    )
    parser.add_argument(
        "--encoding",
        choices=("utf-8", "utf-8-sig"),
        default="utf-8",
        help="of CSV; utf-8-sig is what Excel on a Chinese Windows reads (default utf-8)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument("--json", action="store_true", help="print what was written as one JSON object")
    parser.add_argument(
        "--out", default="runs", metavar="DIR", help="directory of run folders (default runs)"
    )
    return parser


def _index(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of a load point")
    return int(text)


def _settings(words: list[str]) -> dict[str, str]:
    found = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not key or not sign:
            raise UsageError(f"--set {word}: a setting is KEY=VALUE", "such as --set hw=h100 --set tp=8")
        found[key] = value
    return found


def _list(asked: argparse.Namespace) -> int:
    from inferometer.api.exporting import export_formats

    formats = export_formats()
    if asked.json:
        print(json.dumps(formats, ensure_ascii=False))
        return 0
    width = max(map(len, formats)) + 2
    print("\n".join(f"{name:<{width}}{about}" for name, about in formats.items()))
    print(f"\ninferometer export {asked.run or 'RUN'} --as FORMAT [--to FILE | FOLDER/]")
    return 0


def _tell(done: Exported, asked: argparse.Namespace) -> None:
    if done.content is not None:
        sys.stdout.flush()
        sys.stdout.buffer.write(done.content)
        sys.stdout.buffer.flush()
    elif asked.json:
        what = {
            "format": asked.form,
            "files": [str(path) for path in done.paths],
            "sent": done.sent,
            "simulated": done.simulated,
            "invalid": list(done.invalid),
        }
        print(json.dumps(what, ensure_ascii=False))
    else:
        for path in done.paths:
            print(f"{asked.form}  {path}")
        if done.sent is not None:
            print(done.sent)
    if done.invalid:
        print(
            f"hint: the run is INVALID ({', '.join(done.invalid)}), and what was written says so",
            file=sys.stderr,
        )
    if done.simulated:
        print("hint: the run is simulated, and what was written says so", file=sys.stderr)

"""``inferometer runs``: the store of runs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inferometer.cli.parse import Parser
from inferometer.cli.which import find_run, find_stored, is_speed

_TEXT = """\
Lists, shows and recovers stored runs. Besides: inferometer runs trend [RUN] (a figure over the history of the same
load), runs tag RUN KEY=VALUE (labels), runs rm RUN (remove); each has a --help of its own."""
_HEADINGS = ("run", "created (UTC)", "model", "label", "state", "verdict", "points", "requests")


def main(argv: list[str]) -> int:
    """List, show or recover runs; or what else is done with the store."""
    if argv and argv[0] == "trend":
        from inferometer.cli import runs_trend

        return runs_trend.main(argv[1:])
    if argv and argv[0] in ("tag", "rm"):
        from inferometer.cli import runs_store

        return runs_store.main(argv[0], argv[1:])
    parser = Parser("runs", _TEXT)
    parser.add_argument(
        "what", choices=("list", "show", "recover"), help="list all; show one; close a broken one"
    )
    parser.add_argument(
        "run", nargs="?", default=None, metavar="RUN", help="path, part of the name, or latest"
    )
    parser.add_argument(
        "--out", default="runs", metavar="DIR", help="directory of run folders (default runs)"
    )
    asked = parser.parse(argv)
    if asked.what == "list":
        return _list(asked)
    if asked.run is None:
        parser.error(f"runs {asked.what} needs the name of a run, or latest")
    if asked.what == "recover":
        return _recover(find_run(asked.run, asked.out))
    folder = find_stored(asked.run, asked.out)
    return _show_speed(folder) if is_speed(folder) else _show(folder)


def _list(asked: argparse.Namespace) -> int:
    from inferometer import api

    listings = api.list_runs(Path(asked.out))
    if not listings:
        print(f"no runs in {asked.out}")
        return 0
    rows = [
        (
            run.path.name,
            run.created_utc[:19],
            run.model,
            run.label or "-",
            run.state + (" [simulated]" if run.simulated else ""),
            run.verdict or "-",
            str(run.points),
            str(run.requests),
        )
        for run in listings
    ]
    print(table(_HEADINGS, rows))
    return 0


def _show(folder: Path) -> int:
    from inferometer import api
    from inferometer.cli.outcome import colour, unicode, width
    from inferometer.record.folder import read_meta
    from inferometer.report.console import render_run
    from inferometer.spec import RunSpec, public_dict

    print(render_run(api.report(folder), width(), colour=colour(), unicode=unicode()))
    defaults = public_dict(RunSpec())
    _show_asked(read_meta(folder).spec, defaults)
    print(f"run  {folder}")
    return 0


def _show_speed(folder: Path) -> int:
    from inferometer import api
    from inferometer.cli.outcome import colour
    from inferometer.record.speed import read_speed
    from inferometer.report.speed import render
    from inferometer.spec.speed import SPEED, SpeedSpec

    print(render(api.speed_report(folder), colour=colour()))
    _show_asked({SPEED: read_speed(folder).spec}, {SPEED: SpeedSpec().public()})
    print(f"run  {folder}")
    return 0


def _show_asked(spec: dict[str, dict[str, Any]], defaults: dict[str, dict[str, Any]]) -> None:
    print("\nasked (what is not the default)")
    for part, values in spec.items():
        usual = defaults.get(part, {})
        given = {name: value for name, value in values.items() if name not in usual or value != usual[name]}
        if given:
            print(f"  {part}: {json.dumps(given, ensure_ascii=False)}")


def _recover(folder: Path) -> int:
    from inferometer import api
    from inferometer.spec.stored import target_of, was_simulated

    run = api.recover(folder)
    records = sum(len(table.requests["index"]) for table in run.tables)
    print(f"recovered  {records} requests in {len(run.tables)} load points  {run.path}")
    print(f"next  inferometer report {run.path}")
    if run.meta.state != "complete" and not was_simulated(run.meta.spec):
        verb = "run" if target_of(run.meta.spec) is None else "search"
        print(f"or    inferometer {verb} --resume {run.path}")
    return 0


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, wide East Asian signs counted as two."""
    from rich.cells import cell_len

    cells = [headings, *rows]
    widths = [max(cell_len(row[i]) for row in cells) for i in range(len(headings))]
    return "\n".join(
        "  ".join(
            cell + " " * (wide - cell_len(cell)) for cell, wide in zip(row, widths, strict=True)
        ).rstrip()
        for row in cells
    )

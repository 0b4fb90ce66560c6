"""``inferometer report``: a run's numbers, computed anew from what was recorded."""

from __future__ import annotations

from inferometer.cli.parse import Parser
from inferometer.cli.which import find_run


def main(argv: list[str]) -> int:
    """Print the console report of a stored run."""
    parser = Parser("report", "Prints a stored run again, its numbers computed anew from the records.")
    parser.add_argument("run", metavar="RUN", help="path, folder name, a unique part of it, or latest")
    parser.add_argument(
        "--out", default="runs", metavar="DIR", help="directory of run folders (default runs)"
    )
    asked = parser.parse(argv)
    folder = find_run(asked.run, asked.out)

    from inferometer import api
    from inferometer.cli.outcome import colour, width
    from inferometer.report.console import render_run

    print(render_run(api.report(folder), width(), colour=colour()))
    return 0

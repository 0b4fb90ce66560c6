"""``inferometer runs trend``: a figure over the history of the same load."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from inferometer.cli.parse import Parser
from inferometer.cli.which import find_run
from inferometer.errors import UsageError

REGRESSION = 4
_TEXT = """\
A figure over the stored runs of the same case: model, load, data, hardware, measured or simulated. Each run is held
against those before it (lookback z-score), and changes of level are found. RUN is the newest run to look at (default
latest). Exit code 4: --fail-on met by the latest run."""


def main(argv: list[str]) -> int:
    """Print the history, or its JSON."""
    asked = _parser().parse(argv)
    from inferometer.api.trending import trends
    from inferometer.metrics.comparing.names import kind_named
    from inferometer.report.trend import trend_lines

    folder = find_run(asked.run, asked.out)
    found = trends(folder, Path(asked.out), asked.metric, lookback=asked.lookback, limit=asked.z)
    missing = [name for name in asked.metric if kind_named(name) not in [trend.figure for trend in found]]
    if missing:
        print(f"hint: {folder.name} has no {', '.join(missing)}, or too few requests for it", file=sys.stderr)
    words = {trend.word for trend in found} | ({"unknown"} if missing else set())
    failed = bool(words & set(asked.fail_on))
    code = REGRESSION if failed else 0
    if asked.json:
        import msgspec

        line = {"schema": "inferometer.trend/1", "run": folder.name, "trends": found, "exit_code": code}
        print(msgspec.json.encode(line).decode())
        return code
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    print("\n".join(trend_lines(found, everything=asked.all, unicode=unicode)).rstrip())
    return code


def _parser() -> Parser:
    parser = Parser("runs trend", _TEXT)
    parser.add_argument(
        "run", nargs="?", default="latest", metavar="RUN", help="path, part of the name, or latest"
    )
    parser.add_argument(
        "--out", default="runs", metavar="DIR", help="directory of run folders (default runs)"
    )
    parser.add_argument(
        "--metric", nargs="+", default=["output_throughput"], metavar="NAME",
        help="output_throughput (default), p99_ttft, mean_tpot ...",
    )  # fmt: skip
    parser.add_argument(
        "--lookback", type=_runs, default=20, metavar="N", help="runs before one (default 20)"
    )
    parser.add_argument("--z", type=_limit, default=5.0, metavar="X", help="standard deviations (default 5)")
    parser.add_argument(
        "--fail-on", nargs="+", default=[], choices=("worse", "better", "unknown"), metavar="WORD",
        help="exit 4 when the latest run is that: worse, better, unknown",
    )  # fmt: skip
    parser.add_argument("--all", action="store_true", help="list all runs, not only the unusual ones")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    return parser


def _runs(text: str) -> int:
    if not text.isdecimal() or int(text) < 5:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 5 on")
    return int(text)


def _limit(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0.0 < number < float("inf"):
        raise UsageError(f"--z {text!r} is not a number above 0", "write --z 5")
    return number

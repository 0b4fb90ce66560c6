"""``inferometer demo``: measure the simulated server."""

from __future__ import annotations

import sys

from inferometer.cli.parse import Parser


def main(argv: list[str]) -> int:
    """Start a simulated server, measure it, and stop it."""
    parser = Parser("demo", "Measures a simulated server on this machine: no configuration, no network.")
    parser.add_argument(
        "--out", default="runs", metavar="DIR", help="directory of run folders (default runs)"
    )
    parser.add_argument("--ui", choices=("rich", "plain", "none"), default="rich", help="live progress")
    parser.add_argument("--json", action="store_true", help="the last line of stdout is a JSON object")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    asked = parser.parse(argv)

    from inferometer import api
    from inferometer.cli.live import watcher
    from inferometer.cli.outcome import print_outcome, terminal
    from inferometer.cli.signals import stopping
    from inferometer.loadgen.stop import StopSignal
    from inferometer.spec import Load

    def ready(url: str) -> None:
        if not asked.quiet:
            print(f"simulated server  {url}", file=sys.stderr, flush=True)

    stop = StopSignal()
    ui = "none" if asked.quiet else asked.ui
    with watcher(ui, terminal()) as observer, stopping(stop, Load().grace_s):
        result = api.demo(observer, asked.out, ready, stop)
    code = print_outcome(result, asked.json)
    if not asked.json and not asked.quiet:
        print("next  inferometer run --url http://HOST:8000")
    return code

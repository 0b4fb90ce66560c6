"""``inferometer demo``: measure the simulated server, or a small real one."""

from __future__ import annotations

import sys

from inferometer.cli.parse import Parser


def main(argv: list[str]) -> int:
    """Start a server, measure it, and stop it."""
    parser = Parser("demo", "Measures a server that it starts on this machine: no configuration, no network.")
    parser.add_argument(
        "--engine",
        choices=("sim", "llamacpp"),
        default="sim",
        help="sim = the simulated server (default); llamacpp = the real llama.cpp with a tiny random model made here "
        "(pip install 'inferometer[engine]')",
    )
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
            name = "simulated server" if asked.engine == "sim" else asked.engine
            print(f"{name}  {url}", file=sys.stderr, flush=True)

    stop = StopSignal()
    ui = "none" if asked.quiet else asked.ui
    with watcher(ui, terminal()) as observer, stopping(stop, Load().grace_s):
        result = api.demo(observer, asked.out, ready, stop, asked.engine)
    code = print_outcome(result, asked.json)
    if not asked.json and not asked.quiet:
        launch = "" if asked.engine == "sim" else '      or --launch "vllm serve MODEL"'
        print(f"next  inferometer run --url http://HOST:8000{launch}")
    return code

"""``inferometer ui``: local pages over the stored runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from inferometer.cli.parse import Parser
from inferometer.ui.sessions import TOKEN_VARIABLE

_TEXT = """\
Pages over a directory of runs, for a browser: the list, each report, comparisons, runs in progress as they go, and a
form for a new run. Served to this machine alone, to whoever is logged in there: give --token where others are. With
--host it is served to other machines too, which always takes a token. Ctrl-C ends it, and the run that was started
from it."""


def main(argv: list[str]) -> int:
    """Serve until Ctrl-C."""
    asked = _parser().parse(argv)

    from inferometer.api.pages import PageDeeds
    from inferometer.clock import MonotonicClock
    from inferometer.ui.house import Settings
    from inferometer.ui.serve import checked, serve

    settings = checked(
        Settings(
            out=Path(asked.out),
            host=asked.host,
            port=asked.port,
            token=asked.token or os.environ.get(TOKEN_VARIABLE) or None,
            read_only=asked.read_only,
        )
    )
    serve(
        settings, PageDeeds(settings.out), MonotonicClock(), lambda url: _ready(url, settings.out, asked.open)
    )
    return 0


def _parser() -> Parser:
    parser = Parser("ui", _TEXT)
    parser.add_argument(
        "--out", default="runs", metavar="DIR", help="directory of run folders (default runs)"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="HOST",
        help="address to listen at; other than this machine's own, it needs a token (default 127.0.0.1)",
    )
    parser.add_argument(
        "--port", type=int, default=8765, metavar="N", help="port; 0 takes a free one (default 8765)"
    )
    parser.add_argument(
        "--token",
        metavar="TOKEN",
        help=f"what browsers have to bring; else environment {TOKEN_VARIABLE}, else made where it is needed",
    )
    parser.add_argument("--read-only", action="store_true", help="start no runs and change no labels")
    parser.add_argument("--open", action="store_true", help="open the list in this machine's browser")
    return parser


def _ready(url: str, out: Path, wanted: bool) -> None:
    print(f"pages  {url}", flush=True)
    print(f"showing the runs in {out}; Ctrl-C ends it", file=sys.stderr, flush=True)
    if wanted:
        import webbrowser

        webbrowser.open(url)

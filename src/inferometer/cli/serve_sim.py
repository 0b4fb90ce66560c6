"""``inferometer serve-sim``: the simulated server on its own."""

from __future__ import annotations

import argparse
import sys

from inferometer.cli.parse import Parser

_TEXT = "Serves a simulated engine with an OpenAI-compatible API until Ctrl-C. Its times are made up, not measured."


def main(argv: list[str]) -> int:
    """Serve until SIGINT or SIGTERM."""
    import msgspec

    from inferometer.simulator import SimSettings

    parser = Parser("serve-sim", _TEXT)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="port; 0 takes a free one (default 8000)")
    for field in msgspec.structs.fields(SimSettings):
        default = "none" if field.default in (None, ()) else field.default
        flag = f"--{field.name.replace('_', '-')}"
        if isinstance(default, bool):
            text = f"default {'on' if default else 'off'}"
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            parser.add_argument(flag, metavar="VALUE", help=f"default {default}")
    given = vars(parser.parse(argv))
    host, port = given.pop("host"), given.pop("port")

    from inferometer.simulator.serve import settings_from_flags
    from inferometer.simulator.server import serve

    serve(settings_from_flags(given), host, port, _ready)
    return 0


def _ready(url: str) -> None:
    print(f"simulated server  {url}", flush=True)
    print(f"next  inferometer run --url {url}      Ctrl-C ends it", file=sys.stderr, flush=True)

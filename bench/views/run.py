"""Holds ``inferometer report --as TOOL`` against what TOOL itself reports.

    cd bench && python -m views.run [--only NAME ...] [--golden]

Each tool is run by its own command line on a server whose frames leave at known times (``views.server``), one request
after another. Its files say when it stamped what. From these stamps a record of ours is made, and the view of that
record must equal the tool's own result file in every number that both have: that proves the definitions, whatever the
noise of the machine. Beside it stands the view of an own run of ours on the same server, which differs by that noise.

Written: ``build/bench/views-NAME.json``; with ``--golden`` the record and the tool's result also become test data.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inferometer.record.store import read_run
from inferometer.version import __version__
from peers.environments import ensure_environment, pinned_version
from peers.tokenizer import make_tokenizer
from peers.tools import TOOLS, Place
from views.compare import Compared, at, compared, missing
from views.server import MODEL, ScriptServer, Served
from views.tools import PEERS, Peer
from views.traffic import meta_of, rows_of, table_of

ROOT = Path(__file__).resolve().parents[2]
LENGTHS = (8, 12, 5, 1, 16, 9, 20, 6, 11, 7, 14, 10)
TIMEOUT_S = 300.0
_ENVIRONMENTS = {tool.name: (tool.environment, tool.distribution) for tool in TOOLS}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 1 when a view differs from its tool by more than the tool's rounding."""
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names)
    )
    parser.add_argument("--environments", type=Path, default=ROOT / "build" / "peers", help="of the tools")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench", help="where results go")
    parser.add_argument("--golden", action="store_true", help="write tests/data/views anew")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(options.environments / "tokenizer")
    equal = True
    for peer in PEERS:
        if peer.name in options.only:
            equal &= _hold(peer, ensure_environment(peer.name, options.environments), tokenizer, options)
    return 0 if equal else 1


def _hold(peer: Peer, programs: Path, tokenizer: Path, options: argparse.Namespace) -> bool:
    environment, distribution = _ENVIRONMENTS[peer.name]
    version = pinned_version(peer.name, distribution)
    with tempfile.TemporaryDirectory() as folder, ScriptServer(LENGTHS) as server:
        place = Place(programs, server.url, MODEL, tokenizer, Path(folder))
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        _run(peer.command(place, len(LENGTHS)), {**os.environ, **environment, "PATH": path}, Path(folder))
        # A tool may begin with a request that it does not count.
        log: list[Served] = server.log[-len(LENGTHS) :]
        own, rows = peer.own(Path(folder)), rows_of(peer.seen(Path(folder), log))
    view = peer.view(table_of(rows), meta_of())
    live = _live(peer)
    found = compared(own, view)
    definitions = [one for one in found if not set(peer.windowed) & set(one.path)]
    different = [one for one in definitions if not one.equal(peer.rounding, peer.relative)]
    _print(peer, version, (own, view, live), found, different)
    result = {
        "tool": peer.name, "version": version, "inferometer": __version__, "compared": len(found),
        "different": [one.key for one in different], "figures": {one.key: [one.theirs, one.ours] for one in found},
    }  # fmt: skip
    _write(options.out / f"views-{peer.name}.json", result)
    if options.golden:
        _write_golden(peer, version, own, rows)
    return not different


def _run(command: list[str], environment: dict[str, str], folder: Path) -> None:
    done = subprocess.run(
        command, check=False, env=environment, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    if done.returncode:
        sys.exit(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")


def _live(peer: Peer) -> Any:
    """The view of an own run on the same server."""
    with tempfile.TemporaryDirectory() as folder, ScriptServer(LENGTHS) as server:
        subprocess.run(
            [
                *(
                    str(Path(sys.executable).parent / "inferometer"),
                    "run",
                    "--url",
                    server.url,
                    "--model",
                    MODEL,
                ),
                *("--max-concurrency", "1", "--num-prompts", str(len(LENGTHS)), "--warmup", "0"),
                *("--input-len", "16", "--output-len", "16", "--out", folder, "--ui", "none", "-q"),
            ],
            check=False,  # 5: answers are not as long as was asked for, which is meant
            capture_output=True,
            timeout=TIMEOUT_S,
        )
        record = read_run((Path(folder) / "latest").resolve())
        return peer.view(record.measured[0], record.meta)


def _print(
    peer: Peer,
    version: str | None,
    sides: tuple[Any, Any, Any],
    found: list[Compared],
    different: list[Compared],
) -> None:
    own, view, live = sides
    print(f"\n{peer.name} {version}: {len(LENGTHS)} requests, one after another")
    print(f"{'':30}{'the tool':>14}{'--as, its':>14}{'difference':>14}{'--as, own':>14}{'difference':>14}")
    print(f"{'':30}{'itself':>14}{'stamps':>14}{'':>14}{'run':>14}{'':>14}")
    for headline in peer.headlines:
        theirs, ours, run = (float(at(side, headline.keys)) for side in (own, view, live))
        print(
            f"{headline.name:30}{theirs:14.4f}{ours:14.4f}{ours - theirs:14.6f}{run:14.4f}{run - theirs:14.4f}"
        )
    windowed = [one for one in found if set(peer.windowed) & set(one.path)]
    equal = len(found) - len(different) - len(windowed)
    print(f"equal: {equal} of the {len(found) - len(windowed)} numbers that both objects have")
    if windowed:
        apart = max(abs(one.ours / one.theirs - 1.0) for one in windowed)
        names = ", ".join(str(one.path[0]) for one in windowed)
        print(f"over its own clock around the whole run, which no record has: {names}: within {apart:.2%}")
    for one in different:
        print(f"  differs: {one.key}: {one.theirs!r} there, {one.ours!r} here")
    for key in missing(own, view):
        print(f"  only in the view: {key}")
    sys.stdout.flush()


def _write_golden(peer: Peer, version: str | None, own: Any, rows: dict[str, Any]) -> None:
    folder = ROOT / "tests" / "data" / "views"
    folder.mkdir(parents=True, exist_ok=True)
    kept = {one.path for one in compared(own, peer.view(table_of(rows), meta_of()))}
    figures = [[list(path), at(own, path)] for path in sorted(kept, key=str)]
    provenance = f"{peer.name} {version} on bench/views/server.py, by: python -m views.run --golden"
    content = {
        "provenance": provenance,
        "rounding": peer.rounding,
        "relative": peer.relative,
        "windowed": list(peer.windowed),
        "record": rows,
        "figures": figures,
    }
    _write(folder / f"{peer.name}.json", content)


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

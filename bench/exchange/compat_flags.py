"""Whether every flag of the tools that are installed is known to ``inferometer compat``.

The tools' own parsers are asked (``--help``, or the parser object), never a list of ours:

    make a peer's environment as bench/peers does, then
    cd bench && python -m exchange.compat_flags [--environments DIR]

A flag that is neither translated, nor left out with a reason, nor refused with what to use fails it (exit code 1).
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inferometer.exchange.compat.tool import Tool
from inferometer.exchange.compat.tools import TOOLS

ROOT = Path(__file__).resolve().parents[2]

_FLAG = r"-{1,2}[A-Za-z][\w-]*"
_LIMIT_S = 300.0
_OF_ALL = {"-h", "--help", "--version"}
_VLLM = (
    "import argparse; from vllm.benchmarks.serve import add_cli_args; p = argparse.ArgumentParser(); add_cli_args(p); "
    "print(*(name for action in p._actions for name in action.option_strings), sep='\\n')"
)


@dataclass(frozen=True)
class Peer:
    """A tool that can be asked.

    Attributes:
        name: of its environment, and of our table.
        command: what prints its flags, from the environment's ``bin``.
        line: what a line that names flags looks like; its first group holds the names.
    """

    name: str
    command: tuple[str, ...]
    line: str


_INDENTED = rf"^ {{2,6}}((?:{_FLAG})(?:(?:,| ).*?)?)(?:\s{{2,}}.*)?$"
PEERS = (
    Peer("vllm", ("python", "-c", _VLLM), rf"^({_FLAG})$"),
    Peer("evalscope", ("evalscope", "perf", "--help"), _INDENTED),
    Peer("guidellm", ("guidellm", "run", "--help"), _INDENTED),
    Peer("genai-bench", ("genai-bench", "benchmark", "--help"), _INDENTED),
    Peer("aiperf", ("aiperf", "profile", "--help"), rf"^│ {{1,2}}(?:\* *)?((?:{_FLAG} )+)"),
)


def flags_of(text: str, line: str) -> set[str]:
    """The flags that a page of help defines; those that only its sentences name are not among them."""
    heads = [match[1] for match in re.finditer(line, text, re.MULTILINE)]
    return {name for head in heads for name in re.findall(rf"(?<![\w-]){_FLAG}", head)} - _OF_ALL


def unknown(flags: set[str], tool: Tool) -> list[str]:
    """Flags that the table says nothing about."""
    return sorted(flags - tool.names)


def _asked(peer: Peer, root: Path) -> str:
    """What the tool prints."""
    programs = root / peer.name / "bin"
    # The directory of scripts alone would hide the tool's own packages behind ours.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"COLUMNS": "400", "NO_COLOR": "1", "TERM": "dumb"}
    command = [str(programs / peer.command[0]), *peer.command[1:]]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=_LIMIT_S, check=False, cwd=root
    )
    if done.returncode:
        raise SystemExit(f"{peer.name}: {' '.join(command[:3])} failed: {done.stderr.strip()[-400:]}")
    return done.stdout


def main(argv: Sequence[str]) -> int:
    """Ask every installed tool; 1 = something is not known, 2 = nothing is installed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--environments", type=Path, default=ROOT / "build" / "peers", help="directory of those of the tools"
    )
    root = parser.parse_args(argv).environments.resolve()
    installed = [peer for peer in PEERS if (root / peer.name / "bin" / peer.command[0]).exists()]
    if not installed:
        print(f"no peer is installed in {root}")
        return 2
    missing = False
    for peer in installed:
        flags = flags_of(_asked(peer, root), peer.line)
        left = unknown(flags, TOOLS.get(peer.name))
        missing = missing or bool(left) or not flags
        print(
            f"{peer.name:<12} {len(flags):>4} flags, {len(left)} not known{': ' + ' '.join(left) if left else ''}"
        )
    return int(missing)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``inferometer runs tag`` and ``runs rm``: labels of stored runs, and runs that are not wanted any more."""

from __future__ import annotations

import sys

from inferometer.cli.parse import Parser
from inferometer.cli.which import find_run, find_stored
from inferometer.errors import UsageError


def main(what: str, argv: list[str]) -> int:
    """Carry out ``tag`` or ``rm``."""
    return _tag(argv) if what == "tag" else _remove(argv)


def _tag(argv: list[str]) -> int:
    parser = Parser(
        "runs tag",
        "Sets labels of a stored run; KEY= takes one away. compare finds runs by them: label:KEY=VALUE.",
    )
    parser.add_argument("run", metavar="RUN", help="path, part of the name, or latest")
    parser.add_argument("labels", nargs="+", metavar="KEY=VALUE", help="label and value")
    parser.add_argument(
        "--out", default="runs", metavar="DIR", help="directory of run folders (default runs)"
    )
    asked = parser.parse(argv)
    changes: dict[str, str] = {}
    for text in asked.labels:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(
                f"{text!r} is not KEY=VALUE", "write for example device=910B; device= takes it away"
            )
        changes[name.strip()] = value.strip()

    from inferometer.api.keeping import tag

    folder = find_run(asked.run, asked.out)
    labels = tag(folder, changes)
    print(f"labels  {', '.join(f'{k}={v}' for k, v in labels.items()) or 'none'}")
    print(f"run  {folder}")
    return 0


def _remove(argv: list[str]) -> int:
    parser = Parser("runs rm", "Removes stored runs with everything in their folders, after asking.")
    parser.add_argument("run", nargs="+", metavar="RUN", help="path, part of the name, or latest")
    parser.add_argument(
        "--out", default="runs", metavar="DIR", help="directory of run folders (default runs)"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    asked = parser.parse(argv)
    folders = list(dict.fromkeys(find_stored(name, asked.out) for name in asked.run))
    for folder in folders:
        print(f"remove  {folder}")
    if not asked.yes and not _agreed(len(folders)):
        print("nothing was removed")
        return 0

    from inferometer.api.keeping import remove

    for folder in folders:
        remove(folder)
    print(f"removed  {len(folders)} run{'s' if len(folders) > 1 else ''}")
    return 0


def _agreed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(f"runs rm of {count} run(s) without --yes, and nobody to ask", "add --yes")
    return input(f"remove {count} run{'s' if count > 1 else ''}? [y/N] ").strip().lower() in ("y", "yes")

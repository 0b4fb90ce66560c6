"""``inferometer config``: the spec, its origins and the names of other tools."""

from __future__ import annotations

import json
import shutil

from inferometer.cli.backends import render_backends
from inferometer.cli.parse import Parser, parse_run
from inferometer.errors import UsageError
from inferometer.exchange.compat.aliases import ALIASES, meaning

_TEXT = """Shows the JSON Schema of a run file (schema), what other tools' flags become here (aliases), the APIs that
are spoken and what each can be asked for (backends, or backends NAME), published tests (presets), or merged values as
a run file with the origin of each (show, followed by any flags of run)."""


def main(argv: list[str]) -> int:
    """Print the schema, the alias table, the table of APIs or the merged values."""
    if argv[:1] == ["show"] and not {"-h", "--help"} & set(argv):
        return _show(argv[1:])
    parser = Parser("config", _TEXT)
    parser.add_argument("what", choices=("schema", "aliases", "backends", "presets", "show"))
    parser.add_argument("name", nargs="?", help="the backend that more is to be told of")
    asked = parser.parse(argv)
    if asked.what == "backends":
        print(render_backends(asked.name))
        return 0
    if asked.name is not None:
        raise UsageError(f"config {asked.what} takes no {asked.name!r}", "leave it out")
    return {"schema": _schema, "aliases": _aliases, "presets": _presets}[asked.what]()


def _schema() -> int:
    from inferometer.spec.files import file_schema

    print(json.dumps(file_schema(), indent=2, ensure_ascii=False))
    return 0


def _aliases() -> int:
    print(f"{'name':<34}{'from':<28}here")
    for name, alias in ALIASES.items():
        print(f"{name:<34}{alias.peers or 'several':<28}{meaning(alias)}")
    return 0


def _presets() -> int:
    from inferometer.cli.presets import render_presets

    print(render_presets(min(shutil.get_terminal_size().columns, 110)))
    return 0


def _show(argv: list[str]) -> int:
    from inferometer.cli.plan import render_values
    from inferometer.cli.run import merged_from

    merged = merged_from(parse_run(argv))
    print(render_values(merged.spec, merged.origins))
    return 0

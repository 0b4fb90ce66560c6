"""``inferometer config``: the spec, its origins and the names of other tools."""

from __future__ import annotations

import json

from inferometer.cli.aliases import ALIASES, meaning
from inferometer.cli.parse import Parser, parse_run

_TEXT = """Shows the JSON Schema of a run file (schema), what other tools' flags become here (aliases), or merged
values as a run file with the origin of each (show, followed by any flags of run)."""


def main(argv: list[str]) -> int:
    """Print the schema, the alias table or the merged values."""
    if argv[:1] == ["show"] and not {"-h", "--help"} & set(argv):
        return _show(argv[1:])
    parser = Parser("config", _TEXT)
    parser.add_argument("what", choices=("schema", "aliases", "show"))
    asked = parser.parse(argv)
    return _schema() if asked.what == "schema" else _aliases()


def _schema() -> int:
    from inferometer.spec.files import file_schema

    print(json.dumps(file_schema(), indent=2, ensure_ascii=False))
    return 0


def _aliases() -> int:
    print(f"{'name':<34}{'from':<28}here")
    for name, alias in ALIASES.items():
        print(f"{name:<34}{alias.peers or 'several':<28}{meaning(alias)}")
    return 0


def _show(argv: list[str]) -> int:
    from inferometer.cli.plan import render_values
    from inferometer.cli.run import merged_from

    merged = merged_from(parse_run(argv))
    print(render_values(merged.spec, merged.origins))
    return 0

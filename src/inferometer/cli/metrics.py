"""``inferometer metrics``: what every number means."""

from __future__ import annotations

from inferometer.cli.parse import Parser


def main(argv: list[str]) -> int:
    """Print the names of all metrics, or the definition of one."""
    parser = Parser("metrics", "The metric dictionary: unit, formula and source of every number.")
    parser.add_argument("what", choices=("list", "explain"), help="all names, or one definition")
    parser.add_argument("name", nargs="?", default=None, metavar="NAME", help="such as ttft")
    asked = parser.parse(argv)

    from inferometer.metrics import dictionary

    if asked.what == "list":
        print("\n".join(dictionary.names()))
        return 0
    if asked.name is None:
        parser.error("metrics explain needs a NAME")
    print(dictionary.explain(asked.name))
    return 0

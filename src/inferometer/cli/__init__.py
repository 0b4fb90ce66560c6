"""The command line: one thin file per verb; it parses, calls the api room and prints."""

from __future__ import annotations

import sys

from inferometer.cli.boundary import Boundary


def main(argv: list[str] | None = None) -> int:
    """Run the command line ``argv`` (``sys.argv`` when absent) and return its exit code.

    0 ok, 2 usage or bad input, 3 SLO not met, 4 regression, 5 run INVALID or not comparable, 6 endpoint
    unreachable, 70 a fault of Inferometer itself, 130 interrupted. Nothing but this function's own faults is
    ever raised.
    """
    from inferometer.cli.verbs import dispatch

    words = sys.argv[1:] if argv is None else list(argv)
    with Boundary(json_asked="--json" in words) as boundary:
        boundary.exit_code = dispatch(words)
        sys.stdout.flush()
    return boundary.exit_code

"""The simulated engine's checks on measured data: what was wanted, what was measured, and the reason of a miss.

    cd bench && python -m sim.table [CHECK ...]

Each check is a module beside this one whose ``row()`` or ``rows()`` measure it. Processor seconds, of child processes
too, stand below the table. The exit code is 1 where a check could not be carried out; a goal that is missed is a
result.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from inferometer.errors import InferometerError
from sim.row import Row

CHECKS = (
    "vllm_run",
    "sweep",
    "intervals",
    "sweep_intervals",
    "operators",
    "batch_times",
    "lmdeploy",
    "mindie",
    "speed",
    "server_speed",
    "same_trace",
    "real_engine",
    "clients",
)


class Measured(NamedTuple):
    """Lines of one check, the processor seconds they took, and whether it could be carried out."""

    rows: list[Row]
    processor_s: float
    done: bool


def measure(name: str) -> Measured:
    """One check; an error in it is a line that says so, so that the others are still carried out."""
    begin = _processor_s()
    try:
        rows, done = list(_rows(name)()), True
    except (InferometerError, ImportError, AttributeError, OSError, ValueError, LookupError) as error:
        traceback.print_exc()
        rows, done = [Row(name, "", "", False, f"not carried out: {type(error).__name__}: {error}")], False
    return Measured(rows, _processor_s() - begin, done)


def _rows(name: str) -> Callable[[], Iterable[Row]]:
    module = importlib.import_module(f"sim.{name}")
    several: Callable[[], Iterable[Row]] | None = getattr(module, "rows", None)
    if several is not None:
        return several
    one: Callable[[], Row] = module.row
    return lambda: [one()]


def _processor_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def markdown(rows: Sequence[Row]) -> str:
    """The table."""
    lines = ["| check | goal | measured | | |", "| --- | --- | --- | --- | --- |"]
    words = {True: "met", False: "missed", None: "not measured"}
    for row in rows:
        cells = (row.check, row.goal, row.measured, words[row.met], row.note)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Print the table and what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "checks", nargs="*", metavar="CHECK", help=f"some of {', '.join(CHECKS)}; all by default"
    )
    names = parser.parse_args(argv).checks or CHECKS
    begin_s = time.perf_counter()
    found = {}
    for name in names:
        found[name] = measure(name)
        print(f"{name}: {found[name].processor_s:.0f} processor seconds", file=sys.stderr, flush=True)
    print(markdown([row for each in found.values() for row in each.rows]))
    took_s = sum(each.processor_s for each in found.values())
    print(f"\n{took_s:.0f} processor seconds, {time.perf_counter() - begin_s:.0f} s")
    return 0 if all(each.done for each in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``inferometer run``: measure an endpoint."""

from __future__ import annotations

import os
import shutil
import sys

from inferometer.cli.help import run_help
from inferometer.cli.parse import Asked, parse_run
from inferometer.cli.plan import render_plan
from inferometer.client.dialects.asked import settle
from inferometer.spec import Layer, Merged, environment_layer, file_layer, load_points, merge, warmup_point
from inferometer.spec.layers import unknown_variables


def main(argv: list[str]) -> int:
    """Merge flags, environment and file, and carry the run out, or show it with ``--dry-run``."""
    if {"-h", "--help", "--help-all"} & set(argv):
        print(run_help("--help-all" in argv, min(shutil.get_terminal_size().columns, 110)))
        return 0
    asked = parse_run(argv)
    merged = merged_from(asked)
    if not asked.quiet:
        for hint in hints(asked):
            print(f"hint: {hint}", file=sys.stderr)
    points = load_points(merged.spec)
    if asked.dry_run:
        for note in settle(merged.spec).notes:
            print(f"note: {note}", file=sys.stderr)
        print(render_plan(merged.spec, merged.origins, points, warmup_point(merged.spec, points[0])))
        return 0
    return _carry_out(asked, merged)


def merged_from(asked: Asked) -> Merged:
    """Flags over environment over file over defaults."""
    file = file_layer(asked.config) if asked.config else Layer()
    return merge([asked.flags, environment_layer(os.environ), file])


def hints(asked: Asked) -> list[str]:
    """What to call things here, and variables that mean nothing."""
    strange = [f"{problem.message}; {problem.next_step}" for problem in unknown_variables(os.environ)]
    return [*dict.fromkeys(asked.hints), *strange]


def _carry_out(asked: Asked, merged: Merged) -> int:
    from inferometer import api
    from inferometer.cli.live import watcher
    from inferometer.cli.outcome import print_outcome, terminal
    from inferometer.cli.signals import stopping
    from inferometer.loadgen.stop import StopSignal

    stop = StopSignal()
    ui = "none" if asked.quiet else merged.spec.output.ui
    with watcher(ui, terminal()) as observer, stopping(stop, merged.spec.load.grace_s):
        result = api.run(merged.spec, observer, stop)
    return print_outcome(result, asked.json)

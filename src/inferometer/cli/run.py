"""``inferometer run``: measure an endpoint."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from inferometer.cli.help import run_help
from inferometer.cli.parse import Asked, parse_run
from inferometer.cli.plan_launch import refuse_launch, render_launch, speaking
from inferometer.cli.resume import how_of, layer_of, render_resumption, run_to_resume, teller
from inferometer.client.dialects.asked import settle
from inferometer.spec import (
    Layer,
    LoadPoint,
    Merged,
    environment_layer,
    file_layer,
    load_points,
    merge,
    with_warmups,
)
from inferometer.spec.layers import unknown_variables
from inferometer.spec.presets import preset_layer
from inferometer.spec.simulation_rules import refuse_simulation


def main(argv: list[str]) -> int:
    """Merge flags, environment and file, and carry the run out, or show it with ``--dry-run``."""
    if {"-h", "--help", "--help-all"} & set(argv):
        print(run_help("--help-all" in argv, min(shutil.get_terminal_size().columns, 110)))
        return 0
    asked = parse_run(argv)
    folder = run_to_resume(asked)
    merged = merged_from(asked, folder)
    refuse_simulation(merged.spec, "run")
    if not asked.quiet:
        for hint in hints(asked):
            print(f"hint: {hint}", file=sys.stderr)
    points = load_points(merged.spec)
    if asked.dry_run:
        server = render_launch(merged.spec)
        merged = speaking(merged)
        for note in settle(merged.spec).notes:
            print(f"note: {note}", file=sys.stderr)
        if server:
            print(server)
        if folder is not None:
            print(render_resumption(asked, merged, folder))
        else:
            print(_plan(merged, with_warmups(merged.spec, points)))
        refuse_launch(merged.spec)
        return 0
    return _carry_out(asked, merged, folder)


def _plan(merged: Merged, points: Sequence[LoadPoint]) -> str:
    """What would be done, and how long it would take; ``points`` with their warm-ups."""
    from inferometer.api.estimating import estimate
    from inferometer.cli.plan import render_plan

    return render_plan(merged.spec, merged.origins, points, estimate(merged.spec, points))


def merged_from(asked: Asked, folder: Path | None = None) -> Merged:
    """Flags over environment over file over preset over the stored run that goes on, over defaults."""
    file = file_layer(asked.config) if asked.config else Layer()
    given = [asked.flags, environment_layer(os.environ), file]
    if asked.preset is not None:
        given.append(preset_layer(asked.preset, _names(given)))
    return merge(given if folder is None else [*given, layer_of(folder, _names(given))])


def _names(layers: Sequence[Layer]) -> set[str]:
    return {dotted for layer in layers for dotted in layer.values}


def hints(asked: Asked) -> list[str]:
    """What to call things here, and variables that mean nothing."""
    strange = [f"{problem.message}; {problem.next_step}" for problem in unknown_variables(os.environ)]
    return [*dict.fromkeys(asked.hints), *strange]


def _carry_out(asked: Asked, merged: Merged, folder: Path | None) -> int:
    from inferometer import api
    from inferometer.cli.outcome import print_outcome
    from inferometer.cli.signals import stopping
    from inferometer.cli.tables import check_wanted
    from inferometer.cli.watching import watching
    from inferometer.loadgen.stop import StopSignal

    check_wanted(merged.spec.output)
    stop = StopSignal()
    with watching(merged.spec, quiet=asked.quiet) as observer, stopping(stop, merged.spec.load.grace_s):
        if folder is None:
            result = api.run(merged.spec, observer, stop)
        else:
            result = api.resume(folder, merged.spec, how_of(asked), observer, stop, teller(asked))
    return print_outcome(result, asked.json, merged.spec.output)

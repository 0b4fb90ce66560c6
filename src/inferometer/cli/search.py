"""``inferometer search``: the largest load within limits, the peak of throughput, its knee, or the largest batch."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer.cli.help import SEARCH_PAGE, page
from inferometer.cli.parse import SEARCH, Asked, parse_run
from inferometer.cli.plan import render_values
from inferometer.cli.plan_launch import refuse_launch, render_launch, speaking
from inferometer.cli.resume import how_of, render_search, run_to_resume
from inferometer.cli.run import hints, merged_from
from inferometer.cli.tracking import print_tracked
from inferometer.spec import RunSpec
from inferometer.spec.search_rules import settled
from inferometer.spec.simulation_rules import refuse_simulation

if TYPE_CHECKING:
    from inferometer.api.searching import SearchResult
    from inferometer.metrics.capacity import Probe
    from inferometer.spec.model import Output


def main(argv: list[str]) -> int:
    """Merge flags, environment and file, and search, or show with ``--dry-run`` what it would do."""
    if {"-h", "--help", "--help-all"} & set(argv):
        print(page(SEARCH_PAGE, "--help-all" in argv, min(shutil.get_terminal_size().columns, 110)))
        return 0
    asked = parse_run(argv, SEARCH)
    folder = run_to_resume(asked, SEARCH)
    merged = merged_from(asked, folder)
    refuse_simulation(merged.spec, SEARCH)
    merged = merged._replace(spec=settled(merged.spec))

    from inferometer.api.searching import check
    from inferometer.tuner.outlook import outlook

    check(merged.spec)
    if not asked.quiet:
        for hint in hints(asked):
            print(f"hint: {hint}", file=sys.stderr)
    if asked.dry_run:
        server = render_launch(merged.spec)
        if server:
            print(server)
        merged = speaking(merged)
        print(render_values(merged.spec, merged.origins))
        print("\nSearch")
        for line in outlook(merged.spec):
            print(f"  {line}")
        if folder is not None:
            print("\n" + render_search(asked, merged.spec, folder))
        print("nothing was sent: --dry-run")
        refuse_launch(merged.spec)
        return 0
    if not asked.quiet:
        for line in outlook(merged.spec):
            print(f"search: {line}", file=sys.stderr, flush=True)
    return _carry_out(asked, merged.spec, folder)


def _carry_out(asked: Asked, spec: RunSpec, folder: Path | None) -> int:
    from inferometer.api.searching import search
    from inferometer.cli.signals import stopping
    from inferometer.cli.watching import watching
    from inferometer.loadgen.stop import StopSignal

    stop = StopSignal()
    going = None if folder is None else (folder, how_of(asked))
    with watching(spec, quiet=asked.quiet) as observer, stopping(stop, spec.load.grace_s):
        result = search(spec, observer, stop, teller(asked, spec), going)
    return print_found(result, asked.json, spec.output)


def teller(asked: Asked, spec: RunSpec) -> Callable[[Probe], None]:
    """Says on stderr how each load point was judged; nothing with ``--quiet``."""
    from inferometer.report.search import probe_line

    def tell(probe: Probe) -> None:
        if not asked.quiet:
            print(probe_line(probe, spec.search.varied), file=sys.stderr, flush=True)

    return tell


def print_found(result: SearchResult, as_json: bool, output: Output | None = None) -> int:
    """Print what a search found, where its load points are and went, and the line for machines."""
    from inferometer.cli.outcome import print_page, width
    from inferometer.report.search import answer_lines

    if result.answer is None:
        print("nothing was measured: see the notes in run.json")
    else:
        print("\n".join(answer_lines(result.answer.found, result.answer.variable, width())))
    if result.run.summary.simulated:
        print("simulated: no real server was measured")
    path = result.run.path
    print(f"run  {path}  (each load point: inferometer report {path})")
    print_page(result.run)
    if output is not None:
        print_tracked(result.run, output.track)
    if result.run.summary.state != "complete" and result.run.summary.prediction is None:
        print(f"next  inferometer search --resume {path}")
    if as_json:
        print(json.dumps(_for_machines(result), ensure_ascii=False))
    return result.exit_code


def _for_machines(result: SearchResult) -> dict[str, object]:
    from inferometer.api.found import answer_data

    line: dict[str, object] = {"run": str(result.run.path), "exit_code": result.exit_code}
    return line if result.answer is None else line | answer_data(result.answer)

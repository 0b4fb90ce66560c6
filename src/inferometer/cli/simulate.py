"""``inferometer simulate``: a run, a sweep or a search against a simulated engine, in virtual time."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from inferometer.cli.help import SIMULATE_PAGE, page
from inferometer.cli.parse import SIMULATE, Asked, Parser, parse_run
from inferometer.cli.plan import point_lines, render_values
from inferometer.cli.run import hints, merged_from
from inferometer.clock import MonotonicClock
from inferometer.errors import UsageError
from inferometer.spec import Merged, RunSpec, with_warmups
from inferometer.spec.options import options
from inferometer.spec.search import Search
from inferometer.spec.search_rules import settled
from inferometer.spec.simulation_rules import belongs_to_server

if TYPE_CHECKING:
    from inferometer.api.simulated import Simulated

_KEPT = "what was simulated is kept"
_DEVICES_TEXT = "Lists the devices whose figures stand in for a calibration, with where these are from."


def main(argv: list[str]) -> int:
    """Dispatch ``calibrate`` and ``devices``; else simulate what the spec asks for, or show it with ``--dry-run``."""
    if argv and argv[0] == "calibrate":
        from inferometer.cli import simulate_calibrate

        return simulate_calibrate.main(argv[1:])
    if argv and argv[0] == "devices":
        return _devices(argv[1:])
    if {"-h", "--help", "--help-all"} & set(argv):
        print(page(SIMULATE_PAGE, "--help-all" in argv, min(shutil.get_terminal_size().columns, 110)))
        return 0
    asked = parse_run(argv, SIMULATE)
    if asked.resume is not None:
        raise UsageError(
            "--resume: a simulated run is not gone on with, it is begun anew and takes little time",
            "leave out --resume; what was simulated before stays in its own folder",
        )
    merged, left_out = without_server(merged_from(asked))
    if not asked.quiet:
        for text in (*hints(asked), *left_out):
            print(f"hint: {text}", file=sys.stderr)
    searches = merged.spec.search != Search()
    if searches:
        merged = merged._replace(spec=settled(merged.spec))
    return _answered(asked, merged, searches=searches)


def without_server(merged: Merged) -> tuple[Merged, list[str]]:
    """The merged values without what a file or the environment says of a server; a flag that does is refused later.

    So a file that a run was measured with, and a key in the environment, do for a simulation as well.
    """
    spec, origins, told = merged.spec, dict(merged.origins), []
    for dotted, option in options().items():
        part = getattr(spec, option.part)
        given = getattr(part, option.name) != option.default
        if not given or not belongs_to_server(dotted) or origins[dotted].startswith("flag "):
            continue
        if origins[dotted] != "environment OPENAI_API_KEY":  # which is there for other programs
            told.append(
                f"{option.flag} (from {origins[dotted]}) is about a server, and is left out of a simulation"
            )
        spec = spec.model_copy(update={option.part: part.model_copy(update={option.name: option.default})})
        origins[dotted] = "default"
    return Merged(spec, origins), told


def _answered(asked: Asked, merged: Merged, *, searches: bool) -> int:
    from inferometer.api.simulated import is_question, service_of, variants

    spec = merged.spec
    services = [service_of(spec, variant) for variant in variants(spec)]
    if searches:
        from inferometer.api.searching import check

        check(spec)
    if asked.dry_run:
        _show(merged, services, searches=searches)
        return 0
    if is_question(spec):
        if searches:
            raise UsageError(
                "a search, and several services to compare: one question at a time",
                "leave out --search and --target, or give one value to what is compared",
            )
        from inferometer.cli import simulate_question

        return simulate_question.ask(asked, spec)
    return _search(asked, spec) if searches else _run(asked, spec)


def _show(merged: Merged, services: list[Simulated], *, searches: bool) -> None:
    """The plan, for ``--dry-run``."""
    from inferometer.spec import load_points
    from inferometer.tuner.outlook import outlook

    print(render_values(merged.spec, merged.origins))
    print("\nSimulated service" + ("s" if len(services) > 1 else ""))
    for service in services:
        print(f"  {service.what}")
        for note in service.notes:
            print(f"    {note}")
    if searches:
        print("\nSearch")
        lines = list(outlook(merged.spec))
    else:
        print("\nLoad points")
        lines = point_lines(merged.spec, with_warmups(merged.spec, load_points(merged.spec)))
    for line in lines:
        print(f"  {line}")
    print("nothing was simulated: --dry-run")


def _run(asked: Asked, spec: RunSpec) -> int:
    from inferometer.api.simulating import simulate
    from inferometer.cli.outcome import print_outcome
    from inferometer.cli.signals import stopping
    from inferometer.cli.tables import check_wanted
    from inferometer.cli.watching import watching
    from inferometer.loadgen.stop import StopSignal

    check_wanted(spec.output)
    stop = StopSignal()
    with watching(spec, quiet=asked.quiet) as observer, stopping(stop, spec.load.grace_s, _KEPT):
        result = simulate(spec, observer, stop)
    return print_outcome(result, asked.json, spec.output)


def _search(asked: Asked, spec: RunSpec) -> int:
    from inferometer.api.simulating import simulate_search
    from inferometer.cli.search import print_found, teller
    from inferometer.cli.signals import stopping
    from inferometer.cli.watching import watching
    from inferometer.loadgen.stop import StopSignal

    stop = StopSignal()
    with watching(spec, quiet=asked.quiet) as observer, stopping(stop, spec.load.grace_s, _KEPT):
        result = simulate_search(spec, observer, stop, teller(asked, spec))
    return print_found(result, asked.json, spec.output)


def _devices(argv: list[str]) -> int:
    from inferometer.cli.outcome import width
    from inferometer.report.devices import device_lines
    from inferometer.simulator.latency.devices import CPU, device, device_sheets, measure_cpu

    parser = Parser("simulate devices", _DEVICES_TEXT)
    parser.add_argument(
        "name", nargs="*", metavar="NAME", help="only these (default: all); cpu = this machine, measured now"
    )
    names = parser.parse(argv).name
    sheets = {name: measure_cpu(MonotonicClock()) if name == CPU else device(name) for name in names}
    sheets = sheets or dict(device_sheets())
    print("\n".join(device_lines(sheets, width())))
    return 0

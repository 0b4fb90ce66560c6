"""``inferometer check``: this machine, what its load generator carries, and whether a plan fits."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer.cli.parse import Asked, Parser, parse_run
from inferometer.cli.run import hints
from inferometer.errors import InterruptedEarlyError, UsageError
from inferometer.spec import Layer, RunSpec, environment_layer, file_layer, merge

if TYPE_CHECKING:
    from inferometer.api import CheckReport
    from inferometer.checks.calibration import Calibration

_TEXT = """Shows the settings of this machine that limit a load generator, and how much load it was found to carry.
Nothing is sent to a server but, with --calibrate, to one of our own on this machine."""
_MORE = """With flags of run, such as --max-concurrency 512 --output-len 256, it also says how much of that the plan
needs. --workers N is the number of processes that carry the load (auto = one with --calibrate); --json makes the last
line of stdout a JSON object; --quiet shows no hints and no progress."""
_PARTS_OF_A_PLAN = ("load.", "workload.", "sampling.")
_NO_ADDRESS = Layer({"endpoint.url": "http://localhost"}, {"endpoint.url": "none is needed"})


def main(argv: list[str]) -> int:
    """Measure if asked to, then look, and hold the plan against both."""
    parser = Parser("check", _TEXT, epilog=_MORE)
    parser.add_argument(
        "--calibrate", action="store_true", help="measure it, in less than 90 s, and store it for later runs"
    )
    parser.add_argument(
        "--keep", metavar="DIR", help="with --calibrate: keep the run folders of the sweep there"
    )
    own, rest = parser.parse_known_args(argv)
    asked = parse_run(rest)
    if own.keep is not None and not own.calibrate:
        raise UsageError("--keep is for --calibrate", "add --calibrate, or drop --keep")
    if asked.dry_run:
        raise UsageError("--dry-run is for run: check sends nothing to your server", "drop --dry-run")
    file = file_layer(asked.config) if asked.config else Layer()
    spec = merge([asked.flags, environment_layer(os.environ), file, _NO_ADDRESS]).spec
    if not asked.quiet:
        for hint in hints(asked):
            print(f"hint: {hint}", file=sys.stderr)
    calibration = _calibrate(spec, asked.quiet, own.keep) if own.calibrate else None
    return _show(spec if _is_plan(asked) else None, calibration, asked.json)


def _is_plan(asked: Asked) -> bool:
    given = set(asked.flags.values) - {"load.workers"}
    return asked.config is not None or any(name.startswith(_PARTS_OF_A_PLAN) for name in given)


def _calibrate(spec: RunSpec, quiet: bool, keep: str | None) -> Calibration:
    from inferometer import api
    from inferometer.checks.text import trial_lines
    from inferometer.cli.live_check import calibration_watcher
    from inferometer.cli.outcome import terminal

    workers = None if spec.load.workers == "auto" else spec.load.workers
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends like Ctrl-C: servers and folders go
    try:
        with calibration_watcher("none" if quiet else spec.output.ui, terminal()) as observer:
            done = api.calibrate(observer, workers, None if keep is None else Path(keep))
    except KeyboardInterrupt:
        raise InterruptedEarlyError("interrupted: nothing was stored") from None
    print("\n".join([*trial_lines(done.trials), ""]))
    if done.kept is not None:
        print(f"run folders  {done.kept}\n")
    api.store_envelope(done.envelope)
    return done


def _show(plan: RunSpec | None, calibration: Calibration | None, as_json: bool) -> int:
    from inferometer import api
    from inferometer.checks.text import details_text, envelope_text, finding_lines, need_text

    report = api.check(plan)
    print("\n".join([*finding_lines(report.findings), ""]))
    if report.envelope is None:
        print(f"what the generator carries on this machine is not known: {report.hint}")
    else:
        print(f"{envelope_text(report.envelope)}\n  {details_text(report.envelope)}")
        if plan is not None:
            print(need_text(report.need))
    if report.refused is not None:
        raise report.refused
    if as_json:
        print(json.dumps(_plain(report, calibration), ensure_ascii=False))
    return 0


def _plain(report: CheckReport, calibration: Calibration | None) -> dict[str, object]:
    import msgspec

    need = report.need
    return {
        "findings": [finding._asdict() for finding in report.findings],
        "envelope": msgspec.to_builtins(report.envelope),
        "hint": report.hint,
        "need": None
        if need is None
        else {
            "point": need.demand.title,
            "dimension": need.dimension,
            "share": need.share,
            "asked": need.asked,
            "limit": need.limit,
        },
        "trials": msgspec.to_builtins(calibration.trials if calibration else ()),
        "exit_code": 0,
    }

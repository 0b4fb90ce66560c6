"""``inferometer simulate calibrate``: a profile of an engine from runs, step records or a table of load points."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer.cli.parse import Parser
from inferometer.cli.which import find_run
from inferometer.errors import InterruptedEarlyError, UsageError

if TYPE_CHECKING:
    from inferometer.api.calibrating_engine import Progress
    from inferometer.simulator.calibration.calibrated import Calibrated

_TEXT = """\
Makes a profile of an engine from what was measured of it from outside: one or more runs, its own step records, or
a table of load points. Says how large the errors are on what it had not seen, which coefficients the data do not show,
and which load points would show them."""
_MORE = """A run of 100 requests and more is enough; several concurrencies and lengths make the profile true for more
loads. Then: inferometer simulate --profile FILE --max-concurrency 64 --input-len 1024 --output-len 256"""


def main(argv: list[str]) -> int:
    """Calibrate, write profile and page, and print the summary."""
    asked = _parser().parse(argv)
    profile = Path(asked.output)
    page = None if asked.no_page else Path(asked.page or profile.with_suffix(".html"))
    for path in (profile, page):
        if path is not None:
            _check_place(path, asked.overwrite)
    if page is not None and page == profile:
        raise UsageError(f"profile and page are both to be {profile}", "name another with --page FILE")
    found = _calibrated(asked)

    from inferometer.cli.outcome import width
    from inferometer.report.calibration import calibration_lines
    from inferometer.report.residual_page import render_residual_page
    from inferometer.simulator.latency.profile import write_profile

    write_profile(found.profile, profile)
    if page is not None:
        _write(page, render_residual_page(found))
    print("\n".join(calibration_lines(found, width())))
    print(f"\nprofile  {profile}")
    if page is not None:
        print(f"page     {page}")
    if asked.json:
        print(json.dumps(_plain(found, profile, page), ensure_ascii=False))
    return 0


def _parser() -> Parser:
    parser = Parser("simulate calibrate", _TEXT, epilog=_MORE)
    parser.add_argument(
        "run",
        nargs="*",
        metavar="RUN",
        help="path, folder name, a unique part of it, or latest; several together",
    )
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="profile to write (JSON)")
    parser.add_argument(
        "--page", metavar="FILE", help="page of residuals (default: the profile's name, .html)"
    )
    parser.add_argument("--no-page", action="store_true", help="write no page")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument(
        "--out", default="runs", metavar="DIR", help="directory of run folders (default runs)"
    )
    parser.add_argument(
        "--step-log",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="the engine's step records: batch.csv of ms_service_profiler, or serve-sim's --step-log",
    )
    parser.add_argument(
        "--table",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="CSV of load points: concurrency,input_tokens,output_tokens,ttft_ms,tpot_ms",
    )
    parser.add_argument("--engine", metavar="NAME", help="which engine it was (default: the run's, or vllm)")
    parser.add_argument(
        "--engine-args",
        metavar="FLAGS",
        help='flags it was started with: "--max-num-seqs 256" (default: the run\'s)',
    )
    parser.add_argument(
        "--device", metavar="NAME", help="kind of its device; with --model-config: roofline priors"
    )
    parser.add_argument(
        "--model-config", metavar="PATH", help="config.json of its model, or a directory with it"
    )
    parser.add_argument(
        "--kv-tokens",
        type=_whole,
        metavar="N",
        help="tokens of its KV cache (default: as the run or its metrics say)",
    )
    parser.add_argument(
        "--members", type=_whole, default=12, metavar="N", help="refits for prediction intervals (default 12)"
    )
    parser.add_argument(
        "--max-requests",
        type=_whole,
        default=2000,
        metavar="N",
        help="requests that count, of all runs together (default 2000)",
    )
    parser.add_argument("--seed", type=_whole, default=0, metavar="N", help="of the fits (default 0)")
    parser.add_argument("--json", action="store_true", help="the last line of stdout is a JSON object")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    return parser


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _check_place(path: Path, overwrite: bool) -> None:
    """Refuse before the work what could not be written after it.

    Raises:
        UsageError: the place is no place for a file, or holds one.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a directory", "name a file in it")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists", "give --overwrite to replace it, or another name")
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: {path.parent} is no directory", "make it first")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"{path} cannot be written: no permission", "name a file elsewhere")


def _files(names: list[str], flag: str) -> tuple[Path, ...]:
    """Paths of files that are there.

    Raises:
        UsageError: one is not.
    """
    for name in names:
        if not Path(name).is_file():
            raise UsageError(
                f"{flag} {name}: there is no such file", f"name RUNs before {flag}, and files after it"
            )
    return tuple(map(Path, names))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"page {path} cannot be written: {error.strerror}") from error


def _calibrated(asked: argparse.Namespace) -> Calibrated:
    from inferometer.api.calibrating_engine import Effort, Measured, calibrate_engine
    from inferometer.api.measured_engine import Told

    measured = Measured(
        runs=tuple(dict.fromkeys(find_run(name, asked.out) for name in asked.run)),
        step_logs=_files(asked.step_log, "--step-log"),
        tables=_files(asked.table, "--table"),
    )
    told = Told(
        engine=asked.engine,
        flags=asked.engine_args,
        device=asked.device,
        model_config=asked.model_config,
        kv_tokens=asked.kv_tokens,
    )
    effort = Effort(
        members=asked.members,
        requests=asked.max_requests,
        seed=asked.seed,
        made_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return calibrate_engine(measured, told, effort, _no_progress if asked.quiet else _teller())
    except KeyboardInterrupt:
        raise InterruptedEarlyError("interrupted: nothing was written") from None


def _no_progress(what: str, done: int, of: int) -> None:
    del what, done, of


def _teller() -> Progress:
    """Progress on stderr: one line that changes on a terminal, one for each stage elsewhere."""
    changing = sys.stderr.isatty()
    last = [""]

    def tell(what: str, done: int, of: int) -> None:
        if changing:
            count = f" {done} of {of}" if of > 1 else ""
            end = "\n" if what == "refits" and done == of else ""
            print(f"\r\x1b[K{what}{count}", end=end, file=sys.stderr, flush=True)
        elif what != last[0]:
            print(what, file=sys.stderr, flush=True)
        last[0] = what

    return tell


def _plain(found: Calibrated, profile: Path, page: Path | None) -> dict[str, object]:
    import msgspec

    return {
        "profile": str(profile),
        "page": None if page is None else str(page),
        "coefficients": msgspec.to_builtins(found.profile.coefficients),
        "fitted": found.fitted,
        "held_out": found.profile.provenance.held_out,
        "coverage": found.coverage,
        "unseen": {row.name: row.add for row in found.seen if not row.seen},
        "warnings": list(found.warnings),
        "exit_code": 0,
    }

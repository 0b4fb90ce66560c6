"""Measures load generators side by side on the truth server, this project's own among them.

    cd bench && python -m peers.run [--only NAME ...] [--case NAME ...] [--repeat 3] [--quick] [--timeout 180]

The tool runs on the first core that we may use, the server on the last one. CPU and memory are those of the tool's
whole process tree over its whole life, imports and report included. What was reached and when chunks left is read
from the server's log, never from the tool. Repeats of one case follow each other tool by tool, so that all of them
meet the same machine. Written after each run: ``build/bench/peers-NAME.json`` (``--quick``: ``quick-peers-NAME.json``):

    {"schema", "tool", "title", "version", "code", "quick", "machine",
     "cases": {CASE: {"shape", "failed", "median", "runs"}}}

``code`` is null but for our own tool, whose sources change under one version.
``failed`` is null or the reason why the tool could not do the case; then ``median`` is null unless an earlier run
succeeded. Each of ``runs`` holds

- ``cpu_s``, ``cpu_us_per_event``, ``cpu_ms_per_request``, ``peak_mb``, ``wall_s``: of the process tree;
- ``requests``, ``events`` (content chunks), ``requests_per_s``, ``events_per_s``: from the server's log;
- ``reported``, ``truth`` and ``error`` (reported - truth): ms, of ``ttft`` and ``itl`` as ``{"mean", "p50", "p99"}``,
  null where the tool does not report it;
- ``doubts``: conditions for which the tool itself calls the run invalid; only ours judges its runs.

``median`` has the same keys, and ``net_cpu_us_per_event`` and ``net_cpu_ms_per_request``: without what starting and
ending the tool costs, as measured by the case ``start-1x16``.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inferometer.testing.truth_server import TruthSettings, start_truth_server
from inferometer.version import __version__
from machine import describe_code, describe_machine
from measured import PR_SET_CHILD_SUBREAPER, Measured, reap_all, run_measured
from peers import page
from peers.cases import CASES, QUICK_CASES, START, Case
from peers.environments import BuildError, ensure_environment, pinned_version
from peers.results import Reported, Statistics, UnreadableError, read_result
from peers.tokenizer import make_tokenizer
from peers.tools import TOOLS, NotOfferedError, Place, Tool
from peers.truth import Truth, truth_of

SCHEMA = "inferometer.peers/1"
ROOT = Path(__file__).resolve().parents[2]
MODEL = "truth"
_KEYS = ("mean", "p50", "p99")
_FIGURES = (
    "cpu_s",
    "requests",
    "events",
    "cpu_us_per_event",
    "cpu_ms_per_request",
    "peak_mb",
    "requests_per_s",
    "events_per_s",
    "wall_s",
)


class FailedError(Exception):
    """A tool could not do a case; the message is the reason."""


@dataclass(frozen=True)
class Bench:
    """What all runs share.

    Attributes:
        environments: directory of the peers' environments.
        tokenizer: directory of a tokenizer.
        timeout_s: of one run of a tool.
    """

    environments: Path
    tokenizer: Path
    timeout_s: float

    def programs(self, tool: Tool) -> Path:
        """Where the tool's programs are; raises BuildError."""
        if tool.name == page.OURS:
            return Path(sys.executable).parent
        return ensure_environment(tool.name, self.environments)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 1 when no tool did any case. Nothing that it started outlives it, SIGTERM included."""
    options = _flags().parse_args(argv)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        succeeded = compare(options)
    finally:
        reap_all()
    if not options.quick and options.out == page.RESULTS:
        page.main()
    return 0 if succeeded else 1


def compare(options: argparse.Namespace) -> int:
    """Measure all that is asked for and store it; returns how many runs succeeded."""
    cases = [case for case in (QUICK_CASES if options.quick else CASES) if case.name in options.case]
    bench = Bench(options.environments, make_tokenizer(options.environments / "tokenizer"), options.timeout)
    options.out.mkdir(parents=True, exist_ok=True)
    prefix = "quick-peers" if options.quick else "peers"
    files = [
        ResultFile(options.out / f"{prefix}-{tool.name}.json", tool, options.quick)
        for tool in TOOLS
        if tool.name in options.only
    ]
    ready = [file for file in files if _prepared(bench, file, cases)]
    succeeded = 0
    for case in cases:
        for file in ready:
            file.begin(case)
        for turn in range(options.repeat):
            for file in ready:
                succeeded += _one_run(bench, file, case, turn)
    return succeeded


def _flags() -> argparse.ArgumentParser:
    names = [tool.name for tool in TOOLS]
    cases = [case.name for case in CASES]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names)
    )
    parser.add_argument(
        "--case", nargs="+", choices=cases, default=cases, metavar="NAME", help=", ".join(cases)
    )
    parser.add_argument("--repeat", type=int, default=3, help="runs per tool and case (default 3)")
    parser.add_argument("--quick", action="store_true", help="small loads: see that everything works")
    parser.add_argument("--timeout", type=float, default=180.0, help="seconds a run may take (default 180)")
    parser.add_argument("--out", type=Path, default=page.RESULTS)
    parser.add_argument("--environments", type=Path, default=ROOT / "build" / "peers")
    return parser


class ResultFile:
    """The results of one tool.

    Cases that are not measured again are kept, if they are of the same version (of the same sources, if it is our own
    tool) on the same machine.

    Args:
        path: where.
        tool: whose.
        quick: whether the loads are the small ones.
    """

    def __init__(self, path: Path, tool: Tool, quick: bool) -> None:
        self.tool = tool
        self._path = path
        head = {
            "schema": SCHEMA,
            "tool": tool.name,
            "title": tool.title,
            "version": pinned_version(tool.name, tool.distribution) or __version__,
            "code": describe_code() if tool.name == page.OURS else None,
            "quick": quick,
            "machine": describe_machine(),
        }
        old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        same = all(_comparable(old.get(key)) == _comparable(value) for key, value in head.items())
        self._content: dict[str, Any] = {**head, "cases": old["cases"] if same else {}}

    @property
    def cases(self) -> dict[str, Any]:
        """What is known of each case, by name; see the module."""
        found: dict[str, Any] = self._content["cases"]
        return found

    def begin(self, case: Case) -> None:
        """Forget what was known of a case."""
        self.cases[case.name] = {
            "shape": asdict(case),
            "failed": None,
            "median": None,
            "runs": [],
        }

    def failed(self, case: Case) -> bool:
        """Whether the tool has failed at the case."""
        return self.cases[case.name]["failed"] is not None

    def add(self, case: Case, run: dict[str, Any]) -> None:
        """Keep a run."""
        entry = self.cases[case.name]
        entry["runs"].append(run)
        entry["median"] = median_of(entry["runs"])
        self._write()

    def fail(self, case: Case, reason: str) -> None:
        """Keep why there is no run."""
        self.cases[case.name]["failed"] = f"failed: {reason}"
        self._write()

    def _write(self) -> None:
        add_net_cost(self.cases)
        self._path.write_text(json.dumps(self._content, indent=1) + "\n", encoding="utf-8")


def _comparable(value: Any) -> Any:
    """Of our code only the sources count: a commit that changes nothing of them changes no result."""
    return value["sources"] if isinstance(value, dict) and "sources" in value else value


def _prepared(bench: Bench, file: ResultFile, cases: Sequence[Case]) -> bool:
    print(f"{file.tool.name}: environment", flush=True)
    try:
        bench.programs(file.tool)
    except BuildError as error:
        print(f"{file.tool.name}: failed: {error}", flush=True)
        for case in cases:
            file.begin(case)
            file.fail(case, f"its environment could not be built: {error}")
        return False
    return True


def _one_run(bench: Bench, file: ResultFile, case: Case, turn: int) -> bool:
    """Measure once and keep what came of it; a tool that failed at a case is not asked again."""
    if file.failed(case):
        return False
    head = f"{case.name} {turn + 1} {file.tool.name}:"
    try:
        run = measure(bench, file.tool, case)
    except FailedError as error:
        file.fail(case, str(error))
        print(f"{head} failed: {error}", flush=True)
        return False
    file.add(case, run)
    print(
        f"{head} {run['cpu_us_per_event']:.1f} us/event, {run['cpu_ms_per_request']:.3f} ms/request, "
        f"{run['peak_mb']:.0f} MB, {run['requests_per_s']:,.1f} req/s, {run['events_per_s']:,.0f} tok/s, "
        f"{run['wall_s']:.0f} s{''.join(f'; INVALID: {doubt}' for doubt in run['doubts'])}",
        flush=True,
    )
    return True


def measure(bench: Bench, tool: Tool, case: Case) -> dict[str, Any]:
    """One run of a tool on a fresh server.

    Raises:
        FailedError: why there is no result.
    """
    cores = sorted(os.sched_getaffinity(0))
    pace = TruthSettings(
        ttft_s=case.ttft_ms / 1e3,
        itl_s=(case.itl_ms or 1.0) / 1e3,
        flood=case.itl_ms is None,
        model=MODEL,
    )
    with tempfile.TemporaryDirectory() as folder, start_truth_server(pace, cores[-1]) as server:
        out = Path(folder)
        place = Place(bench.programs(tool), server.url, MODEL, bench.tokenizer, out)
        try:
            command = tool.command(place, case)
        except NotOfferedError as error:
            raise FailedError(str(error)) from error
        environment = {
            **os.environ,
            **tool.environment,
            "PATH": f"{place.programs}{os.pathsep}{os.environ['PATH']}",
        }
        try:
            used = run_measured(command, cores[0], timeout_s=bench.timeout_s, env=environment, cwd=out)
        except (OSError, subprocess.SubprocessError) as error:
            raise FailedError(str(error)) from error
        log = server.log()
        check_end(bench.timeout_s, tool, case, used, truth_of(log, case, tool.gaps))
        try:
            reported = read_result(tool.reader, out)
        except UnreadableError as error:
            raise FailedError(str(error)) from error
    if reported.completed < case.requests:
        raise FailedError(f"it reports {reported.completed} of {case.requests} requests as successful")
    truth = truth_of(log, case, tool.gaps, reported.completed)
    assert truth is not None  # check_end saw enough answers
    return figures(used, truth, reported)


def check_end(timeout_s: float, tool: Tool, case: Case, used: Measured, truth: Truth | None) -> None:
    """Raise FailedError when the run is not one: the reason, and how far the server saw it get."""
    answered = truth.requests if truth else 0
    got = f"{answered:,} of {case.requests:,} requests answered"
    if truth:
        got += f", {truth.requests_per_s:,.0f} req/s, {truth.events_per_s:,.0f} tok/s"
    if used.wall_s >= timeout_s:
        raise FailedError(f"not done after {timeout_s:.0f} s; {got}")
    if used.code not in tool.done_codes:
        said = (used.stderr.strip() or used.stdout.strip() or "it said nothing").splitlines()[-1]
        raise FailedError(f"exit status {used.code}: {said[:300]}; {got}")
    if answered < case.requests:
        raise FailedError(got)


def figures(used: Measured, truth: Truth, reported: Reported) -> dict[str, Any]:
    """What is kept of a run; see the module for the keys."""
    return {
        "cpu_s": used.cpu_s,
        "cpu_us_per_event": used.cpu_s / truth.events * 1e6,
        "cpu_ms_per_request": used.cpu_s / truth.requests * 1e3,
        "peak_mb": used.peak_rss_bytes / 1e6,
        "requests_per_s": truth.requests_per_s,
        "events_per_s": truth.events_per_s,
        "wall_s": used.wall_s,
        "requests": truth.requests,
        "events": truth.events,
        "doubts": list(reported.doubts),
        "reported": {"ttft": asdict(reported.ttft), "itl": asdict(reported.itl)},
        "truth": {"ttft": asdict(truth.ttft), "itl": asdict(truth.itl)},
        "error": {"ttft": _error(reported.ttft, truth.ttft), "itl": _error(reported.itl, truth.itl)},
    }


def _error(reported: Statistics, truth: Statistics) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for key in _KEYS:
        said, was = getattr(reported, key), getattr(truth, key)
        found[key] = None if said is None or was is None else said - was
    return found


def median_of(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians over runs, figure by figure; of an error the median keeps its sign."""
    found: dict[str, Any] = {name: statistics.median(run[name] for run in runs) for name in _FIGURES}
    found["doubts"] = sorted({doubt for run in runs for doubt in run["doubts"]})
    for group in ("reported", "truth", "error"):
        found[group] = {
            metric: {key: _median([run[group][metric][key] for run in runs]) for key in _KEYS}
            for metric in ("ttft", "itl")
        }
    return found


def add_net_cost(cases: dict[str, Any]) -> None:
    """Add to each median what the load itself cost: CPU less that of the case ``START``.

    Null without that case, and when the load is so small that nothing is left of the difference.
    """
    start = cases.get(START.name, {}).get("median")
    for entry in cases.values():
        median = entry["median"]
        if median is None:
            continue
        cpu_s = median["cpu_s"] - start["cpu_s"] if start else 0.0
        median["net_cpu_us_per_event"] = cpu_s / median["events"] * 1e6 if cpu_s > 0 else None
        median["net_cpu_ms_per_request"] = cpu_s / median["requests"] * 1e3 if cpu_s > 0 else None


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


if __name__ == "__main__":
    sys.exit(main())

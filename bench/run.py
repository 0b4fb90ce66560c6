"""``make bench``: what our load generator costs and how true it is, on the shipped truth server, against its goals.

    python bench/run.py [--repeat 3] [--quick] [--only paced512 flood ...]

Server on the last core, client on the first. Medians over the repetitions. Results go to build/bench/, and the table
of docs/performance.md is made of them (bench/table.py); it exits with 1 when a goal is missed. What --only does
not measure again is kept if it is of the same sources on the same machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from floor import measure_floor
from inferometer.errors import InferometerError
from machine import describe_code, describe_machine
from our_cases import CASES, GOALS, ROWS, Case, Goal, quick
from ours import Empty, Machine, RunFailedError, measure, measure_empty, this_machine
from table import FLOOR, floor, met, number, outcome, write_ours

RESULTS = Path(__file__).parents[1] / "build" / "bench"
# the case that one is held against, in which metric, and how the ratio is called
COMPARED = {
    "workers2": ("paced512", "us_per_event", "cpu_ratio_to_paced512"),
    "tls512": ("paced512", "us_per_event", "cpu_ratio_to_paced512"),
    "flood2": ("flood", "events_per_s", "rate_ratio_to_flood"),
}
# what must hold always is as bad as its worst repetition
WORST = {"honest": min, "valid": min, "streams_held": min, "requests_not_ok": max, "unmatched_chunks": max}
FLOOR_CASE = "paced512"
FAILURES = (RunFailedError, InferometerError, OSError, IndexError, subprocess.SubprocessError)


def main() -> int:
    options = _flags().parse_args()
    chosen = choose(options.only)
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / ("ours-quick.json" if options.quick else "ours.json")
    document: dict[str, Any] = {
        "machine": describe_machine(),
        "code": describe_code(),
        "quick": options.quick,
        "repeat": options.repeat,
        "empty": {},
    }
    document["cases"] = load_results(path, document) if options.only and not options.quick else {}
    measured: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(dir=RESULTS) as folder:
        machine = this_machine(Path(folder))
        print(f"server on core {machine.server}, client on core {machine.client}", flush=True)
        chosen = [case for case in chosen if has_room(case, machine)]
        empty = measure_empties(chosen, machine)
        document["empty"] = {n: vars(value) for n, value in empty.items()}
        for case in chosen:
            asked = quick(case) if options.quick else case
            result = middle(
                [
                    attempt(asked, machine, empty[case.workers])
                    for _ in range(min(options.repeat, asked.repeats))
                ]
            )
            if case.name == FLOOR_CASE:
                result["floor"] = measure_floor(asked, machine, 2.0 if options.quick else 10.0)
            measured[case.name] = document["cases"][case.name] = result
            compare(document["cases"])
            path.write_text(json.dumps(document, indent=1) + "\n")
            show(asked, result, judged=not options.quick)
    if options.quick:
        print("\nquick: the loads are too small to judge the goals")
        return 1 if any(result["failures"] for result in measured.values()) else 0
    write_ours(document)
    missed = [goal for goal in GOALS if goal.case in measured and not met(goal, measured[goal.case])]
    print(f"\n{len(missed)} goals missed" if missed else "\nall goals met")
    return 1 if missed else 0


def measure_empties(chosen: list[Case], machine: Machine) -> dict[int, Empty]:
    """What a run costs that has next to nothing to do, by number of workers."""
    try:
        return {n: measure_empty(n, machine) for n in sorted({case.workers for case in chosen})}
    except FAILURES as error:
        raise SystemExit(f"not even a run of two requests works: {error}") from error


def has_room(case: Case, machine: Machine) -> bool:
    """Whether there are cores for the case; says so if not."""
    enough = len(machine.workers) >= case.own_cores
    if not enough:
        print(f"{case.name}: left out, it needs {case.own_cores} cores besides the server's", flush=True)
    return enough


def attempt(case: Case, machine: Machine, empty: Empty) -> dict[str, Any]:
    """One repetition, or why there is none."""
    try:
        return measure(case, machine, empty)
    except FAILURES as error:
        reason = f"{type(error).__name__}: {error}"
        print(f"{case.name}: {reason}", file=sys.stderr)
        return {"failure": reason}


def middle(repeats: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of numbers, lists of everything else; a number that one repetition lacks is left out. All are kept."""
    good = [r for r in repeats if "failure" not in r]
    found: dict[str, Any] = {"repeats": repeats, "failures": len(repeats) - len(good)}
    for name in dict.fromkeys(name for r in good for name in r):
        values = [r.get(name) for r in good]
        known = [v for v in values if v is not None]
        if not all(isinstance(v, (int, float)) for v in known):
            found[name] = values
        elif known and len(known) == len(values):
            found[name] = WORST.get(name, statistics.median)(known)
    return found


def compare(results: dict[str, dict[str, Any]]) -> None:
    """Add the ratios of cases to others, where both were measured."""
    for case, (other, metric, name) in COMPARED.items():
        own, base = (results.get(of, {}).get(metric) for of in (case, other))
        if own and base:
            results[case][name] = own / base


def show(case: Case, result: dict[str, Any], judged: bool) -> None:
    """One case for people."""
    print(f"\n{report(case, result, judged)}", flush=True)


def report(case: Case, result: dict[str, Any], judged: bool) -> str:
    """What came of a case, in lines."""
    verdicts = ", ".join(result.get("verdict", ["no result"]))
    failed = sorted({name for names in result.get("failed_conditions", []) for name in names})
    shown = Shown(result)
    lines = [
        f"{case.name}: {case.title}",
        f"  verdict {verdicts}{' (' + ', '.join(failed) + ')' if failed else ''}",
    ]
    if "events" in result:
        lines.append(
            "  CPU us/event {us_per_event} after imports, {us_per_event_whole_life} whole life, "
            "{us_per_event_worker} workers alone; {events_per_s} events/s; worker {worker_cpu_share} of a core; "
            "peak {peak_mb} MB, workers {worker_peak_mb} MB".format_map(shown)
        )
    if "error_p50_us" in result:
        lines.append(
            "  error us p50 {error_p50_us} p99 {error_p99_us} p99.9 {error_p999_us} max {error_max_us}, "
            "smallest {error_smallest_us}; {unmatched_chunks} chunks unmatched; server late p99 "
            "{server_late_p99_us} us; other programs used {foreign_cores} cores".format_map(shown)
        )
    if "floor" in result:
        lines.append(f"  {FLOOR}: {floor(result['floor'])}")
    lines += [f"  {judgement(goal, result, judged)}" for goal in GOALS if goal.case == case.name]
    return "\n".join(lines)


class Shown(dict[str, str]):
    """The numbers of a result as people read them; "-" for what was not measured."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__({k: number(v) for k, v in result.items() if isinstance(v, (int, float))})

    def __missing__(self, key: str) -> str:
        return "-"


def judgement(goal: Goal, result: dict[str, Any], judged: bool = True) -> str:
    """A goal and what came of it."""
    value, _, word = outcome(goal, result).partition(" | ")
    end = f": {word}" if judged and word.strip() else ""
    return f"{goal.words}: {value} (goal {goal.op} {number(goal.limit)}){end}"


def choose(only: list[str] | None) -> list[Case]:
    """The cases asked for, in the order of the table."""
    names = {name for word in only or [] for name in ROWS.get(word, (word,))}
    unknown = names - {case.name for case in CASES}
    if unknown:
        raise SystemExit(
            f"no case {', '.join(sorted(unknown))}; there are {', '.join(c.name for c in CASES)}"
        )
    return [case for case in CASES if not names or case.name in names]


def load_results(path: Path, now: dict[str, Any]) -> dict[str, Any]:
    """Earlier results, to which --only adds: those of the sources and the machine that are measured ``now``."""
    old = json.loads(path.read_text()) if path.exists() else {}
    if not old.get("cases"):
        return {}
    same = (
        old.get("code", {}).get("sources") == now["code"]["sources"] and old.get("machine") == now["machine"]
    )
    if not same:
        kept = path.replace(path.with_suffix(".old.json"))
        print(f"earlier results are of other sources or another machine: moved to {kept.name}", flush=True)
    return dict(old["cases"]) if same else {}


def _flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small loads, once: does it work at all?")
    parser.add_argument(
        "--only", nargs="+", metavar="CASE", help=f"{', '.join(c.name for c in CASES)}; {', '.join(ROWS)}"
    )
    return parser


if __name__ == "__main__":
    start = time.monotonic()
    code = main()
    print(f"{time.monotonic() - start:.0f} s")
    sys.exit(code)

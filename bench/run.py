"""``make bench``: what our load generator costs and how true it is, on the shipped truth server, against its goals.

    python bench/run.py [--repeat 3] [--quick] [--only paced512 flood ...]

Server on the last core, client on the first. Medians over the repetitions. Results go to build/bench/, and the table
of docs/performance.md is made of them (bench/table.py); it exits with 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import describe_machine
from our_cases import CASES, GOALS, ROWS, Case, Goal, quick
from ours import Empty, RunFailedError, measure, measure_empty, this_machine
from table import number, write_ours

RESULTS = Path(__file__).parents[1] / "build" / "bench"
COMPARED = {"workers2": "paced512", "tls512": "paced512"}  # the case that its CPU per event is held against


def main() -> int:
    options = _flags().parse_args()
    chosen = choose(options.only)
    RESULTS.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(dir=RESULTS) as folder:
        machine = this_machine(Path(folder))
        print(f"server on core {machine.server}, client on core {machine.client}", flush=True)
        if len(machine.workers) < 2:
            print(
                "two cores only: two workers share core 0, so their CPU per event is compared, not their rate"
            )
        empty = {n: measure_empty(n, machine) for n in sorted({case.workers for case in chosen})}
        for case in chosen:
            asked = quick(case) if options.quick else case
            repeats = [
                attempt(asked, machine, empty[case.workers])
                for _ in range(min(options.repeat, asked.repeats))
            ]
            results[case.name] = middle(repeats)
            compare(case, results)
            show(asked, results[case.name], judged=not options.quick)
    document = {
        "machine": describe_machine(),
        "quick": options.quick,
        "repeat": options.repeat,
        "empty": {n: vars(value) for n, value in empty.items()},
        "cases": results,
    }
    name = "ours-quick.json" if options.quick else "ours.json"
    if options.only and not options.quick:
        document["cases"] = {**load_results(RESULTS / name), **results}
    (RESULTS / name).write_text(json.dumps(document, indent=1) + "\n")
    if not options.quick:
        write_ours(document)
    if options.quick:
        print("\nquick: the loads are too small to judge the goals")
        return 1 if any(result["failures"] for result in results.values()) else 0
    missed = [goal for goal in GOALS if goal.case in results and not met(goal, results)]
    print(f"\n{len(missed)} goals missed" if missed else "\nall goals met")
    return 1 if missed else 0


def attempt(case: Case, machine: Any, empty: Empty) -> dict[str, Any]:
    """One repetition, or why there is none."""
    try:
        return measure(case, machine, empty)
    except RunFailedError as error:
        print(f"{case.name}: {error}", file=sys.stderr)
        return {"failure": str(error)}


def middle(repeats: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of what is a number in every repetition; everything else as a list; all repetitions kept."""
    good = [r for r in repeats if "failure" not in r]
    found: dict[str, Any] = {"repeats": repeats, "failures": len(repeats) - len(good)}
    for name in good[0] if good else ():
        values = [r.get(name) for r in good]
        if all(isinstance(v, (int, float)) for v in values):
            # what must hold always is as bad as its worst repetition
            worst = name in ("honest", "valid", "streams_held")
            found[name] = min(values) if worst else statistics.median(values)  # type: ignore[type-var]
        else:
            found[name] = values
    return found


def compare(case: Case, results: dict[str, dict[str, Any]]) -> None:
    """Add the ratio to another case, when that was measured too."""
    own, other = results[case.name], results.get(COMPARED.get(case.name, ""), {})
    if "us_per_event" in own and "us_per_event" in other:
        own[f"cpu_ratio_to_{COMPARED[case.name]}"] = own["us_per_event"] / other["us_per_event"]


def met(goal: Goal, results: dict[str, dict[str, Any]]) -> bool:
    """Whether a goal is reached; one that could not be measured is not."""
    value = results[goal.case].get(goal.metric)
    return value is not None and goal.met(value) and not results[goal.case]["failures"]


def show(case: Case, result: dict[str, Any], judged: bool) -> None:
    """One case for people."""
    verdicts = ", ".join(result.get("verdict", ["no result"]))
    failed = sorted({name for names in result.get("failed_conditions", []) for name in names})
    print(
        f"\n{case.name}: {case.title}\n  verdict {verdicts}{' (' + ', '.join(failed) + ')' if failed else ''}"
    )
    if "events" in result:
        print(
            "  CPU us/event {us_per_event:.2f} after imports, {us_per_event_whole_life:.2f} whole life, "
            "{us_per_event_worker:.2f} workers alone; {events_per_s:,.0f} events/s; "
            "worker {worker_cpu_share:.0%} of a core; peak {peak_mb:.0f} MB, workers {worker_peak_mb:.0f} MB".format(
                **result
            )
        )
    if "error_p50_us" in result:
        print(
            "  error us p50 {error_p50_us:.1f} p99 {error_p99_us:.1f} p99.9 {error_p999_us:.1f} "
            "max {error_max_us:,.0f}, smallest {error_smallest_us:.1f}; {unmatched_chunks:.0f} chunks unmatched; "
            "server late p99 {server_late_p99_us:,.0f} us; other programs used {foreign_cores:.2f} cores".format(
                **result
            )
        )
    for goal in (g for g in GOALS if g.case == case.name):
        text = judgement(goal, result)
        print(f"  {text if judged else text.rpartition(': ')[0]}")
    sys.stdout.flush()


def judgement(goal: Goal, result: dict[str, Any]) -> str:
    """A goal and what came of it."""
    value = result.get(goal.metric)
    if value is None:
        return f"{goal.words}: not measured (goal {goal.op} {number(goal.limit)})"
    word = "met" if goal.met(value) else f"missed by {number(abs(value - goal.limit))}"
    return f"{goal.words}: {number(value)} (goal {goal.op} {number(goal.limit)}): {word}"


def choose(only: list[str] | None) -> list[Case]:
    """The cases asked for, in the order of the table."""
    names = {name for word in only or [] for name in ROWS.get(word, (word,))}
    unknown = names - {case.name for case in CASES}
    if unknown:
        raise SystemExit(
            f"no case {', '.join(sorted(unknown))}; there are {', '.join(c.name for c in CASES)}"
        )
    return [case for case in CASES if not names or case.name in names]


def load_results(path: Path) -> dict[str, Any]:
    """Earlier results, to which --only adds."""
    return dict(json.loads(path.read_text())["cases"]) if path.exists() else {}


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

"""Does it stay the same for half an hour? Memory of the worker, and the error of its times, from start to end.

    python bench/soak.py [--minutes 30] [--streams 64]

A closed loop at a moderate rate. Fails (status 1) when the worker's memory grows by more than 4 MiB over the second
half, when the error of the chunk times in the last tenth is over the bounds, or when the run is INVALID or has no
verdict.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np

from inferometer.record.store import read_run
from inferometer.record.tables import PointTable
from inferometer.testing.truth_server import RequestTruth, start_truth_server
from machine import describe_machine, machine_line
from measured import resident_bytes, run_measured
from our_cases import Case
from ours import BOUND_P99_US, BOUND_P999_US, this_machine
from run import RESULTS
from slowed import workers
from table import put
from truth_error import matched

SAMPLE_S = 10.0
MOST_GROWTH_MIB = 4.0


def sample_memory(over: threading.Event, samples: list[tuple[float, float]]) -> None:
    """Append (seconds, MiB of all workers) every 10 s."""
    at_s = 0.0
    while not over.wait(SAMPLE_S):
        at_s += SAMPLE_S
        found = workers()
        if found:
            samples.append((at_s, sum(map(resident_bytes, found)) / 2**20))


def growth_mib(samples: list[tuple[float, float]]) -> float | None:
    """How much memory grew over the second half, by a straight line through its samples; None = too few."""
    half = samples[len(samples) // 2 :]
    if len(half) < 3:
        return None
    at_s, mib = np.array(half).T
    slope = float(np.polyfit(at_s, mib, 1)[0])
    return slope * float(at_s[-1] - at_s[0])


def drift(table: PointTable, log: dict[str, RequestTruth]) -> dict[str, float]:
    """Error of the chunk times in us, in the first and the last tenth of the chunks."""
    error_us, unmatched = matched(table, log)
    error_us = np.abs(error_us) / 1e3
    tenth = max(1, len(error_us) // 10)  # chunks are in order of requests, so nearly in order of time
    found = {"chunks": float(len(error_us)), "unmatched_chunks": float(unmatched)}
    for name, part in (("first", error_us[:tenth]), ("last", error_us[-tenth:])):
        for label, percentile in (("p50", 50), ("p99", 99), ("p999", 99.9)):
            found[f"{name}_tenth_{label}_us"] = float(np.percentile(part, percentile))
    return found


def soak(minutes: float, streams: int) -> dict[str, Any]:
    """Run it; everything that was found."""
    rounds = max(2, round(minutes * 60 / (0.05 + 127 * 0.02)))
    case = Case(
        "soak", f"{streams} streams x 128 tokens, 20 ms apart", streams * rounds, 128, streams=streams
    )
    over, samples = threading.Event(), []  # type: ignore[var-annotated]
    thread = threading.Thread(target=sample_memory, args=(over, samples), daemon=True)
    with tempfile.TemporaryDirectory(dir=RESULTS) as folder:
        machine = this_machine(Path(folder))
        with start_truth_server(machine.settings(case), machine.server) as server:
            thread.start()
            command = machine.command(case, server.url, Path(folder) / "runs")
            used = run_measured(command, machine.client, timeout_s=minutes * 60 + 600)
            over.set()
            thread.join()
            log = server.log()
        record = read_run(Path(json.loads(used.stdout.strip().splitlines()[-1])["run"]))
        table = record.measured[0]
        health = table.point.health[0]
        return {
            "title": case.title,
            "minutes": used.wall_s / 60,
            "verdict": (record.meta.verdict or {}).get("word"),
            "failed_conditions": (record.meta.verdict or {}).get("failed"),
            "growth_mib": growth_mib(samples),
            "memory_mib": samples,
            "backlog_peak_bytes": health.backlog_peak_bytes,
            "clock_steps": health.clock_steps,
            **drift(table, log),
        }


def judge(found: dict[str, Any]) -> list[str]:
    """What did not hold."""
    wrong = []
    if found["growth_mib"] is None:
        wrong.append("too few samples of memory: let it run for two minutes or more")
    elif found["growth_mib"] > MOST_GROWTH_MIB:
        wrong.append(f"memory grew by {found['growth_mib']:.1f} MiB over the second half")
    if found["last_tenth_p99_us"] > BOUND_P99_US or found["last_tenth_p999_us"] > BOUND_P999_US:
        wrong.append("the error of chunk times at the end is over the bounds")
    if found["verdict"] is None:
        wrong.append("the run has no verdict")
    elif found["verdict"] == "INVALID":
        wrong.append(f"the run is INVALID: {found['failed_conditions']}")
    return wrong


def markdown(found: dict[str, Any]) -> str:
    """The result as a table."""
    memory = [mib for _, mib in found["memory_mib"]]
    ends = f"{memory[0]:.1f} MiB, {memory[-1]:.1f} MiB" if memory else "-"
    growth = "-" if found["growth_mib"] is None else f"{found['growth_mib']:.2f} MiB"
    rows = [
        ("memory of the worker, first and last sample", ends),
        ("its growth over the second half", growth),
        ("most that waited to be decoded", f"{found['backlog_peak_bytes'] / 2**20:.2f} MiB"),
    ]
    for name in ("first", "last"):
        text = ", ".join(f"{found[f'{name}_tenth_{p}_us']:.1f}" for p in ("p50", "p99", "p999"))
        rows.append((f"error of chunk times p50, p99, p99.9 in the {name} tenth, us", text))
    rows.append(("verdict", str(found["verdict"])))
    title = f"Soak of {found['minutes']:.0f} minutes: {found['title']}, {found['chunks']:,.0f} chunks."
    table = [f"| {name} | {value} |" for name, value in rows]
    return "\n".join(
        [title, "", "| | |", "| --- | --- |", *table, "", machine_line(describe_machine()) + "."]
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--streams", type=int, default=64)
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    found = soak(options.minutes, options.streams)
    (RESULTS / "soak.json").write_text(json.dumps({"machine": describe_machine(), **found}, indent=1) + "\n")
    text = markdown(found)
    print(text)
    if options.minutes >= 30:
        put("soak", text)
    for line in (wrong := judge(found)):
        print(f"FAILED: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

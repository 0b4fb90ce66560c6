"""Where the microseconds of a worker go: the load of 512 streams, looked at from outside while it runs.

    python bench/breakdown.py [--py-spy PATH] [--case paced512]

User and system time come from the kernel. With perf(1), samples are sorted by the system call that they are in; with
py-spy (``pip install py-spy``), by Python function. What is not installed is left out, and named. Written into
docs/performance.md. No tool changes the program that is looked at; they cost it some percent while they look.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from inferometer.errors import InferometerError
from inferometer.record.types import ChunkKind
from inferometer.testing.truth_server import start_truth_server
from machine import describe_machine, machine_line
from measured import run_measured
from our_cases import CASES, Case
from ours import Machine, RunFailedError, open_run, this_machine
from slowed import workers
from table import put

LOOK_S = 6.0
SETTLE_S = 3.0
FASTEST_EVENTS_PER_S = 500_000  # a flood should not end before the last look
TOP = 16
RATE_HZ = 499
WAITS = ("Reactor._linger", "EpollPoller.wait")  # where it sleeps, most of it first
TICKS = os.sysconf("SC_CLK_TCK")
# The first that matches a function of a sample's call chain names it; the order goes from special to general.
KERNEL = (
    (
        "kernel: interrupts and what they carry in",
        re.compile(r"sysvec_|_irq|irq_|softirq|asm_common_interrupt"),
    ),
    ("kernel: page faults", re.compile(r"page_fault")),
    ("kernel: recvmsg", re.compile(r"sys_recv")),
    ("kernel: epoll_wait", re.compile(r"sys_epoll_p?wait")),
    ("kernel: send", re.compile(r"sys_send")),
    ("kernel: write (journal)", re.compile(r"sys_p?write")),
    ("kernel: timerfd", re.compile(r"timerfd")),
    ("kernel: clock", re.compile(r"sys_clock_gettime")),
    ("kernel: other system calls", re.compile(r"do_syscall_64|entry_SYSCALL|el0_svc|__schedule")),
)


@dataclass
class Looks:
    """What was seen of one worker.

    Attributes:
        share: of a core, user and system.
        calls: perf's samples by kind.
        functions: py-spy's samples by function.
        missing: what could not be asked.
    """

    share: tuple[float, float] = (0.0, 0.0)
    calls: Counter[str] = field(default_factory=Counter)
    functions: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)


def times_s(pid: int) -> tuple[float, float]:
    """User and system time of a process so far (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def look(looks: Looks, py_spy: str | None, folder: Path, over: threading.Event) -> None:
    """Look at the first worker that appears, unless the run is ``over`` before: undisturbed, then with each tool."""
    while not (found := workers()):
        if over.wait(0.05):
            return
    pid = found[0]
    try:
        over.wait(SETTLE_S)
        before = times_s(pid)
        over.wait(LOOK_S)
        after = times_s(pid)
    except OSError:
        looks.missing.append("the worker ended too soon for any look at it")
        return
    looks.share = ((after[0] - before[0]) / LOOK_S, (after[1] - before[1]) / LOOK_S)
    looks.calls = ask_perf(pid, folder, looks.missing)
    seen = ask_py_spy(pid, py_spy, folder, looks.missing)
    looks.functions = without_idle(seen, sum(looks.share) * LOOK_S * RATE_HZ)


def ask(tool: str, argv: list[str], pid: int, missing: list[str]) -> bool:
    """Let a tool look at a process; False and a reason when it could not, or the process ended meanwhile."""
    try:
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=10 * LOOK_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        missing.append(f"{tool} failed: {error}")
        return False
    if not Path(f"/proc/{pid}").exists():
        missing.append(f"the worker ended while {tool} looked: the load is too short")
        return False
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing")[-200:]
        missing.append(f"{tool} ended with status {done.returncode}: {said}")
    return not done.returncode


def ask_perf(pid: int, folder: Path, missing: list[str]) -> Counter[str]:
    """Samples of a process by where they are."""
    perf = shutil.which("perf")
    if perf is None:
        missing.append("perf is not installed: no split by system call")
        return Counter()
    data = str(folder / "perf.data")
    record = [perf, "record", "-e", "cpu-clock", "-F", str(RATE_HZ), "-g", "-p", str(pid), "-o", data]
    if not ask("perf", [*record, "--", "sleep", str(LOOK_S)], pid, missing):
        return Counter()
    script = [perf, "script", "-i", data, "-F", "ip,sym,dso"]
    done = subprocess.run(script, check=False, capture_output=True, text=True)
    text = done.stdout
    if not text.strip():
        missing.append(f"perf took no samples: {done.stderr.strip()[-200:]}")
    return Counter(name_of_sample(chain) for chain in text.split("\n\n") if chain.strip())


def name_of_sample(chain: str) -> str:
    """What a sample of perf was busy with, from its call chain."""
    for name, pattern in KERNEL:
        if pattern.search(chain):
            return name
    leaf = chain.strip().splitlines()[0]
    library = leaf[leaf.rfind("(") + 1 : leaf.rfind(")")].rpartition("/")[2]
    if "[vdso]" in leaf:
        return "user: clock (vdso)"
    return f"user: {library.partition('.')[0] or 'unknown'}"


def ask_py_spy(pid: int, py_spy: str | None, folder: Path, missing: list[str]) -> Counter[str]:
    """Samples of a process by the Python function that was running."""
    if py_spy is None:
        missing.append("py-spy is not installed: no split by function")
        return Counter()
    out = folder / "py-spy.txt"
    record = [py_spy, "record", "--nonblocking", "-r", str(RATE_HZ), "-d", str(round(LOOK_S)), "-p", str(pid)]
    if not ask("py-spy", [*record, "-f", "raw", "-o", str(out)], pid, missing):
        return Counter()
    return functions_of(out.read_text())


def functions_of(raw: str) -> Counter[str]:
    """Innermost function of each stack of py-spy's raw format, without line numbers."""
    found: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        function, _, place = stack.rpartition(";")[2].partition(" (")
        found[f"{Path(place.partition(':')[0]).name}: {function}"] += int(count)
    return found


def without_idle(seen: Counter[str], busy: float) -> Counter[str]:
    """py-spy takes a worker that sleeps for a busy one: what is more than ``busy`` samples was sleep."""
    over = round(seen.total() - busy)
    for function in WAITS:
        for name in [name for name in seen if name.endswith(function)]:
            slept = max(0, min(over, seen[name]))
            seen[name] -= slept
            over -= slept
    return +seen


def run(case: Case, machine: Machine, py_spy: str | None) -> tuple[Looks, float, float]:
    """What was seen, CPU per event in us, and events per second."""
    looks, over = Looks(), threading.Event()
    thread = threading.Thread(target=look, args=(looks, py_spy, machine.folder, over), daemon=True)
    with start_truth_server(machine.settings(case), machine.server) as server:
        thread.start()
        used = run_measured(machine.command(case, server.url, machine.folder / "runs"), machine.client)
        over.set()
        thread.join()
    table = open_run(used).measured[0]
    events = int((table.chunks["kind"] == ChunkKind.CONTENT).sum())
    if not events:
        raise RunFailedError(f"exit status {used.code}: no content arrived")
    health = table.point.health
    return looks, sum(h.cpu_s for h in health) / events * 1e6, events / max(h.wall_s for h in health)


def long_enough(case: Case) -> Case:
    """The same load for as long as all looks take."""
    seconds = SETTLE_S + 3 * LOOK_S + 4
    if case.flood:
        requests = math.ceil(seconds * FASTEST_EVENTS_PER_S / case.tokens)
    elif case.streams is None:
        requests = math.ceil(seconds * (case.rate or 0))
    else:
        requests = case.streams * (2 + round(seconds / case.ideal_s))
    return replace(case, requests=max(case.requests, requests))


def markdown(case: Case, looks: Looks, us_per_event: float, events_per_s: float) -> str:
    """The tables: each share of the samples as a share of the CPU per event."""
    busy = sum(looks.share)
    in_user_space = looks.share[0] / max(busy, 1e-9)
    lines = [
        f"{case.title}: {events_per_s:,.0f} events/s, workers {us_per_event:.1f} us of CPU per event; "
        f"the first of them, while looked at, {busy:.0%} of a core, {in_user_space:.0%} of it in user space.",
        "",
    ]
    tables = (
        ("where", looks.calls),
        ("Python function, with what it calls in C and the kernel", looks.functions),
    )
    for title, samples in tables:
        if not samples:
            continue
        total = sum(samples.values())
        lines += [f"| {title} | share | us per event |", "| --- | --- | --- |"]
        top = samples.most_common(TOP)
        rest = total - sum(count for _, count in top)
        for name, count in [*top, ("everything else", rest)] if rest else top:
            lines.append(f"| {name} | {count / total:.1%} | {count / total * us_per_event:.2f} |")
        lines.append("")
    lines += [f"Not known: {text}." for text in looks.missing]
    return "\n".join([*lines, machine_line(describe_machine()) + "."])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--py-spy", default=shutil.which("py-spy"), help="path of py-spy")
    parser.add_argument(
        "--case", default="paced512", choices=[case.name for case in CASES if not case.slowed]
    )
    parser.add_argument("--no-page", action="store_true", help="print only")
    options = parser.parse_args()
    case = long_enough(next(case for case in CASES if case.name == options.case))
    with tempfile.TemporaryDirectory() as folder:
        try:
            text = markdown(case, *run(case, this_machine(Path(folder)), options.py_spy))
        except (RunFailedError, InferometerError) as error:
            raise SystemExit(f"{case.name}: {error}") from error
    print(text)
    if not options.no_page:
        put("profile", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

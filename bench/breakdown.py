"""Where the microseconds of a worker go: the load of 512 streams, looked at from outside while it runs.

    python bench/breakdown.py [--py-spy PATH] [--case paced512]

User and system time come from the kernel. With perf(1), samples are sorted by the system call that they are in; with
py-spy (``pip install py-spy``), by Python function. What is not installed is left out, and named. Written into
docs/performance.md. No tool changes the program that is looked at; they cost it some percent while they look.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from inferometer.record.store import read_run
from inferometer.record.types import ChunkKind
from inferometer.testing.truth_server import start_truth_server
from machine import describe_machine, machine_line
from measured import run_measured
from our_cases import CASES, Case
from ours import Machine, this_machine
from slowed import workers
from table import put

LOOK_S = 6.0
SETTLE_S = 3.0
TOP = 16
RATE_HZ = 499
WAITS = "EpollPoller.wait"
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


def look(looks: Looks, py_spy: str | None, folder: Path) -> None:
    """Look at the first worker that appears: undisturbed, then with each tool."""
    while not (found := workers()):
        time.sleep(0.05)
    pid = found[0]
    time.sleep(SETTLE_S)
    before = times_s(pid)
    time.sleep(LOOK_S)
    after = times_s(pid)
    looks.share = ((after[0] - before[0]) / LOOK_S, (after[1] - before[1]) / LOOK_S)
    looks.calls = ask_perf(pid, folder, looks.missing)
    seen = ask_py_spy(pid, py_spy, folder, looks.missing)
    looks.functions = without_idle(seen, sum(looks.share) * LOOK_S * RATE_HZ)


def ask_perf(pid: int, folder: Path, missing: list[str]) -> Counter[str]:
    """Samples of a process by where they are."""
    perf = shutil.which("perf")
    if perf is None:
        missing.append("perf is not installed: no split by system call")
        return Counter()
    data = str(folder / "perf.data")
    record = [perf, "record", "-q", "-e", "cpu-clock", "-F", str(RATE_HZ), "-g", "-p", str(pid), "-o", data]
    done = subprocess.run([*record, "--", "sleep", str(LOOK_S)], check=False, capture_output=True, text=True)
    script = [perf, "script", "-i", data, "-F", "ip,sym,dso"]
    text = subprocess.run(script, check=False, capture_output=True, text=True).stdout
    if done.returncode or not text:
        missing.append(f"perf record failed: {done.stderr.strip()[-200:]}")
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
    done = subprocess.run([*record, "-f", "raw", "-o", str(out)], check=False, capture_output=True, text=True)
    if done.returncode or not out.exists():
        missing.append(f"py-spy failed: {done.stderr.strip()[-200:]}")
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
    """py-spy takes a worker that sleeps in epoll for a busy one: what is more than ``busy`` samples was sleep."""
    over = round(seen.total() - busy)
    if over > 0:
        waiting = next((name for name in seen if name.endswith(WAITS)), None)
        if waiting is not None:
            seen[waiting] = max(0, seen[waiting] - over)
    return seen


def run(case: Case, machine: Machine, py_spy: str | None) -> tuple[Looks, float, float]:
    """What was seen, CPU per event in us, and events per second."""
    looks = Looks()
    thread = threading.Thread(target=look, args=(looks, py_spy, machine.folder), daemon=True)
    with start_truth_server(machine.settings(case), machine.server) as server:
        thread.start()
        used = run_measured(machine.command(case, server.url, machine.folder / "runs"), machine.client)
        thread.join(30)
    record = read_run(Path(json.loads(used.stdout.strip().splitlines()[-1])["run"]))
    table = record.measured[0]
    events = int((table.chunks["kind"] == ChunkKind.CONTENT).sum())
    health = table.point.health[0]
    return looks, health.cpu_s / events * 1e6, events / health.wall_s


def markdown(case: Case, looks: Looks, us_per_event: float, events_per_s: float) -> str:
    """The tables: each share of the samples as a share of the CPU per event."""
    busy = sum(looks.share)
    lines = [
        f"{case.title}: {events_per_s:,.0f} events/s, worker {us_per_event:.1f} us of CPU per event; "
        f"while looked at {busy:.0%} of a core, {looks.share[0] / max(busy, 1e-9):.0%} of it in user space.",
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
    case = next(case for case in CASES if case.name == options.case)
    if not case.flood:  # long enough for every look
        rounds = 2 + round((SETTLE_S + 3 * LOOK_S + 4) / case.ideal_s)
        case = replace(case, requests=max(case.requests, (case.streams or 0) * rounds))
    with tempfile.TemporaryDirectory() as folder:
        text = markdown(case, *run(case, this_machine(Path(folder)), options.py_spy))
    print(text)
    if not options.no_page:
        put("profile", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

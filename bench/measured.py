"""What a command costs: CPU, memory and time of its whole process tree, measured the same way for every tool.

    python bench/measured.py [--cpu 0 1] -- COMMAND ...

A launcher process stands between us and the command. It is the reaper of all that the command leaves behind
(PR_SET_CHILD_SUBREAPER, prctl(2)), so that wait4(2) hands it the CPU time of every descendant, grandchildren and
orphans included; its own CPU is not in the sum. What is still alive when the command has ended is killed first.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
SAMPLE_S = 0.25
PAGE = resource.getpagesize()


@dataclass(frozen=True)
class Measured:
    """What a command and all its descendants used.

    Attributes:
        user_s, system_s: CPU seconds, sum over the tree.
        wall_s: from its start to its end.
        peak_rss_bytes: largest sum of resident memory over the tree, sampled four times a second, or the largest
            single process if that is more. Pages shared by processes count once per process.
        processes: most processes seen at once.
        code: its exit status; -9 and the like for a signal.
        stdout, stderr: what it wrote.
    """

    user_s: float
    system_s: float
    wall_s: float
    peak_rss_bytes: int
    processes: int
    code: int
    stdout: str
    stderr: str

    @property
    def cpu_s(self) -> float:
        """User and system time."""
        return self.user_s + self.system_s


def run_measured(
    argv: Sequence[str],
    cpu: int | Sequence[int] | None = None,
    *,
    timeout_s: float = 600.0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Measured:
    """Run a command to its end.

    Args:
        argv: the command.
        cpu: the core or cores that its whole tree stays on.
        timeout_s: after that the whole tree is killed; the code is then -9.
        env: its whole environment; absent = ours.
        cwd: its directory.

    Raises:
        OSError: it cannot be started.
    """
    cpus = [] if cpu is None else [cpu] if isinstance(cpu, int) else list(cpu)
    with tempfile.TemporaryDirectory() as folder:
        order = {
            "argv": list(argv),
            "cpus": cpus,
            "timeout_s": timeout_s,
            "env": dict(os.environ if env is None else env),
            "cwd": str(cwd or Path.cwd()),
            "folder": folder,
        }
        text = json.dumps(order).encode()
        launcher = [sys.executable, "-I", __file__, "--launch"]
        answer = subprocess.run(
            launcher, input=text, stdout=subprocess.PIPE, check=True, timeout=timeout_s + 60
        )
        used = json.loads(answer.stdout)
        said = [(Path(folder) / name).read_text(errors="replace") for name in ("stdout", "stderr")]
    if "error" in used:
        raise OSError(f"{argv[0]} cannot be started: {used['error']}")
    return Measured(**used, stdout=said[0], stderr=said[1])


def launch() -> int:
    """Carry out the order on standard input, and write what was used to standard output."""
    order = json.load(sys.stdin)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    folder = Path(order["folder"])
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, order["cpus"] or everywhere)  # the command inherits it
    start = time.monotonic()
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        try:
            child = subprocess.Popen(
                order["argv"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=order["env"],
                cwd=order["cwd"],
            )
        except OSError as error:
            sys.stdout.write(json.dumps({"error": str(error)}))
            return 0
    os.sched_setaffinity(0, everywhere)
    code, peak_bytes, processes = watch(child, start + order["timeout_s"])
    wall_s = time.monotonic() - start
    reap_all()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = {
        "user_s": used.ru_utime,
        "system_s": used.ru_stime,
        "wall_s": wall_s,
        "peak_rss_bytes": max(peak_bytes, used.ru_maxrss * 1024),
        "processes": processes,
        "code": code,
    }
    sys.stdout.write(json.dumps(answer))
    return 0


def watch(child: subprocess.Popen[bytes], deadline_s: float) -> tuple[int, int, int]:
    """Wait for the end; exit status, peak memory and most processes of the tree."""
    peak_bytes = most = 0
    ended = os.pidfd_open(child.pid)
    while True:
        done, _, _ = select.select([ended], [], [], SAMPLE_S)
        if done:
            os.close(ended)
            return child.wait(), peak_bytes, most
        tree = descendants(os.getpid())
        peak_bytes = max(peak_bytes, sum(map(resident_bytes, tree)))
        most = max(most, len(tree))
        if time.monotonic() > deadline_s:
            kill_all()


def descendants(pid: int) -> list[int]:
    """All living descendants of a process."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        with suppress(OSError):  # it may end while we look
            for task in Path(f"/proc/{parent}/task").iterdir():
                children = [int(word) for word in (task / "children").read_text().split()]
                found += children
                waiting += children
    return found


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 when it has ended."""
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    return 0


def kill_all() -> None:
    """End every descendant."""
    for pid in descendants(os.getpid()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def reap_all() -> None:
    """Give what the command left behind a second to end by itself, then kill it; wait for all of it."""
    kill_at = time.monotonic() + 1.0
    while True:
        try:
            pid, _status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            if time.monotonic() > kill_at:
                kill_all()
            time.sleep(0.02)


def main(argv: Sequence[str]) -> int:
    """The command line."""
    if argv == ["--launch"]:
        return launch()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", type=int, nargs="*")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(argv)
    used = run_measured(options.command, options.cpu)
    sys.stdout.write(json.dumps({**asdict(used), "cpu_s": used.cpu_s}, indent=1) + "\n")
    return used.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

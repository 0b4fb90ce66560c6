"""Holds up a running load generator on purpose, as a busy machine would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from measured import descendants
from our_cases import Slowing

STOP_S = 0.05
EVERY_S = 0.5
_LOOP = [sys.executable, "-c", "while True: pass"]


def workers() -> list[int]:
    """Worker processes of a load generator that this process started, directly or not."""
    found = []
    for pid in descendants(os.getpid()):
        with suppress(OSError):  # it may end while we look
            if b"inferometer.loadgen.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


@contextmanager
def slowing(how: Slowing | None, core: int) -> Iterator[None]:
    """Hold up the workers that run on ``core`` while in this context."""
    if how is None:
        yield
        return
    loops = {"hogs": 2, "sigstop": 0, "nice": 1}[how]
    hogs = [subprocess.Popen(["taskset", "-c", str(core), *_LOOP]) for _ in range(loops)]
    over = threading.Event()
    acts = {"hogs": None, "sigstop": stop_and_go, "nice": make_nice}[how]
    thread = threading.Thread(target=acts, args=(over,)) if acts else None
    try:
        if thread:
            thread.start()
        yield
    finally:
        over.set()
        if thread:
            thread.join()
        for hog in hogs:
            hog.kill()
            hog.wait()


def stop_and_go(over: threading.Event) -> None:
    """SIGSTOP each worker for 50 ms, twice a second."""
    while not over.wait(EVERY_S):
        stopped = workers()
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        over.wait(STOP_S)
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def make_nice(over: threading.Event) -> None:
    """Give workers nice 19, and their session too: with autogroups the kernel weighs sessions (sched(7))."""
    while not over.wait(0.1):
        for pid in workers():
            with suppress(OSError):
                if os.getpriority(os.PRIO_PROCESS, pid) != 19:
                    os.setpriority(os.PRIO_PROCESS, pid, 19)
                    Path(f"/proc/{pid}/autogroup").write_text("19")

"""Starts and stops a real engine many times, and counts what is left: processes, ports, files.

    python bench/engine_cycles.py [--cycles 100] [--launch "llamacpp tiny --max-num-seqs 2 --max-model-len 256"]

A part of the cycles ends otherwise than by ``stop``: interrupted during the start, an engine that is killed while it
is ready, and this side, in a process of its own, killed with SIGKILL. Prints a line for each kind; exits with 1 if
anything is left.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import msgspec

from inferometer.clock import MonotonicClock
from inferometer.engines.family import descendants, is_listening
from inferometer.engines.ports import free_port
from inferometer.engines.start import RunningEngine, Where, engine_of, start
from inferometer.errors import InterruptedEarlyError
from inferometer.loadgen.stop import StopSignal

KINDS = (
    "stopped",
    "stopped",
    "stopped",
    "interrupted",
    "engine killed",
    "we killed",
    "we killed during the start",
)
READY_S = 300.0
GONE_S = 30.0
INTERRUPTED_AT = 40


class Left(NamedTuple):
    """What a cycle has left behind."""

    processes: list[int]
    port: bool
    files: list[str]

    @property
    def nothing(self) -> bool:
        return not self.processes and not self.port and not self.files


def cycle(kind: str, line: str, folder: Path, temporary: Path) -> Left:
    """One start and end; what is left after it."""
    engine, settings = engine_of(line)
    port = free_port(settings.host, 0)
    settings = msgspec.structs.replace(settings, port=port)
    family: list[int] = []
    if kind.startswith("we killed"):
        family = _killed(f"{line} --port {port}", folder, during_start=kind.endswith("start"))
    elif kind == "interrupted":
        stop = StopSignal()
        with contextlib.suppress(InterruptedEarlyError):
            start(engine, settings, _where(folder, _Interrupts(stop, family)), stop, str).stop()
    else:
        with start(engine, settings, _where(folder, MonotonicClock()), StopSignal(), str) as running:
            family = _in_use(running, kind)
    return _left(family, port, folder, temporary)


class _Interrupts:
    """A clock that asks to stop when it has been looked at some times: while the engine starts.

    Args:
        stop: what it asks.
        family: what had been started until then.
    """

    def __init__(self, stop: StopSignal, family: list[int]) -> None:
        self._stop, self._family, self._looks = stop, family, 0

    def now_ns(self) -> int:
        self._looks += 1
        if self._looks == INTERRUPTED_AT:
            self._family[:] = descendants(os.getpid())
            self._stop.request()
        return time.monotonic_ns()


def _where(folder: Path, clock: MonotonicClock | _Interrupts) -> Where:
    return Where(folder=folder, clock=clock, ready_limit_s=READY_S)


def _in_use(running: RunningEngine, kind: str) -> list[int]:
    running.warm(1)
    family = descendants(os.getpid())
    if kind == "engine killed":
        os.kill(running.pid, signal.SIGKILL)
        while running.ending() is None:
            time.sleep(0.01)
    return family


def _killed(line: str, folder: Path, during_start: bool) -> list[int]:
    """Start it from another process, which is then killed."""
    words = [sys.executable, __file__, "--hold", line, "--folder", str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as us:
        assert us.stdout is not None
        if during_start:
            while len(descendants(us.pid)) < 2:
                time.sleep(0.01)
        else:
            us.stdout.readline()
        family = descendants(us.pid)
        us.kill()
    return family


def _hold(line: str, folder: Path) -> int:
    engine, settings = engine_of(line)
    with start(engine, settings, _where(folder, MonotonicClock()), StopSignal(), str):
        print("ready", flush=True)
        signal.pause()
    return 0


def _left(family: list[int], port: int, folder: Path, temporary: Path) -> Left:
    limit = time.monotonic() + GONE_S
    while True:
        alive = [pid for pid in family if _lives(pid)]
        files = [str(path) for path in temporary.rglob("*")]
        files += [path.name for path in folder.iterdir() if path.name != "engine.log"]
        left = Left([*alive, *descendants(os.getpid())], bool(is_listening(port)), files)
        if left.nothing or time.monotonic() > limit:
            return left
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--launch", default="llamacpp tiny --max-num-seqs 2 --max-model-len 256")
    parser.add_argument("--hold", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.hold:
        return _hold(asked.hold, asked.folder)
    done, bad = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name) / "tmp"
        temporary.mkdir()
        os.environ["TMPDIR"] = str(temporary)  # of this process, the engines, and everything they start
        tempfile.tempdir = None
        for number in range(asked.cycles):
            kind = KINDS[number % len(KINDS)]
            folder = Path(name) / f"logs-{number}"
            folder.mkdir()
            left = cycle(kind, asked.launch, folder, temporary)
            done[kind] += 1
            if not left.nothing:
                bad[kind] += 1
                print(f"cycle {number}, {kind}: left {left}")
    for kind, count in done.items():
        print(f"{kind:<28}{count:>4} cycles  {bad[kind]} left something")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

"""Keeps one engine: starts it, writes down what it says, and ends everything it started. A process of its own.

The keeper's standard input is a pipe that only its parent holds. It closes when the parent hangs up, and also when the
parent is killed; then the engine is asked to end, and what is left after a grace is killed: exactly the descendants of
this process, by their number. On Linux the keeper is a subreaper, so that daemons and workers that leave the engine's
session stay its descendants. Elsewhere it reaches the engine's process group and nothing that left it.

Standard input: one line of JSON, the order; then a line ``now`` ends the grace. Standard output: one line of JSON for
each of ``started``, ``failed`` and ``ended``. Standard library only, so that it starts at once and stays small.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from inferometer.clock import MonotonicClock
from inferometer.engines.bounded_log import BoundedLog
from inferometer.engines.family import descendants, tells

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_SIGNALS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD)
_READ_BYTES = 1 << 16
_LOOK_S = 0.25  # between two looks at a family that is to end
_LAST_WORDS_S = 0.5  # for what the engine had written before it ended
_KILL_LIMIT_S = 10.0  # a process in the middle of a system call may take that long
_OWNER_AND_GROUP = 0o640  # MindIE refuses a config.json that others may read


def main() -> int:
    """Carry out one order; returns the exit status."""
    for number in _SIGNALS:
        signal.signal(number, _heard)  # and not SIG_IGN, which the engine would inherit
    # Unbuffered: not a byte after the order is taken.
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as pipe:
        line = pipe.readline()
    if not line.endswith(b"\n"):
        return 1  # the parent is gone before it had said what to start
    keeper = Keeper(json.loads(line))
    try:
        if keeper.start():
            keeper.watch()
    finally:
        keeper.remove_files()
    return 0


class Keeper:
    """One engine and what it needs.

    Args:
        order: ``argv``, ``env`` (added to ours), ``cwd``, ``files`` (text by path), ``cores``, ``log``,
            ``stop_signal`` and ``grace_s``.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._clock = MonotonicClock()
        self._written: list[Path] = []
        self._made: list[Path] = []
        self._root = 0
        self._status: int | None = None  # of the root process, as waitpid gives it
        self._asked = False  # to end
        self._hurry = False  # without grace
        self._sources: dict[
            int, Callable[[bytes], None]
        ] = {}  # descriptors to read, and what takes their bytes

    def start(self) -> bool:
        """Write the files and start the engine; whether that went well. Tells the parent."""
        order = self._order
        try:
            self._log = BoundedLog(Path(order["log"]))
            self._write_files()
            if order["cores"]:
                os.sched_setaffinity(0, order["cores"])
            _prctl(_PR_SET_CHILD_SUBREAPER, 1)
            engine = subprocess.Popen(  # noqa: S603 - the command that a user asked for
                order["argv"],
                env={**os.environ, **order["env"]},
                cwd=order["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_keeper,  # noqa: PLW1509 - this process has one thread
            )
        except OSError as error:
            _tell(event="failed", file=str(error.filename), reason=error.strerror or str(error))
            return False
        self._root = engine.pid
        engine.returncode = 0  # it is reaped below with all other children, and not by this object
        assert engine.stdout is not None
        self._engine = engine  # holds the pipe open
        self._sources = {
            sys.stdin.fileno(): self._hear,
            _wake_descriptor(): self._woken,
            engine.stdout.fileno(): self._log.write,
        }
        _tell(event="started", pid=engine.pid)
        return True

    def watch(self) -> None:
        """Until the engine has ended, or is to end and all of it has."""
        while not self._asked and not self._is_over():
            # A daemon is no child of ours while its parent lives, so that no signal tells of its end: look.
            self._look(None if self._status is None else _LOOK_S)
        self._end()
        self._until(self._engine_said_all, _LAST_WORDS_S)
        self._log.close()
        status = self._status or 0
        _tell(
            event="ended",
            code=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            asked=self._asked,
            left=self._family(),
        )

    def remove_files(self) -> None:
        """Remove the files that were written, and the directories that were made for them when nothing else is in."""
        for path in self._written:
            path.unlink(missing_ok=True)
        for path in reversed(self._made):
            with contextlib.suppress(OSError):  # the engine has put something in: it stays
                path.rmdir()

    def _write_files(self) -> None:
        for name, text in self._order["files"].items():
            path = Path(name)
            for parent in reversed([one for one in path.parents if not one.exists()]):
                parent.mkdir()
                self._made.append(parent)
            with path.open("x", encoding="utf-8") as file:  # never over a file that is not ours
                self._written.append(path)
                os.fchmod(file.fileno(), _OWNER_AND_GROUP)
                file.write(text)

    def _is_over(self) -> bool:
        """The root has ended; one that ended well may have left a daemon behind, which then is the engine."""
        return self._status is not None and (self._status != 0 or not self._family())

    def _look(self, wait_s: float | None) -> None:
        """Wait until something happens, and take it in."""
        ready, _, _ = select.select(list(self._sources), [], [], wait_s)
        for descriptor in ready:
            data = os.read(descriptor, _READ_BYTES)
            self._sources[descriptor](data)
            if not data:
                del self._sources[descriptor]
        self._reap()

    def _until(self, is_over: Callable[[], bool], limit_s: float, hurry: bool = False) -> None:
        """Look on until ``is_over``, or the time is up, or, with ``hurry``, the parent is in one."""
        limit_ns = self._clock.now_ns() + round(limit_s * 1e9)
        while not is_over() and not (hurry and self._hurry):
            left_s = (limit_ns - self._clock.now_ns()) / 1e9
            if left_s <= 0:
                return
            self._look(min(left_s, _LOOK_S))

    def _hear(self, words: bytes) -> None:
        """The parent: anything it says, and the end of its pipe, ask to end; ``now`` says without grace."""
        self._asked = True
        self._hurry = self._hurry or b"now" in words

    def _woken(self, numbers: bytes) -> None:
        self._asked = self._asked or any(number != signal.SIGCHLD for number in numbers)

    def _engine_said_all(self) -> bool:
        return self._log.write not in self._sources.values()

    def _reap(self) -> None:
        """Take notice of every child that has ended, adopted ones too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._root:
                self._status = status

    def _end(self) -> None:
        """Ask the root, then everybody, then kill, until nothing is left."""
        number = signal.Signals[self._order["stop_signal"]]
        grace_s = self._order["grace_s"]
        if self._status is None:
            _send(self._root, number)
            self._until(lambda: self._status is not None, grace_s / 2, hurry=True)
        if self._family():
            self._send_all(number)
            self._until(lambda: not self._family(), grace_s / 2, hurry=True)
        limit_ns = self._clock.now_ns() + round(_KILL_LIMIT_S * 1e9)
        while self._family() and self._clock.now_ns() < limit_ns:
            self._send_all(signal.SIGKILL)
            self._until(lambda: not self._family(), _LOOK_S)

    def _family(self) -> list[int]:
        """What is alive of the engine."""
        if tells():
            return descendants(os.getpid())
        try:
            os.killpg(self._root, 0)
        except (ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
            return []
        return [self._root]

    def _send_all(self, number: int) -> None:
        if tells():
            for pid in self._family():
                _send(pid, number)
        else:
            _send(-self._root, number)


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # it has ended; or it has become another user's, and the parent is told that it is left


def _tell(**words: object) -> None:
    try:
        os.write(sys.stdout.fileno(), json.dumps(words).encode() + b"\n")
    except BrokenPipeError:
        return  # the parent was killed: nobody is left to be told


def _wake_descriptor() -> int:
    """A descriptor to which the number of each signal is written."""
    read, write = os.pipe()
    for descriptor in (read, write):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def _heard(number: int, frame: FrameType | None) -> None:
    """Its number is read from the wake descriptor."""


def _die_with_keeper() -> None:
    """In the engine's process, before its program begins: it gets the signals' defaults, and ends with the keeper."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if tells():
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())

"""The parent's side of one worker process: start it, speak to it, end it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from pathlib import Path
from typing import BinaryIO

from inferometer.errors import LoadgenError, RunFolderError
from inferometer.interpreter import own_program
from inferometer.loadgen.link import Link
from inferometer.loadgen.messages import Setup

EXIT_WAIT_S = 10.0


class WorkerProcess(Link):
    """One worker process on this machine.

    Args:
        setup: sent first.
        log: where the worker's standard error goes.
        lock: descriptor of the run folder's lock; the worker keeps the folder locked until it has ended.

    Raises:
        LoadgenError: the system grants no further process.
        RunFolderError: the log cannot be written.
    """

    def __init__(self, setup: Setup, log: Path, lock: int) -> None:
        self._log = log
        self._process = start_worker(setup.worker, log, lock)
        self._killed = False
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        super().__init__(setup.worker, self._process.stdin, self._process.stdout)
        self.send(setup)

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    def ending(self) -> str:
        """How it ended, in words: exit code or signal, and the last line of its log."""
        return how_it_ended(self.worker, self._reap(), self._log, killed=self._killed)

    def kill(self) -> None:
        """End it at once; for one that does not do what it is asked for. Its output then reaches its end."""
        self._killed = True
        self._process.kill()

    def hang_up(self) -> None:
        """Close its standard input, which asks it to end."""
        self.forget()
        with contextlib.suppress(BrokenPipeError):  # it was gone before
            self.stdin.close()

    def close(self) -> None:
        """End it: closing its pipe asks for it, a signal to this one process insists."""
        self.hang_up()
        self._reap()
        self.stdout.close()
        if self._log.stat().st_size == 0:
            self._log.unlink()

    def _reap(self) -> int:
        try:
            return self._process.wait(EXIT_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class LocalFleet:
    """Workers on this machine, as many as a load point wants.

    Args:
        folder: the run folder, for the workers' logs.
        lock: descriptor of its lock.
    """

    lead_ns = 0

    def __init__(self, folder: Path, lock: int) -> None:
        self._folder = folder
        self._lock = lock

    def hire(self, setup: Setup) -> Link:
        """Start the worker of that number."""
        return WorkerProcess(setup, self._folder / f"worker-{setup.worker}.log", self._lock)

    def mark_clocks(self) -> None:
        """There is only one clock."""


def how_it_ended(worker: int, code: int, log: Path, *, killed: bool = False) -> str:
    """How a worker ended, in words: exit code or signal, and the last line of its log.

    Args:
        worker: its number.
        code: as ``subprocess`` has it: negative is a signal.
        log: what it wrote to standard error.
        killed: whether we ended it.
    """
    how = f"with exit code {code}" if code >= 0 else f"by signal {_signal_name(-code)}"
    if killed:
        how += ", as it did not stop when asked to"
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    return f"worker {worker} ended {how}: {lines[-1] if lines else 'it said nothing'}"


def start_worker(worker: int, log: Path, lock: int) -> subprocess.Popen[bytes]:
    """The process of a worker, its standard input and output piped.

    Args:
        worker: its number, for messages.
        log: where its standard error goes.
        lock: descriptor that it keeps open until it ends.

    Raises:
        LoadgenError: the system grants no further process.
        RunFolderError: the log cannot be written.
    """
    try:
        with _opened(log) as errors:
            return subprocess.Popen(  # noqa: S603 - our own interpreter and program
                own_program("inferometer.loadgen.worker"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                pass_fds=(lock,),
                start_new_session=True,  # Ctrl-C is for the parent, which then asks the worker to drain
            )
    except OSError as error:  # out of processes, memory or descriptors
        log.unlink()
        raise LoadgenError(
            f"worker {worker} cannot be started: {error.strerror or error}", "lower --workers"
        ) from None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return str(number)


def _opened(log: Path) -> BinaryIO:
    try:
        return log.open("wb")
    except OSError as error:
        raise RunFolderError(
            f"{str(log)!r} cannot be written: {error.strerror}", "free some space, or use another --out"
        ) from None

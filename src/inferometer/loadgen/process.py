"""The parent's side of one worker process: start it, speak to it without ever waiting for it, end it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections import deque
from pathlib import Path
from typing import BinaryIO

from inferometer.errors import LoadgenError, RunFolderError
from inferometer.interpreter import own_program
from inferometer.loadgen.messages import FromWorker, Inbox, Setup, ToWorker, pack

EXIT_WAIT_S = 10.0
READ_BYTES = 1 << 20


class WorkerProcess:
    """One worker process.

    Life cycle: made -> ``send`` and ``receive`` -> ``hang_up`` -> ``close``. Use as a context manager. Nothing but
    ``ending`` and ``close`` waits for the worker: a pipe takes 64 KiB and a prompt may have 64 MB, so what does not
    fit is kept until ``flush``.

    Args:
        setup: sent first.
        log: where the worker's standard error goes.
        lock: descriptor of the run folder's lock; the worker keeps the folder locked until it has ended.

    Raises:
        LoadgenError: the system grants no further process.
        RunFolderError: the log cannot be written.
    """

    def __init__(self, setup: Setup, log: Path, lock: int) -> None:
        self.worker = setup.worker
        self._log = log
        self._process = _started(setup.worker, log, lock)
        self._killed = False
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.stdin, self.stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self.stdin.fileno(), False)
        os.set_blocking(self.stdout.fileno(), False)
        self._inbox = Inbox(FromWorker)
        self._unsent: deque[memoryview] = deque()
        self.send(setup)

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    @property
    def unsent(self) -> bool:
        """Whether something waits until the pipe takes more."""
        return bool(self._unsent)

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def send(self, message: ToWorker) -> None:
        """Put a message in line and write what the pipe takes at once."""
        self._unsent.append(memoryview(pack(message)))
        self.flush()

    def flush(self) -> None:
        """Write what the pipe takes at once."""
        try:
            while self._unsent:
                written = os.write(self.stdin.fileno(), self._unsent[0])
                rest = self._unsent[0][written:]
                if rest:
                    self._unsent[0] = rest
                else:
                    self._unsent.popleft()
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._unsent.clear()  # it has died; the next look at its output says so

    def receive(self) -> list[FromWorker] | None:
        """What it has said since; None when it has ended."""
        try:
            data = os.read(self.stdout.fileno(), READ_BYTES)
        except BlockingIOError:
            return []
        return self._inbox.feed(data) if data else None

    def ending(self) -> str:
        """How it ended, in words: exit code or signal, and the last line of its log."""
        code = self._reap()
        how = f"with exit code {code}" if code >= 0 else f"by signal {_signal_name(-code)}"
        if self._killed:
            how += ", as it did not stop when asked to"
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        return f"worker {self.worker} ended {how}: {lines[-1] if lines else 'it said nothing'}"

    def kill(self) -> None:
        """End it at once; for one that does not do what it is asked for. Its output then reaches its end."""
        self._killed = True
        self._process.kill()

    def hang_up(self) -> None:
        """Close its standard input, which asks it to end."""
        self._unsent.clear()
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


def _started(worker: int, log: Path, lock: int) -> subprocess.Popen[bytes]:
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

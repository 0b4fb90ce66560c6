"""The parent's side of a worker process: start it, feed it, watch it, stop it."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from inferometer.errors import LoadgenError, RunFolderError
from inferometer.interpreter import own_program
from inferometer.loadgen.messages import (
    Failed,
    FromWorker,
    Inbox,
    MoreRequests,
    Need,
    PointDone,
    Setup,
    StartPoint,
    Status,
    Stop,
    ToWorker,
    WireRequest,
    pack,
)
from inferometer.loadgen.progress import Observer, Progress
from inferometer.loadgen.stop import StopSignal
from inferometer.record.types import PointRecord

FIRST_BATCH = 2048
BATCH = 512
WATCH_S = 0.05
EXIT_WAIT_S = 10.0


class WorkerProcess:
    """One worker process.

    Life cycle: made -> ``run_point`` for each load point -> ``close``. Use as a context manager.

    Args:
        setup: sent first.
        log: where the worker's standard error goes.
        lock: descriptor of the run folder's lock; the worker keeps the folder locked until it has ended.
    """

    def __init__(self, setup: Setup, log: Path, lock: int) -> None:
        self._log = log
        self.last: Progress | None = None  # what the worker reported last
        with _opened(log) as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                own_program("inferometer.loadgen.worker"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                pass_fds=(lock,),
                start_new_session=True,  # Ctrl-C is for the parent, which then asks the worker to drain
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdout.fileno(), False)
        self._inbox = Inbox(FromWorker)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)
        self._send(setup)

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def run_point(
        self,
        start: Callable[[list[WireRequest], bool], StartPoint],
        requests: Iterator[WireRequest],
        observer: Observer,
        stop: StopSignal,
    ) -> PointRecord:
        """Carry out one load point.

        Args:
            start: makes the first message from the first batch and whether that is all.
            requests: the encoded requests, drawn as they are needed.
            observer: told how far it is.
            stop: looked at twenty times a second.

        Raises:
            LoadgenError: the worker died or cannot go on; what was finished is in the journal.
        """
        self.last = None
        first, complete = take(requests, FIRST_BATCH)
        self._send(start(first, complete))
        told = 0
        while True:
            if stop.level > told:
                told = stop.level
                self._send(Stop(told))
            for message in self._messages():
                if isinstance(message, Status):
                    self.last = message.progress
                    observer.on_progress(message.progress)
                elif isinstance(message, Need):
                    self._send(MoreRequests(*take(requests, BATCH)))
                elif isinstance(message, Failed):
                    raise LoadgenError(message.message, message.next_step)
                elif isinstance(message, PointDone):
                    return message.point

    def _messages(self) -> list[FromWorker]:
        if not self._selector.select(WATCH_S):
            return []
        data = os.read(self._stdout.fileno(), 1 << 20)
        if data:
            return self._inbox.feed(data)
        code = self._process.wait()
        raise LoadgenError(
            f"the worker process {self.pid} ended with code {code}: {self._last_words()}",
            "finished requests are kept; if memory ran out, lower the load, else see the system's log",
        )

    def _last_words(self) -> str:
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def _send(self, message: ToWorker) -> None:
        try:
            self._stdin.write(pack(message))
            self._stdin.flush()
        except BrokenPipeError:
            return  # it has died; the next look at its output says so with its exit code

    def close(self) -> None:
        """End the worker: closing its pipe asks for it, a signal to this one process insists."""
        with contextlib.suppress(BrokenPipeError):  # it was gone before
            self._stdin.close()
        try:
            self._process.wait(EXIT_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._selector.close()
        self._stdout.close()
        if self._log.stat().st_size == 0:
            self._log.unlink()


def _opened(log: Path) -> BinaryIO:
    try:
        return log.open("wb")
    except OSError as error:
        raise RunFolderError(
            f"{str(log)!r} cannot be written: {error.strerror}", "free some space, or use another --out"
        ) from None


def take(requests: Iterator[WireRequest], count: int) -> tuple[list[WireRequest], bool]:
    """The next ``count`` requests, and whether the source has ended."""
    batch = list(islice(requests, count))
    return batch, len(batch) < count

"""One engine as processes: started through its keeper, watched, and ended with everything it started."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import msgspec

from inferometer.clock import Clock
from inferometer.engines.engine import CommandLine
from inferometer.engines.family import descendants
from inferometer.errors import EngineError, UsageError
from inferometer.interpreter import own_program

LOG = "engine.log"
GRACE_S = 20.0
_KEEPER_START_S = 60.0  # of an interpreter, on a machine that has something else to do
_AFTER_GRACE_S = 20.0  # killing takes the keeper 10 s at most
_LOOK_S = 0.2
_READ_BYTES = 1 << 16


class Told(msgspec.Struct, frozen=True):
    """One line of a keeper."""

    event: str
    pid: int = 0
    file: str = ""
    reason: str = ""
    code: int | None = None
    signal: int | None = None
    asked: bool = False
    left: list[int] = []


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How an engine ended.

    Attributes:
        code: exit code; None when a signal ended it.
        signal: that signal.
        asked: whether it was asked to end.
        left: processes that could not be ended, as they belong to another user or hang in the system.
    """

    code: int | None = None
    signal: int | None = None
    asked: bool = False
    left: tuple[int, ...] = ()

    @property
    def words(self) -> str:
        """As ``exit code 1`` or ``signal SIGKILL``."""
        if self.signal is None:
            return f"exit code {self.code}"
        try:
            return f"signal {signal.Signals(self.signal).name}"
        except ValueError:  # a real-time signal
            return f"signal {self.signal}"


class EngineProcess:
    """An engine that was started, with its family.

    Life cycle: made -> ``ending`` says None while it runs -> ``stop``. Use as a context manager. When this process
    ends without ``stop``, by SIGKILL too, the keeper ends the engine.

    Args:
        command: what to start.
        log: the file that its output goes to; bounded, beginning and end are kept.
        clock: for time limits.
        cores: to keep all of it on; empty = as this process.
        grace_s: how long it may take to end in peace.

    Attributes:
        pid: of the process that the command started.
        command, log, clock: as above.

    Raises:
        UsageError: there is no such program, or it may not be run; the log or a file cannot be written.
        EngineError: the keeper does not start.
    """

    def __init__(
        self,
        command: CommandLine,
        log: Path,
        clock: Clock,
        cores: Sequence[int] = (),
        grace_s: float = GRACE_S,
    ) -> None:
        self.command, self.log, self.clock = command, log, clock
        self._grace_s = grace_s
        self._ending: Ending | None = None
        self._unread = b""
        self.pid = 0
        self._complaints: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        try:
            self._keeper = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                own_program("inferometer.engines.keeper"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                start_new_session=True,  # Ctrl-C is for us, who then end it in order
            )
        except OSError as error:
            self._complaints.close()
            raise EngineError(f"no process can be started: {error.strerror}", "end some processes") from None
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._to, self._from = self._keeper.stdin, self._keeper.stdout
        try:
            self.pid = self._started(command, cores)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def keeper_pid(self) -> int:
        """Process id of the keeper, which all processes of the engine descend from."""
        return self._keeper.pid

    def family(self) -> list[int]:
        """Processes of the engine that are alive; empty where the system does not tell."""
        return descendants(self._keeper.pid)

    def ending(self) -> Ending | None:
        """How it ended; None while it runs. Never waits."""
        self._listen(0.0)
        return self._ending

    def wait(self, seconds: float) -> Ending | None:
        """Let that time go by, or less if it ends before; how it ended, None while it runs."""
        self._listen(seconds)
        return self._ending

    def ask_to_stop(self) -> None:
        """Have it end, and do not wait for that."""
        if not self._to.closed:
            with contextlib.suppress(BrokenPipeError):  # it has ended by itself
                self._to.write(b"stop\n")
                self._to.flush()

    def stop(self, in_a_hurry: Callable[[], bool] = lambda: False) -> Ending:
        """End it and everything it started, and wait for that; may be called again.

        Args:
            in_a_hurry: looked at several times a second; True ends the grace.
        """
        self.ask_to_stop()
        limit_ns = self.clock.now_ns() + round((self._grace_s + _AFTER_GRACE_S) * 1e9)
        hurried = False
        while self._ending is None and self.clock.now_ns() < limit_ns:
            if in_a_hurry() and not hurried:
                hurried = True
                with contextlib.suppress(BrokenPipeError):
                    self._to.write(b"now\n")
                    self._to.flush()
            self._listen(_LOOK_S)
        self._close()
        assert self._ending is not None
        return self._ending

    def _started(self, command: CommandLine, cores: Sequence[int]) -> int:
        order = {
            **msgspec.to_builtins(command),
            "cores": list(cores),
            "log": str(self.log.absolute()),
            "grace_s": self._grace_s,
        }
        with contextlib.suppress(BrokenPipeError):
            self._to.write(msgspec.json.encode(order) + b"\n")
            self._to.flush()
        limit_ns = self.clock.now_ns() + round(_KEEPER_START_S * 1e9)
        told = None
        while told is None and self.clock.now_ns() < limit_ns and self._ending is None:
            told = self._next(_LOOK_S)
        if told is None:
            self._complaints.seek(0)
            said = self._complaints.read().decode(errors="replace").strip().splitlines()
            raise EngineError(
                f"the engine's keeper does not start: {said[-1] if said else 'it says nothing'}"
            )
        if told.event == "failed":
            raise _refused(command, told)
        return told.pid

    def _listen(self, wait_s: float) -> None:
        told = self._next(wait_s)
        if told is not None and told.event == "ended":
            self._ending = Ending(code=told.code, signal=told.signal, asked=told.asked, left=tuple(told.left))

    def _next(self, wait_s: float) -> Told | None:
        """The next line of the keeper, if one comes in that time. Its end without a word ends the engine."""
        if self._from.closed or self._ending is not None:
            return None
        if b"\n" not in self._unread and select.select([self._from], [], [], wait_s)[0]:
            data = os.read(self._from.fileno(), _READ_BYTES)
            self._unread += data
            if not data:
                self._keeper_is_gone()
        line, newline, rest = self._unread.partition(b"\n")
        if not newline:
            return None
        self._unread = rest
        return msgspec.json.decode(line, type=Told)

    def _keeper_is_gone(self) -> None:
        """Somebody has killed the keeper. The system then kills the engine; what it left in its group is ended here."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing is left in it
                os.killpg(self.pid, signal.SIGKILL)
        self._ending = Ending(signal=signal.SIGKILL)

    def _close(self) -> None:
        if self._ending is None:  # the keeper itself hangs
            self._keeper.kill()
            self._keeper_is_gone()
        with contextlib.suppress(BrokenPipeError):
            self._to.close()
        self._keeper.wait()
        self._from.close()
        self._complaints.close()


def _refused(command: CommandLine, told: Told) -> UsageError:
    """Why the command could not be started, from the file that the system names."""
    program = command.argv[0]
    if told.file == program:
        return UsageError(
            f"{program!r} cannot be started: {told.reason}",
            "is it installed here, in this environment? give its whole path, or activate the environment it is in",
        )
    if told.file in command.files:
        return UsageError(
            f"{told.file!r}, which the engine is to read, cannot be written: {told.reason}",
            "the file belongs to another start that still runs, or was left behind: remove it",
        )
    return UsageError(
        f"{program!r} cannot be started: {told.file}: {told.reason}", "check the path, and its permissions"
    )

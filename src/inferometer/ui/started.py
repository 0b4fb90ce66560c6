"""The one run that these pages started: a process of its own, ended with them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from inferometer.clock import Clock
from inferometer.errors import UsageError
from inferometer.interpreter import own_program
from inferometer.record.folder import JOURNAL, RUN_JSON
from inferometer.ui.sessions import TOKEN_VARIABLE

_TAIL_BYTES = 16 * 1024
_PLAN_LIMIT_S = 60.0
_BETWEEN_STOPS_NS = 400_000_000  # two signals at once would count as one


class Command(NamedTuple):
    """A command line of ``inferometer``, and what goes to it by environment because nobody may read it.

    Attributes:
        argv: verb and flags.
        secret: variables.
    """

    argv: Sequence[str]
    secret: Mapping[str, str]


class Progress(NamedTuple):
    """What became of the run that was started.

    Attributes:
        argv: its command line.
        folder: its run folder, once there is one.
        exit_code: None while it goes on.
        stopping: whether it was asked to stop.
        said: the end of what it printed.
    """

    argv: Sequence[str]
    folder: Path | None
    exit_code: int | None
    stopping: bool
    said: str


class Started:
    """Starts one run at a time in ``out``; call it from the thread that lives as long as the server does.

    Args:
        out: where its run folder comes to lie.
        clock: for waiting between two signals.
    """

    def __init__(self, out: Path, clock: Clock) -> None:
        self._out = out
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        self._argv: Sequence[str] = ()
        self._before: set[str] = set()
        self._name: str | None = None
        self._stops = 0
        self._stopped_ns = 0

    @property
    def busy(self) -> bool:
        """Whether a run that was started here goes on."""
        return self._process is not None and self._process.poll() is None

    def start(self, command: Command) -> None:
        """Start it.

        Raises:
            UsageError: another one goes on.
        """
        if self.busy:
            raise UsageError("a run that was started here goes on", "wait until it has ended, or stop it")
        self.forget()
        self._before = _open_runs(self._out)
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the run
        argv = [*command.argv, "--out", str(self._out), "--ui", "plain", "--json"]
        words = own_program("inferometer.cli", *argv)
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
            own_program("inferometer.ui.leash", str(os.getpid()), *words),
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            env=_environment(command),
            start_new_session=True,  # Ctrl-C in the terminal is for the server, which then ends the run
        )
        self._argv, self._stops, self._name = command.argv, 0, None

    def progress(self) -> Progress | None:
        """How far it is; None when none was started."""
        if self._process is None or self._said is None:
            return None
        said = _tail(self._said)
        code = self._process.poll()
        if code is None:
            self._look_for_it(self._process)
        return Progress(self._argv, self._folder(said, code), code, self._stops > 0, said)

    def stop(self) -> None:
        """Ask it to stop: once lets requests in flight come to their end, twice stops at once."""
        now_ns = self._clock.now_ns()
        if self._process is None or not self.busy or now_ns - self._stopped_ns < _BETWEEN_STOPS_NS:
            return
        self._stops, self._stopped_ns = self._stops + 1, now_ns
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it without asking; its folder can be recovered."""
        if self._process is not None and self.busy:
            self._process.kill()
            self._process.wait()

    def forget(self) -> None:
        """Of a run that has ended."""
        if self._said is not None:
            self._said.close()
        self._process = self._said = None

    def _folder(self, said: str, code: int | None) -> Path | None:
        """Its folder: as its last line says, else the one that it was seen to write to."""
        if code is not None:
            last = said.strip().rpartition("\n")[2]
            try:
                told = json.loads(last)
            except ValueError:
                told = None
            run = told.get("run") if isinstance(told, dict) else None
            if isinstance(run, str):
                return self._out / Path(run).name
        return self._out / self._name if self._name else None

    def _look_for_it(self, process: subprocess.Popen[bytes]) -> None:
        new = sorted(_open_runs(self._out) - self._before) if self._name is None else []
        held = _held_by(process.pid, self._out) if new else None
        mine = [name for name in new if held is None or name in held]
        self._name = mine[0] if mine else self._name


def plan_of(command: Command) -> tuple[bool, str]:
    """What ``--dry-run`` says: whether the run can be carried out, and the plan or why not. Takes a second or so."""
    words = own_program("inferometer.cli", *command.argv, "--dry-run")
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and program
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=_environment(command),
            timeout=_PLAN_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, f"the plan took longer than {_PLAN_LIMIT_S:g} s"
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    return (True, (err + out).strip()) if done.returncode == 0 else (False, (err or out).strip())


def _environment(command: Command) -> dict[str, str]:
    """Ours and its secrets, without the token of the pages, which is no matter of a run."""
    ours = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
    return {**ours, **command.secret}


def _held_by(pid: int, out: Path) -> set[str] | None:
    """Names of the folders in ``out`` that a process has open, as a run has its own; None where none can tell."""
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return None
    names = set()
    for each in descriptors:
        with contextlib.suppress(OSError):  # closed since
            path = each.readlink()
            names.update([path.name] if path.parent == out.resolve() else [])
    return names


def _open_runs(out: Path) -> set[str]:
    """Names of run folders that have a journal."""
    return {
        path.parent.name
        for path in out.glob(f"*/{JOURNAL}")
        if not path.parent.is_symlink() and (path.parent / RUN_JSON).is_file()
    }


def _tail(file: IO[bytes]) -> str:
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES)).decode(errors="replace")

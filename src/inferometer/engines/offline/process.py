"""The process that holds an engine: started with any Python, asked in JSON lines, ended with all that it started."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from inferometer.clock import Clock
from inferometer.engines.offline import BrokenError
from inferometer.errors import InterruptedEarlyError, UsageError
from inferometer.loadgen.stop import StopSignal
from inferometer.record.speed import Outcome

_PACKAGE = Path(__file__).parents[2]
_LOOK_EVERY_S = 0.1
_STOP_LIMIT_S = 5.0
_READ_BYTES = 1 << 16
_OOM_KILLS = Path("/sys/fs/cgroup/memory.events")
_OOM_IN_LOG = ("out of memory", "bad_alloc", "cannot allocate memory", "can't allocate memory", "MemoryError")
_LOG_TAIL_BYTES = 4096


def child_program(python: str) -> list[str]:
    """The command that runs the child under ``python``, which need not have this package or what it depends on.

    The packages above the child are made without running their own code, and nothing is added to the path of the
    interpreter, so that its libraries are its own.
    """
    places = {
        "inferometer": _PACKAGE,
        "inferometer.engines": _PACKAGE / "engines",
        "inferometer.engines.offline": _PACKAGE / "engines" / "offline",
    }
    made = "".join(
        f"m = types.ModuleType({name!r}); m.__path__ = [{str(place)!r}]; sys.modules[{name!r}] = m\n"
        for name, place in places.items()
    )
    start = (
        f"import sys, types\nsys.path.append(sys.path.pop(0))\n{made}"
        "from inferometer.engines.offline.child.main import main\nsys.exit(main())"
    )
    return [python, "-c", start]


class Child:
    """One process with an engine in it.

    Args:
        python: interpreter that has the engine's library.
        log: file that everything it writes is added to.
        env: its environment.
        clock: for time limits.
        stop: asked for, what it is doing is given up.

    Raises:
        UsageError: there is no such program.
    """

    def __init__(
        self, python: str, log: Path, env: Mapping[str, str], clock: Clock, stop: StopSignal
    ) -> None:
        self._log, self._clock, self._stop = log, clock, stop
        self._kills = _oom_kills()
        self._begin = log.stat().st_size if log.exists() else 0
        with log.open("ab") as writes:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own program
                    child_program(python),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=writes,
                    env=dict(env),
                    start_new_session=True,  # Ctrl-C is for us, and one signal ends all that it has started
                )
            except OSError as error:
                raise UsageError(
                    f"--python {python}: {error.strerror}",
                    "name the interpreter that has the engine's library",
                ) from None
        self._unread = b""

    @property
    def pid(self) -> int:
        """Of the process, which is also the number of its session."""
        return self._process.pid

    def ask(self, order: Mapping[str, Any], limit_s: float, tell: Callable[[str], None]) -> dict[str, Any]:
        """Give an order and wait for the answer.

        Args:
            order: see ``child.main``.
            limit_s: longest wait.
            tell: what it says of its progress.

        Raises:
            BrokenError: it died or was silent; it has been ended.
            UsageError: it says that a person has to change something.
            InterruptedEarlyError: ``stop`` was asked for; it has been ended.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its death is seen when the answer is waited for
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        end_ns = self._clock.now_ns() + int(limit_s * 1e9)
        while True:
            answer = self._answer(end_ns, limit_s)
            if "progress" in answer:
                tell(str(answer["progress"]))
            elif "message" in answer:
                raise UsageError(str(answer["message"]), str(answer["next_step"]))
            else:
                return answer

    def close(self) -> None:
        """End it, and all that it has started; may be called again."""
        if self._process.poll() is None:
            self._end()
        for pipe in (self._process.stdin, self._process.stdout):
            _close(pipe)

    def _answer(self, end_ns: int, limit_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self._process.stdout], [], [], _LOOK_EVERY_S)
            if ready:
                data = os.read(self._process.stdout.fileno(), _READ_BYTES)
                if not data:
                    raise self._died()
                self._unread += data
            elif self._stop.level:
                self._end()
                raise InterruptedEarlyError("interrupted")
            elif self._clock.now_ns() > end_ns:
                self._end()
                raise BrokenError("crashed", f"no answer within {limit_s:g} s")
        line, _, self._unread = self._unread.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def _died(self) -> BrokenError:
        """Why there is no answer: how the process ended, and what it wrote last."""
        try:
            code = self._process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._end()
            code = self._process.returncode
        _kill_session(self._process.pid)
        return BrokenError(*ending(code, self._tail(), _oom_kills() > self._kills))

    def _tail(self) -> str:
        with self._log.open("rb") as reads:
            size = reads.seek(0, os.SEEK_END)
            reads.seek(max(self._begin, size - _LOG_TAIL_BYTES))
            return reads.read().decode(errors="replace")

    def _end(self) -> None:
        _kill_session(self._process.pid)
        self._process.wait()


def ending(code: int, log: str, oom_killed: bool) -> tuple[Outcome, str]:
    """What the end of the process means.

    Args:
        code: exit status; negative = a signal.
        log: the last of what it wrote.
        oom_killed: whether the kernel has killed something for want of memory since it began.
    """
    last = next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "")[:200]
    if code == -signal.SIGKILL:
        who = (
            "the kernel's OOM killer" if oom_killed else "someone, most likely the kernel for want of memory"
        )
        return "oom", f"killed by {who} (signal 9)"
    if code < 0:
        name = signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"
        if any(word.lower() in log.lower() for word in _OOM_IN_LOG):
            return "oom", f"{name}: {last}"
        return "crashed", f"{name}{': ' + last if last else ''}"
    by_itself = "" if code else " and no answer: --python has to name a Python"
    return "crashed", f"exit status {code}{by_itself}{': ' + last if last else ''}"


def _oom_kills() -> int:
    """Processes of this control group that the kernel has killed for want of memory so far."""
    try:
        lines = _OOM_KILLS.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _kill_session(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()

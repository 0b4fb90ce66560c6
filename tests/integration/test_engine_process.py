"""What is left of an engine when it ends: nothing, however it behaves and however we end. Linux: it reads /proc."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inferometer.clock import MonotonicClock
from inferometer.engines.engine import CommandLine
from inferometer.engines.family import descendants, holders
from inferometer.engines.process import EngineProcess
from inferometer.errors import UsageError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
LIMIT_S = 30

STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
)
DAEMONS = """
    import os, signal, sys
    def daemon():
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                signal.pause()
            os._exit(0)
        os.wait()
    daemon(); daemon()
    print('up', flush=True)
    sys.exit(0) if sys.argv[1:] else signal.pause()
"""


@contextlib.contextmanager
def started(tmp_path: Path, code: str, *words: str, grace_s: float = 20.0) -> Iterator[EngineProcess]:
    """An engine that is a few lines of Python, once it has said ``up``."""
    command = CommandLine(argv=(sys.executable, "-c", textwrap.dedent(code), *words))
    with EngineProcess(command, tmp_path / "engine.log", MonotonicClock(), grace_s=grace_s) as process:
        until(lambda: "up" in process.log.read_text())
        yield process


def until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.02)


def alive(pids: list[int]) -> list[int]:
    """Those that live; a zombie does not."""
    return [pid for pid in pids if Path(f"/proc/{pid}").exists() and " Z " not in stat(pid)]


def stat(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return " Z "


def test_one_that_ends_when_asked_is_not_killed(tmp_path: Path) -> None:
    code = "import signal, sys; signal.signal(15, lambda *_: sys.exit(7)); print('up', flush=True); signal.pause()"
    with started(tmp_path, code) as process:
        assert process.ending() is None
        assert process.family() == [process.pid]
    ending = process.ending()
    assert ending is not None
    assert (ending.words, ending.asked, ending.left) == ("exit code 7", True, ())


def test_one_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    with started(tmp_path, STUBBORN, grace_s=0.2) as process:
        pass
    ending = process.ending()
    assert ending is not None
    assert ending.words == "signal SIGKILL"
    assert alive([process.pid]) == []


def test_a_hurry_ends_the_grace(tmp_path: Path) -> None:
    with started(tmp_path, STUBBORN, grace_s=3600) as process:
        assert process.stop(lambda: True).words == "signal SIGKILL"


def test_daemons_that_left_the_session_are_ended(tmp_path: Path) -> None:
    with started(tmp_path, DAEMONS, grace_s=0.2) as process:
        family = process.family()
        assert len(family) == 3
    assert alive(family) == []


def test_a_daemon_whose_starter_has_ended_is_the_engine(tmp_path: Path) -> None:
    with started(tmp_path, DAEMONS, "leave", grace_s=0.2) as process:
        until(lambda: len(process.family()) == 2)
        assert process.ending() is None
        family = process.family()
        for pid in family:
            os.kill(pid, signal.SIGKILL)
        until(lambda: process.ending() is not None)
    ending = process.ending()
    assert ending is not None
    assert not ending.asked


def test_when_the_engine_dies_what_it_left_is_ended(tmp_path: Path) -> None:
    with started(tmp_path, DAEMONS, grace_s=0.2) as process:
        family = process.family()
        os.kill(process.pid, signal.SIGSEGV)
        until(lambda: process.ending() is not None)
        ending = process.ending()
        assert ending is not None
        assert (ending.words, ending.asked) == ("signal SIGSEGV", False)
        assert alive(family) == []


def test_it_ends_when_we_are_killed(tmp_path: Path) -> None:
    order = tmp_path / "conf" / "config.json"
    ours = f"""
        import sys, signal
        from pathlib import Path
        from inferometer.clock import MonotonicClock
        from inferometer.engines.engine import CommandLine
        from inferometer.engines.process import EngineProcess
        command = CommandLine(argv=(sys.executable, "-c", {textwrap.dedent(DAEMONS)!r}), files={{{str(order)!r}: "x"}})
        process = EngineProcess(command, Path({str(tmp_path / "engine.log")!r}), MonotonicClock(), grace_s=0.2)
        print(process.keeper_pid, flush=True)
        signal.pause()
    """
    words = [sys.executable, "-c", textwrap.dedent(ours)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as us:
        assert us.stdout is not None
        keeper = int(us.stdout.readline())
        log = tmp_path / "engine.log"
        until(lambda: log.exists() and "up" in log.read_text())
        assert order.read_text() == "x"
        family = [keeper, *descendants(keeper)]
        assert len(family) == 4
        us.kill()
    until(lambda: not alive(family))
    assert not order.parent.exists()


def test_it_ends_when_the_keeper_is_killed(tmp_path: Path) -> None:
    with started(tmp_path, "print('up', flush=True); import signal; signal.pause()") as process:
        os.kill(process.keeper_pid, signal.SIGKILL)
        until(lambda: process.ending() is not None)
        until(lambda: not alive([process.pid]))
        ending = process.ending()
        assert ending is not None
        assert not ending.asked, "nobody asked for it"
        assert alive([process.keeper_pid, process.pid]) == []


def test_files_are_written_for_it_and_removed(tmp_path: Path) -> None:
    file = tmp_path / "conf" / "config.json"
    code = f"print(open({str(file)!r}).read(), 'up', flush=True); import signal; signal.pause()"
    command = CommandLine(argv=(sys.executable, "-c", code), files={str(file): "the text"})
    with EngineProcess(command, tmp_path / "engine.log", MonotonicClock()) as process:
        until(lambda: "the text up" in process.log.read_text())
        assert file.stat().st_mode & 0o777 == 0o640
        with pytest.raises(UsageError, match=r"config.json', which the engine is to read, cannot be written"):
            EngineProcess(command, tmp_path / "other.log", MonotonicClock())
        assert file.exists()
    assert not file.parent.exists()


def test_environment_folder_and_cores_are_as_asked(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    code = "import os; print(os.getcwd(), os.environ['A'], os.sched_getaffinity(0), 'up', flush=True)"
    command = CommandLine(argv=(sys.executable, "-c", code), env={"A": "b c"}, cwd=str(tmp_path))
    with EngineProcess(command, tmp_path / "engine.log", MonotonicClock(), cores=(core,)) as process:
        until(lambda: process.ending() is not None)
    assert process.log.read_text() == f"{tmp_path} b c {{{core}}} up\n"
    assert os.sched_getaffinity(0) >= {core}


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'no-such-engine' cannot be started: No such file"):
        EngineProcess(CommandLine(argv=("no-such-engine",)), tmp_path / "engine.log", MonotonicClock())
    assert holders(1) == []

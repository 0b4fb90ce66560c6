"""Starts an engine, waits until it answers, asks what it is, and stops it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import msgspec

from inferometer.clock import Clock
from inferometer.engines.asking import Asker, server_at
from inferometer.engines.beforehand import refuse
from inferometer.engines.engine import Engine, Facts, Settings
from inferometer.engines.ports import free_port, url_of
from inferometer.engines.process import LOG, Ending, EngineProcess
from inferometer.engines.ready import Ready, Wait, ended_early
from inferometer.engines.shown import api_key_of, inherited_key
from inferometer.engines.words import engine_of
from inferometer.errors import EndpointError, EngineError, InterruptedEarlyError, UsageError
from inferometer.loadgen.affinity import allowed_cores
from inferometer.loadgen.stop import StopSignal
from inferometer.spec.launch_rules import cores_text

__all__ = ["RunningEngine", "Where", "engine_of", "start"]

_WARM_LIMIT_S = 600.0


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """Where an engine is started, and how long that may take.

    Attributes:
        folder: that its log, ``engine.log``, is written to; made if it is not there.
        clock: for time limits.
        cores: CPU cores that it and all its processes are kept on; empty = as this process.
        ready_limit_s: longest wait until it has answered a request.
        unchecked: start it although its model's files say that it will fail.
    """

    folder: Path
    clock: Clock
    cores: tuple[int, ...] = ()
    ready_limit_s: float = 1800.0
    unchecked: bool = False


class RunningEngine:
    """An engine that has answered a request. Leaving its context stops it. Made by ``start`` only.

    Attributes:
        engine: what was started.
        settings: with the port that was taken.
        command: what they became.
        url: its address, without a path.
        pid: of the process that the command line started.
        log: the file with what it wrote; bounded, beginning and end are kept.
        facts: what it says of itself.
        dialect: the one that the first answer came in; the engine's, or completions where it has no chat.
        model: the name that requests give.
        api_key: that requests have to give, where the command line sets one.
        ready_s: seconds from the start to the first answer.
    """

    def __init__(
        self, engine: Engine, settings: Settings, process: EngineProcess, found: Found, stop: StopSignal
    ) -> None:
        self.engine, self.settings, self.command = engine, settings, process.command
        self.url, self.pid, self.log = url_of(settings), process.pid, process.log
        self.dialect, self.model, self.facts = found.ready.dialect, found.ready.model, found.facts
        self.api_key, self.ready_s = api_key_of(settings), found.ready_s
        self._process, self._stop = process, stop

    def move_log(self, path: Path) -> None:
        """Have its log at ``path`` from now on; what it writes is not interrupted.

        Raises:
            OSError: it cannot be moved there, as to another file system; it is where it was.
        """
        self.log.rename(path)
        self.log = self._process.log = path

    def family(self) -> list[int]:
        """Processes of the engine that are alive; empty where the system does not tell."""
        return self._process.family()

    def ending(self) -> str | None:
        """How it ended, as ``exit code 1``, when it has; None while it runs. Never waits."""
        ending = self._process.ending()
        return None if ending is None else ending.words

    def wait(self, seconds: float) -> str | None:
        """Let that time go by, or less if it ends before; as ``ending``."""
        ending = self._process.wait(seconds)
        return None if ending is None else ending.words

    def explained(self) -> EngineError | None:
        """Why it has ended though nobody asked it to, from its log; None while it runs, or when it was asked."""
        ending = self._process.ending()
        if ending is None or ending.asked:
            return None
        return ended_early(self.engine, self.settings, self._process)

    def warm(self, requests: int, tokens: int = 16) -> list[float]:
        """Ask it for some short answers, one after the other; seconds that each took.

        Raises:
            EndpointError: an answer is refused, or does not come within 10 minutes.
            EngineError: the engine has ended.
            InterruptedEarlyError: the stop signal was asked.
        """
        return warm(self, requests, tokens, self._process.clock, self._stop)

    def stop(self) -> Ending:
        """End it and everything it started, and wait for that; may be called again.

        It has some 20 s to end in peace, or until the stop signal is asked twice.
        """
        return self._process.stop(lambda: self._stop.level > 1)

    def __enter__(self) -> RunningEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Found(NamedTuple):
    """What the wait for an engine found out."""

    ready: Ready
    facts: Facts
    ready_s: float


def start(
    engine: Engine, settings: Settings, where: Where, stop: StopSignal, tell: Callable[[str], None]
) -> RunningEngine:
    """Start ``engine`` and wait until it has answered a request.

    It ends with this process, however this process ends, and takes everything it started along. A port of 0 takes a
    free one.

    Args:
        engine: what to start.
        settings: and how.
        where: folder, clock, cores, time limit.
        stop: asked once, the start is given up; asked twice, the engine is ended without grace.
        tell: told about once a second how far it is.

    Raises:
        UsageError: settings that the engine refuses, or would refuse for this model; a program that is not there; a
            port that is taken; cores that it may not use.
        DataError: the model's config.json cannot be understood.
        EngineError: it ended, or did not answer in time; explained, with the path of its log.
        InterruptedEarlyError: ``stop`` was asked.
    """
    _check_cores(where.cores)
    if not where.unchecked:
        refuse(engine, settings, os.environ)
    settings = msgspec.structs.replace(
        settings,
        port=free_port(settings.host, settings.port),
        env={**inherited_key(engine.name, os.environ), **settings.env},
    )
    command = engine.command(settings)
    log = log_in(where.folder)
    try:
        process = EngineProcess(command, log, where.clock, where.cores)
    except BaseException:
        _drop_if_empty(log)  # nothing was started
        raise
    try:
        wait = Wait(engine, settings, process, where.clock, stop, tell)
        ready = wait.until_ready(where.ready_limit_s)
        ready_s = wait.elapsed_s()
        found = Found(ready, wait.facts(ready), ready_s)
        return RunningEngine(engine, settings, process, found, stop)
    except BaseException:
        process.stop(lambda: stop.level > 1)
        raise


def _drop_if_empty(log: Path) -> None:
    """Remove a log that holds nothing, and its folder if nothing else is in it."""
    with suppress(OSError):
        if log.exists() and not log.stat().st_size:
            log.unlink()
        log.parent.rmdir()


def _check_cores(cores: tuple[int, ...]) -> None:
    """Refuse cores that this process may not use itself.

    Raises:
        UsageError: some are not allowed, or this system keeps no process on cores.
    """
    allowed = allowed_cores()
    strange = sorted(set(cores) - set(allowed))
    if strange:
        raise UsageError(
            f"the engine cannot be kept on cores {cores_text(strange)}",
            f"this process may use cores {cores_text(allowed)}"
            if allowed
            else "this system does not let a process be kept on cores: leave them out",
        )


def warm(running: RunningEngine, requests: int, tokens: int, clock: Clock, stop: StopSignal) -> list[float]:
    """Ask a running engine for some short answers; see ``RunningEngine.warm``."""
    target = server_at(running.url, running.api_key, _WARM_LIMIT_S)
    asker = Asker(
        target,
        running.dialect,
        running.model,
        clock,
        lambda: bool(stop.level) or running.ending() is not None,
    )
    try:
        return [asker.ask(tokens, _WARM_LIMIT_S).seconds for _ in range(requests)]
    except (EndpointError, InterruptedEarlyError):
        ended = running.explained()
        if ended is not None:
            raise ended from None
        raise
    finally:
        asker.close()


def log_in(folder: Path) -> Path:
    """The log of an engine in ``folder``, which is made if it is not there.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the folder for the engine's log, {str(folder)!r}, cannot be made: {error.strerror}",
            "give another with --out DIR",
        ) from None
    return folder / LOG

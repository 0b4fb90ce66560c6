"""Waits until an engine that was started has answered a request, and explains why it has not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from inferometer.client.probe import Caller, Reply, ServerInfo, find_server
from inferometer.client.redact import error_text
from inferometer.clock import Clock
from inferometer.engines.asking import Asker, NotYetError, RefusedError, server_at
from inferometer.engines.engine import Engine, Facts, Said, Settings
from inferometer.engines.engine_log import EngineLog
from inferometer.engines.family import holders, title
from inferometer.engines.ports import url_of
from inferometer.engines.process import EngineProcess
from inferometer.engines.shown import api_key_of, secrets_of
from inferometer.errors import EndpointError, EngineError, InterruptedEarlyError
from inferometer.loadgen.stop import StopSignal

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5  # between two looks
LINES_FOLLOW = "; its last lines:"  # ends the first line of a message whose others are the log's
_TOLD_S = 1.0
_PAGE_S = 5.0
_TOKENS = 4  # of the first answer: prefill and decoding have both been done once
_SAID_LINES = 3  # of its log, where nothing in it is known
_OK = 200
# Programs that start the server somewhere this machine does not show as their descendants.
_ELSEWHERE = frozenset(
    ("docker", "podman", "nerdctl", "kubectl", "ssh", "srun", "singularity", "apptainer", "ray", "torchrun")
)


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What a server that has answered was asked with, and said.

    Attributes:
        dialect: of the first answer.
        model: the name that it was asked by.
        info: what ``/v1/models`` says; None where there is no such page.
    """

    dialect: str
    model: str
    info: ServerInfo | None


class Wait:
    """Waits for one engine.

    Args:
        engine: what was started.
        settings: as it was started.
        process: it.
        clock: for the time limit.
        stop: asked once, the wait ends.
        tell: told about once a second how far it is.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        process: EngineProcess,
        clock: Clock,
        stop: StopSignal,
        tell: Callable[[str], None],
    ) -> None:
        self._engine, self._settings, self._process = engine, settings, process
        self._clock, self._stop, self._tell = clock, stop, tell
        self._log = EngineLog(process.log)
        self._began_ns = self._told_ns = clock.now_ns()
        self._limit_s = 0.0
        self._waits_for = "it to start"
        self._target = server_at(url_of(settings), api_key_of(settings), _PAGE_S)

    def until_ready(self, limit_s: float) -> Ready:
        """Wait for the log line, a page, and the first answer.

        Raises:
            EngineError: it ended, refuses to answer, did not answer in time, or somebody else has its port.
            InterruptedEarlyError: the stop signal was asked.
        """
        self._limit_s = limit_s
        readiness = self._engine.readiness
        if readiness.log_line is not None:
            self._until(self._log_has(readiness.log_line), f"{readiness.log_line!r} in its log")
        if readiness.paths:
            self._until(self._page_is_there, f"an answer at {' or '.join(readiness.paths)}")
        self._check_listener()
        info = self._info()
        model = self._settings.served_name or (
            info.models[0] if info and info.models else self._settings.model
        )
        return Ready(dialect=self._first_answer(model), model=model, info=info)

    def facts(self, ready: Ready) -> Facts:
        """What the engine says of itself, in its log and at its pages; what it leaves open, its list of models says."""
        pages = {path: reply for path in self._engine.pages if (reply := self._page(path)) is not None}
        said = Said(
            log=self._log.text(),
            pages={
                path: reply.body.decode("utf-8", "replace")
                for path, reply in pages.items()
                if reply.head.status == _OK
            },
        )
        facts = self._engine.facts(said)
        listed: dict[str, object] = {}
        if facts.model is None:
            listed["model"] = ready.model
        if facts.max_model_len is None and ready.info is not None and ready.info.max_model_len is not None:
            listed["max_model_len"] = ready.info.max_model_len
        sources = {**facts.sources, **dict.fromkeys(listed, "/v1/models")}
        return msgspec.structs.replace(facts, **listed, sources=sources)

    def elapsed_s(self) -> float:
        """Since it was started."""
        return (self._clock.now_ns() - self._began_ns) / 1e9

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        self._waits_for = what
        pause_s = _FIRST_PAUSE_S
        while not holds():
            self._check()
            self._process.wait(pause_s)
            pause_s = min(pause_s * 1.2, _LONGEST_PAUSE_S)

    def _check(self) -> None:
        """Go on, unless it has ended, is to end, or its time is up. Says how far it is."""
        if self._stop.level:
            log = f"its log is {self._log.path}" if _wrote(self._log.path) else "it wrote nothing"
            raise InterruptedEarlyError(
                f"interrupted while {self._engine.name} was starting; it was ended, {log}"
            )
        if self._process.ending() is not None:
            raise ended_early(self._engine, self._settings, self._process)
        elapsed_s = self.elapsed_s()
        if elapsed_s > self._limit_s:
            raise self._too_late()
        if self._clock.now_ns() - self._told_ns >= _TOLD_S * 1e9:
            self._told_ns = self._clock.now_ns()
            said = error_text(self._log.progress(), secrets_of(self._settings))
            self._tell(f"{self._engine.name}: {elapsed_s:.0f} s  {said}".rstrip())

    def _is_over(self) -> bool:
        """Whether a question to the server is pointless by now."""
        return bool(self._stop.level) or self._process.ending() is not None

    def _log_has(self, expression: str) -> Callable[[], bool]:
        pattern = re.compile(expression)
        return lambda: any(pattern.search(line) for line in self._log.new_lines())

    def _page_is_there(self) -> bool:
        for path in self._engine.readiness.paths:
            reply = self._page(path)
            if reply is not None and reply.head.status == _OK:
                return True
        return False

    def _page(self, path: str) -> Reply | None:
        caller = Caller(self._target, self._clock, self._is_over)
        try:
            return caller.call("GET", path, limit_s=_PAGE_S)
        except (EndpointError, InterruptedEarlyError):
            return None  # not yet; whoever calls looks why the wait is over
        finally:
            caller.close()

    def _check_listener(self) -> None:
        """The server that answers is the one that was started.

        The port was free before; but between that and now somebody else may have taken it.
        """
        words = {Path(word).name for word in " ".join(self._process.command.argv).split()}
        family = self._process.family()
        found = holders(self._settings.port)
        if not found or not family or words & _ELSEWHERE or set(family) & set(found):
            return
        others = ", ".join(f"{title(pid)} (pid {pid})" for pid in found)
        raise _failed(
            self._log.path,
            f"the server at port {self._settings.port} is not the {self._engine.name} that was started, but {others}",
            "somebody took the port in the meantime: take another one, or --port 0",
        )

    def _info(self) -> ServerInfo | None:
        try:
            return find_server(self._target, self._clock, self._is_over)[1]
        except (EndpointError, InterruptedEarlyError):
            self._check()
            return None  # it has no such page

    def _first_answer(self, model: str) -> str:
        """Wait for an answer with a token in it; returns the dialect that it came in."""
        left_s = max(self._limit_s - self.elapsed_s(), 1.0)
        target = msgspec.structs.replace(
            self._target, timeouts=msgspec.structs.replace(self._target.timeouts, read_s=left_s)
        )
        asker = Asker(target, self._engine.dialect, model, self._clock, self._is_over_telling)

        def answers() -> bool:
            try:
                asker.ask(_TOKENS, max(self._limit_s - self.elapsed_s(), 1.0))
            except RefusedError as error:
                raise self._refused(error, asker.dialect) from None
            except NotYetError as error:
                self._waits_for = f"its first answer, {error.message}"
                return False
            except (EndpointError, InterruptedEarlyError):
                return False
            return True

        try:
            self._until(answers, "its first answer")
        finally:
            asker.close()
        return asker.dialect

    def _is_over_telling(self) -> bool:
        """For waits that may take minutes, as the first answer of an engine that compiles then."""
        if self._is_over() or self.elapsed_s() > self._limit_s:
            return True
        self._check()
        return False

    def _refused(self, error: RefusedError, dialect: str) -> EngineError:
        said = error_text(error.message, secrets_of(self._settings))
        return _explained(
            self._engine,
            self._log,
            self._settings,
            f"{self._engine.name} listens, but does not answer a request of {dialect}: {said}",
            "see its log",
        )

    def _too_late(self) -> EngineError:
        said = error_text(self._log.progress(), secrets_of(self._settings))
        return _failed(
            self._log.path,
            f"{self._engine.name} was not ready within {self._limit_s:g} s, it was ended; missing was {self._waits_for}"
            + (f"; its last line: {said}" if said else "; it wrote nothing"),
            "give it more time" + (", or see its log for what it waits for" if said else ""),
        )


def ended_early(engine: Engine, settings: Settings, process: EngineProcess) -> EngineError:
    """Why an engine that was not asked to has ended, from its log."""
    ending = process.ending()
    how = "ended" if ending is None else f"ended with {ending.words}"
    killed = ending is not None and ending.signal is not None
    step = (
        "nobody here ended it: was memory short (see dmesg), or did somebody kill it?"
        if killed
        else "see its log for the reason"
    )
    return _explained(engine, EngineLog(process.log), settings, f"{engine.name} {how}", step)


def _explained(engine: Engine, log: EngineLog, settings: Settings, what: str, step: str) -> EngineError:
    """``what`` has happened, with the reason that the log gives, in our words and in the engine's."""
    secrets = secrets_of(settings)
    trouble = engine.trouble(log.text())
    if trouble is not None:
        line, reason = error_text(trouble.line, secrets), error_text(trouble.message, secrets)
        quoted = "" if reason in line else f"\nits log says: {line}"  # our own servers speak our words
        return _failed(log.path, f"{what}: {reason}{quoted}", error_text(trouble.next_step, secrets))
    said = [error_text(line, secrets) for line in log.last_lines(_SAID_LINES)]
    if not said:
        return _failed(log.path, f"{what}; it wrote nothing", step)
    return _failed(log.path, f"{what}{LINES_FOLLOW}\n" + "\n".join(f"  {line}" for line in said), step)


def _failed(log: Path, message: str, step: str) -> EngineError:
    if not _wrote(log):
        return EngineError(message, step)
    error = EngineError(message, f"{step}\nlog  {log}")
    error.log = str(log)
    return error


def _wrote(log: Path) -> bool:
    """Whether there is something in the log; one without is not kept."""
    return log.exists() and log.stat().st_size > 0

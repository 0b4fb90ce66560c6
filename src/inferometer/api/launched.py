"""The server that a run starts for itself: what its command line means, its start, and what the run keeps of it."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from pydantic import SecretStr

from inferometer.client.dialects import open_dialect
from inferometer.clock import MonotonicClock, utc_now
from inferometer.engines.beforehand import known_of, refuse
from inferometer.engines.engine import Engine, Facts, Settings
from inferometer.engines.ports import free_port
from inferometer.engines.shown import shell_line, shown_env
from inferometer.engines.start import RunningEngine, Where, start
from inferometer.engines.words import engine_of
from inferometer.errors import (
    EngineError,
    InferometerError,
    RunFolderError,
    UsageError,
)
from inferometer.loadgen.affinity import allowed_cores, keeping_off, rest_of
from inferometer.loadgen.progress import Observer, beforehand
from inferometer.loadgen.stop import StopSignal
from inferometer.record.engine import ENGINE_LOG, EngineRecord
from inferometer.record.folder import read_meta, write_meta
from inferometer.spec import Endpoint, RunSpec, check_spec
from inferometer.spec.launch_rules import cores_text, parse_cores, variables_of
from inferometer.spec.url import shown_url

TINY = "tiny"  # the model that is made here
FEW_CORES = 4  # on so many, a server and a load generator get into each other's way
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_ANYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - what a server that listens everywhere is told


class Asked(NamedTuple):
    """What ``--launch`` asks for."""

    engine: Engine
    settings: Settings


def asked_of(spec: RunSpec) -> Asked | None:
    """The engine that a run is to start, and its settings; None where it is to start none.

    The port is that of ``--url``, else that of the command line, else 0, which takes a free one.

    Raises:
        UsageError: the command line is none, or ``--url`` contradicts it.
    """
    command = spec.launch.command
    if command is None:
        return None
    engine, settings = engine_of(command)
    env = {**settings.env, **variables_of(spec.launch)}
    asked = Asked(engine, msgspec.structs.replace(settings, env=env))
    port = _port(spec.endpoint.url, asked, shlex.split(command))
    return asked._replace(settings=msgspec.structs.replace(asked.settings, port=port))


def as_the_engine_speaks(spec: RunSpec) -> RunSpec:
    """The spec in the dialect of the server that it launches, unless it names one.

    Raises:
        UsageError: as ``asked_of``, or as ``check_spec``.
    """
    if spec.launch.command is None:
        return spec
    check_spec(spec)
    asked = asked_of(spec)
    if asked is None or "backend" in spec.endpoint.model_fields_set:
        return spec
    return _with(spec, backend=asked.engine.dialect)


def refuse_launch(spec: RunSpec) -> None:
    """Refuse a start that is known to fail, unless it is to be tried all the same.

    Raises:
        UsageError: with all reasons.
        DataError: the model's config.json cannot be understood.
    """
    asked = asked_of(spec)
    if asked is not None and not spec.launch.unchecked:
        refuse(asked.engine, asked.settings, os.environ)


class Outlined(NamedTuple):
    """What would be started.

    Attributes:
        engine: its name.
        line: its command line, to be read and copied, without secrets.
        host: that it listens at.
        port: and where; 0 = a free one.
        dialect: that the run speaks with it.
        cores: that it is kept on; none = those of this process.
        left: that are left to the load generator.
        notes: what a person should know.
    """

    engine: str
    line: str
    host: str
    port: int
    dialect: str
    cores: tuple[int, ...]
    left: tuple[int, ...]
    notes: tuple[str, ...]


def outlined(spec: RunSpec) -> Outlined | None:
    """What a run would start; None for nothing.

    Raises:
        UsageError: a setting that the engine does not have, or cores that cannot be kept apart.
        DataError: the model's config.json cannot be understood.
    """
    asked = asked_of(spec)
    if asked is None:
        return None
    cores, allowed = parse_cores(spec.launch.cores or ""), allowed_cores()
    left = rest_of(cores, allowed) if cores else allowed
    return Outlined(
        engine=asked.engine.name,
        line=shell_line(asked.engine.command(asked.settings)),
        host=asked.settings.host,
        port=asked.settings.port,
        dialect=as_the_engine_speaks(spec).endpoint.backend,
        cores=cores,
        left=tuple(sorted(left)),
        notes=_notes(asked, cores),
    )


class Launched:
    """The server of a run, where the run starts one; else none of this does anything.

    Life cycle: made -> ``started`` -> ``housed`` once there is a run folder -> left, which stops the server and notes
    in ``run.json`` how it ended. Use as a context manager. Its log lies beside the run folder until that is there.

    Args:
        spec: what to do.
        observer: told how far the start is.
        stop: asked for, it ends the start.
        out: the directory of the run folder; None = ``--out``.
    """

    def __init__(self, spec: RunSpec, observer: Observer, stop: StopSignal, out: Path | None = None) -> None:
        self._asked = asked_of(spec)
        self._launch, self._out = spec.launch, out or Path(spec.output.out)
        self._observer, self._stop = observer, stop
        self._clock = MonotonicClock()
        self._began_ns = self._clock.now_ns()
        self._exits = ExitStack()
        self._running: RunningEngine | None = None
        self._folder: Path | None = None
        self._cores = parse_cores(spec.launch.cores or "")
        self.record: EngineRecord | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the server."""
        return () if self._asked is None else _notes(self._asked, self._cores)

    def started(self, spec: RunSpec) -> RunSpec:
        """The spec with the address of the server, which is started if it does not run yet.

        Raises:
            UsageError: the engine refuses its settings, or the cores cannot be kept apart.
            EngineError: it does not start.
            InterruptedEarlyError: ``stop`` was asked for.
        """
        if self._asked is None:
            return spec
        running = self._running or self._start(self._asked)
        found = spec.endpoint
        changes: dict[str, Any] = {"url": found.url or running.url}
        if found.backend == self._asked.engine.dialect:
            changes["backend"] = running.dialect  # another where its model has no chat template
        if found.model is None and not open_dialect(found.backend, found.template).capability.lists_models:
            changes["model"] = running.model
        if not found.url and running.url.startswith("https:") and found.ca_file is None:
            changes["insecure"] = (
                True  # our own server's certificate names some host, and proves nothing here
            )
        if running.api_key is not None and not _has_key(found):
            changes["api_key"] = SecretStr(running.api_key)
        return _with(spec, **changes)

    def _start(self, asked: Asked) -> RunningEngine:
        if self._cores:
            rest_of(self._cores, allowed_cores())  # refused before anything is started
        port = free_port(asked.settings.host, asked.settings.port)
        settings = msgspec.structs.replace(asked.settings, port=port)
        folder = self._out.absolute() / f"engine-{utc_now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        where = Where(
            folder=folder,
            clock=self._clock,
            cores=self._cores,
            ready_limit_s=self._launch.ready_limit_s,
            unchecked=self._launch.unchecked,
        )
        self._tell(f"launching {shell_line(asked.engine.command(settings))}")
        try:
            self._running = start(asked.engine, settings, where, self._stop, self._tell)
        finally:
            if self._running is None:
                _drop_if_empty(folder)
        # Not before: what is started inherits the cores that are left to this process.
        self._exits.enter_context(keeping_off(self._cores))
        self.record = _record_of(asked, self._running, self._cores)
        version = f" {self.record.version}" if self.record.version else ""
        self._tell(
            f"{asked.engine.name}{version} is ready at {self._running.url} after {self._running.ready_s:.1f} s",
            "launched",
        )
        return self._running

    def _tell(self, text: str, kind: str = "launch") -> None:
        elapsed_s = (self._clock.now_ns() - self._began_ns) / 1e9
        self._observer.on_progress(beforehand(text, elapsed_s, kind))

    def housed(self, folder: Path) -> None:
        """There is a run folder: from now on the log is there, and nowhere else, also if this process is killed."""
        if self._running is None:
            return
        self._folder, before = folder, self._running.log
        with suppress(OSError):  # one that cannot be moved while it is written is moved at the end
            self._running.move_log(folder / ENGINE_LOG)
            _drop(before.parent)

    def __enter__(self) -> Launched:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._exits:
            if self._running is None:
                return
            ended = self._running.explained()
            try:
                self._running.stop()
            finally:
                self._note_end(ended)
                self._keep(self._running.log, error)
            if ended is not None and isinstance(error, InferometerError):
                raise self._because(ended, error) from error

    def _note_end(self, ended: EngineError | None) -> None:
        if ended is not None and self.record is not None:
            self.record.ended = ended.message
            self.record.next_step = ended.next_step.partition("\n")[0]  # the rest is where the log was

    def _keep(self, log: Path, error: BaseException | None) -> None:
        """The log into the run folder, and the record into its ``run.json``; without one, the log stays where it is."""
        if self._folder is None:
            if isinstance(error, InferometerError):
                error.message += _log_of(log.parent)
            return
        try:
            if log.parent != self._folder:
                shutil.move(log, self._folder / ENGINE_LOG)
                _drop(log.parent)
            meta = read_meta(self._folder)
            meta.engine = self.record
            write_meta(self._folder, meta)
        except (OSError, RunFolderError):
            if error is None:
                raise RunFolderError(
                    f"the log of the server cannot be put into {str(self._folder)!r}",
                    f"free some space, then: inferometer runs recover {self._folder}",
                ) from None

    def _because(self, ended: EngineError, error: InferometerError) -> EngineError:
        """What went wrong because the server had ended, told as that."""
        log = self._folder / ENGINE_LOG if self._folder is not None else ended.log
        found = EngineError(
            f"{ended.message}\nafter that: {error.message}",
            f"{ended.next_step.partition(chr(10))[0]}\nlog  {log}",
        )
        found.log, found.run_folder = str(log), error.run_folder
        return found


def _notes(asked: Asked, cores: tuple[int, ...]) -> tuple[str, ...]:
    known = known_of(asked.engine, asked.settings, os.environ)
    notes = [f"{caution.message}; {caution.next_step}" for caution in known.cautions]
    if asked.settings.model == TINY:
        notes.append("the model is tiny and random: nothing here says anything about the speed of a real one")
    allowed = allowed_cores()
    if not cores and 1 < len(allowed) <= FEW_CORES:
        notes.append(
            f"the launched server shares {len(allowed)} CPU cores with the load generator; "
            f"--launch-cores {cores_text(allowed[:-1])} keeps them apart"
        )
    return tuple(notes)


def _can_be_told(asked: Asked) -> bool:
    """Whether the port that is asked for makes a difference to what is started."""
    lines = [asked.engine.command(msgspec.structs.replace(asked.settings, port=port)) for port in (1, 2)]
    return lines[0] != lines[1]


def _is_written(port: int, words: list[str]) -> bool:
    """Whether a command line says its port: with another number in that place, the server listens elsewhere."""
    number, other = re.compile(rf"(?<!\d){port}(?!\d)"), "1" if port != 1 else "2"
    for place, word in enumerate(words):
        changed = number.sub(other, word)
        line = [*words[:place], changed, *words[place + 1 :]]
        if changed != word and engine_of(shlex.join(line))[1].port != port:
            return True
    return False


def _port(url: str, asked: Asked, words: list[str]) -> int:
    """The port to listen at, which address and command line may both say; 0 = a free one.

    Raises:
        UsageError: they contradict each other, or neither says one and the server cannot be told.
    """
    # Else it is the engine's usual one, at which another server may listen.
    named = asked.settings.port if _is_written(asked.settings.port, words) else 0
    if not url:
        if not named and not _can_be_told(asked):
            raise UsageError(
                "--launch does not say where its server listens",
                "write --port {port} in it as its program calls that (a free one is filled in), or give --url, too",
            )
        return named
    settings = asked.settings
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = (parts.hostname or "").lower()
    here = {*_LOCAL, settings.host, socket.gethostname().lower()}
    if host not in here and settings.host not in _ANYWHERE:
        raise UsageError(
            f"--url {shown_url(url)} is not where the server of --launch listens, which is {settings.host} here",
            "leave out --url, which follows from --launch",
        )
    if named and named != port:
        raise UsageError(
            f"--url {shown_url(url)} has port {port}, and the server of --launch listens at {named}",
            "leave out --url, which follows from --launch, or write the same port in both",
        )
    return port


def _with(spec: RunSpec, **changes: Any) -> RunSpec:
    return spec.model_copy(update={"endpoint": spec.endpoint.model_copy(update=changes)})


def _has_key(endpoint: Endpoint) -> bool:
    headers = (text.partition(":")[0].strip().lower() for text in endpoint.header)
    return endpoint.api_key is not None or endpoint.api_key_file is not None or "authorization" in headers


def _record_of(asked: Asked, running: RunningEngine, cores: tuple[int, ...]) -> EngineRecord:
    return EngineRecord(
        name=asked.engine.name,
        version=running.facts.version,
        command=shell_line(msgspec.structs.replace(running.command, env={}, cwd=None)),
        env=shown_env(running.command.env),
        url=running.url,
        cores=list(cores),
        ready_s=running.ready_s,
        facts=facts_of(running.facts),
    )


def facts_of(facts: Facts) -> dict[str, Any]:
    """What an engine says of itself beside its name and version, without what it does not say."""
    said: dict[str, Any] = msgspec.to_builtins(facts)
    said["flags"] = shown_env(facts.flags)
    return {name: value for name, value in said.items() if value not in (None, {}) and name not in _BESIDE}


_BESIDE = ("engine", "version")


def _log_of(folder: Path) -> str:
    log = folder / ENGINE_LOG
    return f"; the log of the server is {log}" if log.exists() else ""


def _drop_if_empty(folder: Path) -> None:
    log = folder / ENGINE_LOG
    if not log.exists() or log.stat().st_size == 0:
        _drop(folder)


def _drop(folder: Path) -> None:
    """Remove the folder that we have made for the log, with nothing else in it."""
    (folder / ENGINE_LOG).unlink(missing_ok=True)
    with suppress(OSError):  # never made, or somebody has put something there
        folder.rmdir()

"""An engine that is started to be used: what would be started, the start, and what it says of itself."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from inferometer.clock import MonotonicClock, utc_now
from inferometer.engines.beforehand import Known, known_of
from inferometer.engines.engine import CommandLine, Engine, Settings
from inferometer.engines.ports import free_port
from inferometer.engines.shown import shell_line
from inferometer.engines.start import RunningEngine, Where, start
from inferometer.loadgen.stop import StopSignal
from inferometer.record.folder import slug


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be launched.

    Attributes:
        engine: the engine.
        settings: and how.
        out: directory that a folder with its log is made in.
        cores: CPU cores to keep it on; empty = as this process.
        ready_limit_s: longest wait until it has answered a request.
        unchecked: start it although its model's files say that it will fail.
    """

    engine: Engine
    settings: Settings
    out: Path
    cores: tuple[int, ...] = ()
    ready_limit_s: float = 1800.0
    unchecked: bool = False


class Outlined(NamedTuple):
    """What would be started: the command, the same as a line of a shell without secrets, what the model's files say."""

    command: CommandLine
    line: str
    known: Known


def placed(order: Order) -> Order:
    """The order with its port: a free one for 0.

    Raises:
        UsageError: the port is taken.
    """
    port = free_port(order.settings.host, order.settings.port)
    return msgspec.structs.replace(order, settings=msgspec.structs.replace(order.settings, port=port))


def outlined(order: Order) -> Outlined:
    """What ``order`` would start. Starts and writes nothing.

    Raises:
        UsageError: a setting that the engine does not have.
        DataError: the model's config.json cannot be understood.
    """
    command = order.engine.command(order.settings)
    return Outlined(command, shell_line(command), known_of(order.engine, order.settings, os.environ))


def launch(order: Order, stop: StopSignal, tell: Callable[[str], None]) -> RunningEngine:
    """Start the engine, and wait until it has answered a request; its context ends it.

    Args:
        order: what to start.
        stop: asked once, the start is given up; asked twice, the engine is ended without grace.
        tell: told about once a second how far it is.

    Raises:
        UsageError, DataError, EngineError, InterruptedEarlyError: as ``engines.start.start``.
    """
    name = f"{utc_now():%Y%m%d-%H%M%S}-{order.engine.name}-{slug(order.settings.model or 'server')}"
    where = Where(
        folder=order.out / f"{name}-{secrets.token_hex(2)}",
        clock=MonotonicClock(),
        cores=order.cores,
        ready_limit_s=order.ready_limit_s,
        unchecked=order.unchecked,
    )
    return start(order.engine, order.settings, where, stop, tell)

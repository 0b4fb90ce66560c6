"""Runs the simulated server in this process until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable
from pathlib import Path

from inferometer.clock import MonotonicClock
from inferometer.errors import EndpointError, UsageError
from inferometer.simulator.server.app import SimulatorApp
from inferometer.simulator.server.http11 import HttpConnection
from inferometer.simulator.server.pacing import Alarm, best_alarm
from inferometer.simulator.server.settings import SimSettings
from inferometer.simulator.server.step_log import StepLog

_BACKLOG = 4096  # connections that may arrive in one burst
_LAST_PORT = 65535
_STDIN = 0


def serve(
    settings: SimSettings,
    host: str,
    port: int,
    on_ready: Callable[[str], None],
    stop_when_stdin_closes: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM; call it from the main thread.

    Args:
        settings: the simulated engine.
        host: address to listen on; 127.0.0.1 keeps the server to this machine.
        port: 0 takes a free one.
        on_ready: told the URL once connections are accepted.
        stop_when_stdin_closes: also stop when standard input, a pipe, reaches its end.

    Raises:
        EndpointError: the address cannot be listened on.
        UsageError: there is no such port, standard input cannot be watched, or the step log cannot be written.
    """
    if not 0 <= port <= _LAST_PORT:  # the event loop would take some other one
        raise UsageError(f"port {port} must lie between 0 and {_LAST_PORT}", "0 takes a free one")
    clock = MonotonicClock()
    log = None
    if settings.step_log is not None:
        log = StepLog(Path(settings.step_log), settings.limits(), clock.realtime_ns() - clock.now_ns())
    loop = _new_loop()

    def application() -> tuple[SimulatorApp, Alarm]:
        alarm = best_alarm(loop, clock)
        return SimulatorApp(settings, clock, alarm, loop.call_later, log), alarm

    try:
        loop.run_until_complete(_serve(application, host, port, on_ready, stop_when_stdin_closes))
    finally:
        loop.close()
        if log is not None:
            log.close()


async def _serve(
    make: Callable[[], tuple[SimulatorApp, Alarm]],
    host: str,
    port: int,
    on_ready: Callable[[str], None],
    stop_when_stdin_closes: bool,
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    application, alarm = make()
    peers: set[HttpConnection] = set()
    try:
        listener = await loop.create_server(
            lambda: HttpConnection(application, peers), host, port, backlog=_BACKLOG
        )
    except OSError as error:
        alarm.close()
        raise EndpointError(
            f"cannot listen on {host}:{port}: {error}", "choose another host or port"
        ) from error
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        if stop_when_stdin_closes:
            _watch_stdin(loop, stop)
        gc.freeze()
        on_ready(_url(listener.sockets[0].getsockname()))
        await stop.wait()
    finally:
        loop.remove_reader(_STDIN)
        listener.close()
        for peer in tuple(peers):
            peer.abort()
        alarm.close()
        await asyncio.sleep(0)  # lets the transports tell their protocols


def _url(address: tuple[str, int]) -> str:
    host, port = address[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    def readable() -> None:
        if not os.read(_STDIN, 4096):
            stop.set()

    try:
        loop.add_reader(_STDIN, readable)
    except OSError as error:
        raise UsageError(f"standard input cannot be watched ({error})", "connect it to a pipe") from error


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop

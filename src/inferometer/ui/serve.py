"""Serves the pages until Ctrl-C: one process, nothing logged, streams and the run that was started ended with it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from inferometer.clock import AnchoredClock
from inferometer.errors import UsageError
from inferometer.ui.app import make_app
from inferometer.ui.deeds import Deeds
from inferometer.ui.guard import is_loopback
from inferometer.ui.house import House, Settings, make_house
from inferometer.ui.started import Started

_LAST_PORT = 65535
SHORTEST_TOKEN = 12
_STOP_LIMIT_S = 15.0  # for a run to write what it has
_STOP_STEP_S = 0.5


def serve(settings: Settings, deeds: Deeds, clock: AnchoredClock, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; call it from the main thread.

    A run that goes on then is asked to stop at once and waited for; a second signal kills it.

    Args:
        settings: port 0 takes a free one; see ``checked``.
        deeds: what the rooms above do for the pages.
        clock: for what is shown of runs in progress.
        on_ready: told the address, with the token if one is asked for, once connections are accepted.

    Raises:
        UsageError: the address cannot be listened at.
    """
    listener = listening(settings.host, settings.port)
    with contextlib.closing(listener):
        settings = settings._replace(port=listener.getsockname()[1])
        house = make_house(settings, deeds, clock)
        try:
            asyncio.run(_serve(house, listener, on_ready))
        finally:
            house.started.kill()
            house.started.forget()


def checked(settings: Settings) -> Settings:
    """The settings, with a token where one is needed and none was given.

    Raises:
        UsageError: ``out`` is a file, there is no such port, or the token is too short.
    """
    if settings.out.exists() and not settings.out.is_dir():
        raise UsageError(
            f"--out {str(settings.out)!r} is no directory", "give the one that run folders lie in"
        )
    if not 0 <= settings.port <= _LAST_PORT:
        raise UsageError(f"--port {settings.port} must lie between 0 and {_LAST_PORT}", "0 takes a free one")
    token = settings.token
    if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable()):
        raise UsageError(
            f"--token has to be {SHORTEST_TOKEN} or more printable ASCII characters",
            "leave it out: with --host one is made and printed",
        )
    if token is None and not is_loopback(settings.host):
        token = secrets.token_urlsafe(24)
    return settings._replace(token=token)


def listening(host: str, port: int) -> socket.socket:
    """A socket that accepts connections.

    Raises:
        UsageError: it cannot: the port is taken, or the host is none of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"--host {host!r}: {getattr(error, 'strerror', error)}",
            "give an address of this machine, or 0.0.0.0 for all of them",
        ) from None
    try:
        listener = socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        of_host = error.errno == errno.EADDRNOTAVAIL
        raise UsageError(
            f"cannot listen at {host}:{port}: {os.strerror(error.errno or 0)}",
            "give an address of this machine"
            if of_host
            else "is it running already? --port 0 takes a free port",
        ) from None
    listener.setblocking(False)
    return listener


def address(settings: Settings, path: str = "/") -> str:
    """What a browser opens."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    if settings.host in ("0.0.0.0", "::"):  # noqa: S104 - it is where one listens, and no address to open
        host = socket.gethostname()
    token = "" if settings.token is None else f"?token={settings.token}"
    return f"http://{host}:{settings.port}{path}{token}"


class _Server(uvicorn.Server):
    """Ends its streams first, so that nothing keeps it from ending."""

    def __init__(self, house: House) -> None:
        super().__init__(
            uvicorn.Config(
                make_app(house),
                log_config=None,
                access_log=False,
                log_level="critical",
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                ws="none",
                limit_concurrency=500,
                timeout_graceful_shutdown=1,
            )
        )
        self._house = house

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Both signals end it in order, and none is raised again afterwards."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM)
        for number in numbers:
            loop.add_signal_handler(number, self._end)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _end(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        self._house.closing.set()


async def _serve(house: House, listener: socket.socket, on_ready: Callable[[str], None]) -> None:
    house.closing = asyncio.Event()  # of this loop
    on_ready(address(house.settings))
    await _Server(house).serve(sockets=[listener])
    await _end_run(house.started)


async def _end_run(started: Started) -> None:
    """Ask the run that goes on to stop at once, and wait until it has written what it has; a signal ends the wait."""
    if not started.busy:
        return
    loop, hurry = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, hurry.set)
    for step in range(int(_STOP_LIMIT_S / _STOP_STEP_S)):
        if not started.busy or hurry.is_set():
            return
        if step < 2:  # gently, then at once
            started.stop()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(hurry.wait(), _STOP_STEP_S)

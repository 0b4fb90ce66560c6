"""Starts the simulated server as a process of its own, so that it shares no interpreter with the client."""

from __future__ import annotations

import select
import subprocess
import tempfile
from types import TracebackType
from typing import IO

import msgspec

from inferometer.errors import EndpointError
from inferometer.interpreter import own_program
from inferometer.simulator.server.settings import SimSettings, StartOrder

_START_LIMIT_S = 20.0
_STOP_LIMIT_S = 5.0


class _Ready(msgspec.Struct):
    url: str
    pid: int


class SimulatedServer:
    """A running simulated server: ``url`` (without a path) and ``pid``. Leaving its context stops it."""

    def __init__(self, process: subprocess.Popen[bytes], ready: _Ready) -> None:
        self._process = process
        self.url = ready.url
        self.pid = ready.pid

    def stop(self) -> None:
        """End the process and wait for it; may be called again."""
        _end(self._process)

    def __enter__(self) -> SimulatedServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_simulated_server(settings: SimSettings, host: str = "127.0.0.1", port: int = 0) -> SimulatedServer:
    """Start the server and wait until it accepts connections (about 0.3 s).

    It ends with this process, and on Linux also with the *thread* that calls this function: call it from one
    that lives as long as the server is needed.

    Args:
        settings: the simulated engine.
        host: address to listen on.
        port: 0 takes a free one.

    Raises:
        EndpointError: it did not start; the message carries what it wrote to standard error.
    """
    order = StartOrder(host=host, port=port, settings=settings)
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
            own_program("inferometer.simulator.server.serve", "--die-with-parent", "--order-from-stdin"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        try:
            return SimulatedServer(process, _wait_until_ready(process, order, errors))
        except BaseException:
            _end(process)
            raise


def _wait_until_ready(process: subprocess.Popen[bytes], order: StartOrder, errors: IO[bytes]) -> _Ready:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        process.stdin.flush()
        spoke, _, _ = select.select([process.stdout], [], [], _START_LIMIT_S)
        line = process.stdout.readline() if spoke else b""
    except BrokenPipeError:
        line = b""
    if line:
        return msgspec.json.decode(line, type=_Ready)
    _end(process)
    errors.seek(0)
    said = errors.read().decode(errors="replace").strip().splitlines()
    reason = said[-1] if said else f"no word from it within {_START_LIMIT_S:g} s"
    raise EndpointError(f"the simulated server did not start: {reason}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()

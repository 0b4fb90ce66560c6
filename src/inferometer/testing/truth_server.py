"""A paced truth server: an OpenAI-compatible server that says nothing of interest at exactly known times.

    python -m inferometer.testing.truth_server --port 8000 --ttft-ms 50 --itl-ms 20

It answers ``/v1/models``, ``/v1/chat/completions`` and ``/v1/completions``, logs on CLOCK_MONOTONIC when each chunk
left, and is fast enough not to be the limit of what is measured. What a client reports can be held against its log:
``GET /truth/log``, ``TruthServer.log()``. Binds to 127.0.0.1 only. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import os
import resource
import select
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from types import TracebackType
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferometer.errors import EndpointError
from inferometer.interpreter import own_program
from inferometer.testing.truth_answer import Voice
from inferometer.testing.truth_loop import LogRecord, Pace, TruthLoop

_START_LIMIT_S = 20.0
_STOP_LIMIT_S = 10.0
_LOG_LIMIT_S = 600.0
_PR_SET_PDEATHSIG = 1
_BACKLOG = 4096


@dataclass(frozen=True)
class TruthSettings:
    """How the truth server answers.

    Attributes:
        ttft_s: from the last byte of a request to its first content chunk, seconds.
        itl_s: between two content chunks, seconds, > 0 (see ``flood``).
        flood: no pace; the answer leaves as fast as the socket takes it. ``itl_s`` does not count then.
        model: the name of the model; clients that look for a local tokenizer need its directory here.
        processes: how many share the port.
        certificate: PEM file of certificate and chain, to speak TLS.
        key: PEM file of the certificate's key.
        log: keep the times of all chunks in memory, 8 bytes a chunk.
    """

    ttft_s: float = 0.05
    itl_s: float = 0.02
    flood: bool = False
    model: str = "truth"
    processes: int = 1
    certificate: str | None = None
    key: str | None = None
    log: bool = True


class RequestTruth(NamedTuple):
    """What the server did for one request; ns of CLOCK_MONOTONIC.

    Attributes:
        received_ns: when the last byte of the request had been read.
        due_ns: int64 per chunk, when it should leave.
        sent_ns: int64 per chunk, taken immediately before the ``send`` that carried its last byte.
    """

    received_ns: int
    due_ns: NDArray[np.int64]
    sent_ns: NDArray[np.int64]


class TruthServer:
    """A running truth server. Leaving its context stops it.

    Attributes:
        url: its address, without a path.
        pids: its processes.
    """

    def __init__(self, process: subprocess.Popen[bytes], url: str, own: list[tuple[int, str]]) -> None:
        self._process = process
        self._own_urls = [own_url for _pid, own_url in own]
        self.url = url
        self.pids = [pid for pid, _own_url in own]

    def log(self) -> dict[str, RequestTruth]:
        """What was done so far, by response id.

        Raises:
            OSError: a process of the server is gone.
        """
        return {identity: truth for url in self._own_urls for identity, truth in _truths(_ask(url, "GET"))}

    def forget(self) -> None:
        """Empty the log."""
        for url in self._own_urls:
            _ask(url, "DELETE")

    def stop(self) -> None:
        """End all processes and wait for them; may be called again."""
        _end(self._process)

    def __enter__(self) -> TruthServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_truth_server(settings: TruthSettings, cpu: int | None = None, port: int = 0) -> TruthServer:
    """Start the server and wait until it accepts connections (about 0.3 s). It ends with this process.

    Args:
        settings: how it answers.
        cpu: the core to keep all its processes on.
        port: 0 takes a free one.

    Raises:
        EndpointError: it did not start; its own words are on standard error.
    """
    flags = [
        "--port",
        str(port),
        "--ttft-ms",
        repr(settings.ttft_s * 1e3),
        "--itl-ms",
        repr(settings.itl_s * 1e3),
    ]
    flags += ["--model", settings.model, "--processes", str(settings.processes)]
    flags += ["--flood"] if settings.flood else []
    flags += [] if settings.log else ["--no-log"]
    flags += [] if cpu is None else ["--cpu", str(cpu)]
    if settings.certificate is not None and settings.key is not None:
        flags += ["--certificate", settings.certificate, "--key", settings.key]
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
        own_program("inferometer.testing.truth_server", *flags), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        lines = [_next_line(process) for _ in range(settings.processes + 1)]
    except BaseException:
        _end(process)
        raise
    own = [line.split() for line in lines[1:]]
    return TruthServer(process, lines[0].removeprefix("listening "), [(int(pid), url) for _, pid, url in own])


def _next_line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    text = b""
    while not text.endswith(b"\n"):
        spoke, _, _ = select.select([process.stdout], [], [], _START_LIMIT_S)
        part = os.read(process.stdout.fileno(), 1) if spoke else b""  # unbuffered, as select needs it
        if not part:
            raise EndpointError("the truth server did not start", "see what it wrote to standard error")
        text += part
    return text.decode().strip()


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


def _ask(url: str, method: str) -> bytes:
    """The log of one process."""
    parts = urlsplit(url)
    connection: HTTPConnection = HTTPConnection(parts.netloc, timeout=_LOG_LIMIT_S)
    if parts.scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # ours, on this machine: nothing to verify
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = HTTPSConnection(parts.netloc, timeout=_LOG_LIMIT_S, context=context)
    with contextlib.closing(connection):
        connection.request(method, "/truth/log")
        return connection.getresponse().read()


def decode_log(data: bytes) -> list[LogRecord]:
    """The records in the answer to ``GET /truth/log`` or in a file of ``--log``.

    Raises:
        msgspec.DecodeError: it is something else.
    """
    return msgspec.msgpack.decode(data, type=list[LogRecord])


def _truths(log: bytes) -> list[tuple[str, RequestTruth]]:
    return [(record.id, _truth(record)) for record in decode_log(log)]


def _truth(record: LogRecord) -> RequestTruth:
    sent_ns = np.frombuffer(record.sent, np.int64)
    due_ns = record.due_ns + record.itl_ns * np.arange(len(sent_ns), dtype=np.int64)
    return RequestTruth(record.received_ns, due_ns, sent_ns)


def _ignore_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM, SIGINT or the end of standard input; returns the exit status."""
    options = _flags().parse_args(argv)
    _keep_standard_input()
    if options.cpu:
        os.sched_setaffinity(0, set(options.cpu))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    tls = None
    if options.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.certificate, options.key)
    scheme = "https" if tls else "http"
    shared = _listen(options.port, options.processes)
    own = [socket.create_server(("127.0.0.1", 0)) for _ in shared]
    urls = [f"{scheme}://127.0.0.1:{sock.getsockname()[1]}" for sock in (shared[0], *own)]
    number, pids = _fork(options.processes)
    if number == 0:
        lines = [
            f"listening {urls[0]}",
            *(f"process {pid} {url}" for pid, url in zip(pids, urls[1:], strict=True)),
        ]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
    for other in range(options.processes):
        if other != number:
            shared[other].close()
            own[other].close()
    itl_ns = 0 if options.flood else max(1, round(options.itl_ms * 1e6))
    loop = TruthLoop(
        [shared[number], own[number]],
        Pace(round(options.ttft_ms * 1e6), itl_ns),
        Voice(options.model),
        str(number),
        not options.no_log,
        tls,
    )
    _serve(loop)
    if options.log:
        path = Path(options.log) / f"truth-{number}.msgpack"
        path.write_bytes(msgspec.msgpack.encode(loop.records()))
    for pid in pids[1:]:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
    return 0


def _serve(loop: TruthLoop) -> None:
    gc.collect()
    gc.disable()  # a pause would be in the truth
    # A signal only closes a pipe: an exception of its handler could fall between a write and its line in the log.
    asked, ask = os.pipe2(os.O_CLOEXEC)

    def stop(_signal: int, _frame: object) -> None:
        _ignore_signals()  # the first process ends the others while they may still write their logs
        os.close(ask)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    loop.end_with(asked)
    loop.end_with(0)
    loop.run()
    _ignore_signals()


def _keep_standard_input() -> None:
    """Open /dev/null as standard input if that is closed, so that no socket of ours takes its number."""
    try:
        os.fstat(0)
    except OSError:
        os.open(os.devnull, os.O_RDONLY)


def _listen(port: int, processes: int) -> list[socket.socket]:
    """One listening socket per process, all of the same port."""
    listeners: list[socket.socket] = []
    for _ in range(processes):
        number = listeners[0].getsockname()[1] if listeners else port
        listeners.append(
            socket.create_server(("127.0.0.1", number), backlog=_BACKLOG, reuse_port=processes > 1)
        )
    return listeners


def _fork(processes: int) -> tuple[int, list[int]]:
    """Become that many processes; which one this is, and in number 0 the pids of all."""
    pids = [os.getpid()]
    for number in range(1, processes):
        pid = os.fork()
        if pid == 0:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            return number, []
        pids.append(pid)
    return 0, pids


def _flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m inferometer.testing.truth_server",
        description="An OpenAI-compatible server that answers at known times and logs them. Binds to 127.0.0.1.",
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--ttft-ms", type=float, default=50.0, help="request to first chunk, ms (default 50)")
    parser.add_argument("--itl-ms", type=float, default=20.0, help="chunk to chunk, ms (default 20)")
    parser.add_argument("--flood", action="store_true", help="no pace: as fast as the client takes it")
    parser.add_argument("--model", default="truth", help="name of the model (default truth)")
    parser.add_argument("--processes", type=int, default=1, help="processes that share the port (default 1)")
    parser.add_argument("--cpu", type=int, nargs="*", help="cores to stay on")
    parser.add_argument("--certificate", help="PEM file, to speak TLS")
    parser.add_argument("--key", help="PEM file of the certificate's key")
    parser.add_argument("--no-log", action="store_true", help="keep no times; memory stays flat in long runs")
    parser.add_argument(
        "--log", metavar="DIR", help="write truth-N.msgpack there at the end, one per process"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""The paced truth server as a process beside us: start it, read what it logged, end it.

The server is ``inferometer.testing.truth_server``, which nothing in the core imports: what is known of it here is its
command line, the lines that it says first, and its log.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import IO
from urllib.parse import urlsplit

import msgspec
import numpy as np

from inferometer.checks.trial import Pace, Truth
from inferometer.errors import LoadgenError
from inferometer.interpreter import own_program

MODULE = "inferometer.testing.truth_server"
_START_LIMIT_S = 20.0
_STOP_LIMIT_S = 5.0
_ENDING_S = 1.0
_LOG_LIMIT_S = 30.0


class TruthRecord(msgspec.Struct, frozen=True):
    """One answer in the server's log; ns of CLOCK_MONOTONIC.

    Attributes:
        id: the response id.
        due_ns: when the first content chunk was due; the others follow every ``itl_ns``.
        sent: int64 per content chunk, native byte order: the time before the ``send`` that carried it.
    """

    id: str
    due_ns: int
    itl_ns: int
    sent: bytes


def parse_log(data: bytes) -> dict[str, Truth]:
    """What the server did, by response id, from the answer to ``GET /truth/log``.

    Raises:
        msgspec.DecodeError: it is something else.
    """
    found = {}
    for record in msgspec.msgpack.decode(data, type=list[TruthRecord]):
        sent_ns = np.frombuffer(record.sent, np.int64)
        due_ns = record.due_ns + record.itl_ns * np.arange(len(sent_ns), dtype=np.int64)
        found[record.id] = Truth(due_ns, sent_ns)
    return found


class TruthProcess:
    """A running truth server; leaving its context ends it.

    Args:
        pace: the times that it keeps.
        processes: how many share its port.
        cores: the cores that it stays on; empty = any.

    Attributes:
        url: its address.

    Raises:
        LoadgenError: it did not start; the message carries what it wrote to standard error.
    """

    def __init__(self, pace: Pace, processes: int = 1, cores: Sequence[int] = ()) -> None:
        flags = ["--port", "0", "--ttft-ms", repr(pace.ttft_s * 1e3), "--itl-ms", repr(pace.itl_s * 1e3)]
        flags += ["--processes", str(processes)]
        flags += ["--cpu", *map(str, cores)] if cores else []
        if not sys.platform.startswith("linux"):
            raise LoadgenError(
                f"the truth server runs on Linux only, and this is {sys.platform}", "calibrate on Linux"
            )
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
            own_program(MODULE, *flags),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the parent, which then ends the server
        )
        try:
            lines = [self._line() for _ in range(processes + 1)]
        except BaseException:
            self.stop()
            raise
        self.url = lines[0].removeprefix("listening ")
        self._own_urls = [line.split()[2] for line in lines[1:]]

    def __enter__(self) -> TruthProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def log(self) -> dict[str, Truth]:
        """What all its processes did so far, by response id.

        Raises:
            LoadgenError: the server is gone.
        """
        try:
            logs = [parse_log(_get(url)) for url in self._own_urls]
        except (OSError, HTTPException, msgspec.DecodeError) as error:
            raise LoadgenError(
                f"the truth server's log cannot be read: {error}{self._last_words()}", "calibrate again"
            ) from None
        return {identity: truth for log in logs for identity, truth in log.items()}

    def stop(self) -> None:
        """End it by closing its standard input, insist with a signal, and wait; may be called again."""
        process = self._process
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _line(self) -> str:
        """The next line that it says; read byte by byte, for ``select`` does not see what a buffer holds."""
        output: IO[bytes] | None = self._process.stdout
        assert output is not None
        text = b""
        while not text.endswith(b"\n"):
            spoke, _, _ = select.select([output], [], [], _START_LIMIT_S)
            part = os.read(output.fileno(), 1) if spoke else b""
            if not part:
                raise LoadgenError(f"the truth server did not start{self._last_words()}", "calibrate again")
            text += part
        return text.decode().strip()

    def _last_words(self) -> str:
        """What it wrote to standard error, if it has ended; its pipes close a moment before that."""
        errors = self._process.stderr
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING_S)
        if errors is None or self._process.poll() is None:
            return ""
        lines = errors.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""


def _get(url: str) -> bytes:
    with contextlib.closing(HTTPConnection(urlsplit(url).netloc, timeout=_LOG_LIMIT_S)) as connection:
        connection.request("GET", "/truth/log")
        return connection.getresponse().read()

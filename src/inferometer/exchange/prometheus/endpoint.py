"""A page of metrics on this machine: one thread that sleeps until somebody asks."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType

from inferometer.errors import UsageError
from inferometer.exchange.prometheus.exposition import Family, answer

PATH = "/metrics"
HOST = "127.0.0.1"
_PATIENCE_S = 2.0  # for one request of a client, which is answered before the next one's


class MetricsEndpoint:
    """Serves ``families`` at ``http://127.0.0.1:PORT/metrics`` from ``__enter__`` to ``__exit__``.

    Only GET and HEAD, only this machine. The thread waits in the kernel and does nothing while nobody asks.

    Args:
        port: 0 takes a free one.
        families: asked in the thread of the server whenever somebody fetches the page.

    Raises:
        UsageError: the port is taken, or may not be used.
    """

    def __init__(self, port: int, families: Callable[[], Sequence[Family]]) -> None:
        try:
            self._server = _Server(port, families)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "is taken" if taken else f"cannot be used: {os.strerror(error.errno or 0)}"
            raise UsageError(
                f"--prometheus-port {port}: the port {why} on {HOST}",
                "give another one; 0 takes a free one",
            ) from None
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="metrics", daemon=True)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self._server.server_address[1]}{PATH}"

    def __enter__(self) -> MetricsEndpoint:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; a request that is being answered has its answer first, if its client takes it soon."""
        self._wake.close()
        self._thread.join(_PATIENCE_S)
        self._woken.close()
        self._server.server_close()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._server, selectors.EVENT_READ)
            waiting.register(self._woken, selectors.EVENT_READ)
            while not any(key.fileobj is self._woken for key, _ in waiting.select()):
                self._server.handle_request()


class _Server(HTTPServer):
    timeout = 0  # of ``handle_request``: the socket is ready when it is called

    def __init__(self, port: int, families: Callable[[], Sequence[Family]]) -> None:
        self.families = families
        super().__init__((HOST, port), _Page)

    def server_bind(self) -> None:
        """Without the look-up of a host name that ``HTTPServer`` does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away, or sends nonsense, is no matter of the run."""


class _Page(BaseHTTPRequestHandler):
    timeout = _PATIENCE_S
    server: _Server
    server_version = "inferometer"
    sys_version = ""

    def do_GET(self) -> None:
        """The page."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Its headers."""
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(404, explain=f"the metrics are at {PATH}")
            return
        content, kind = answer(self.server.families(), self.headers.get("Accept", ""))
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged: stderr belongs to the run."""

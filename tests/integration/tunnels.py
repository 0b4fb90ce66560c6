"""A small HTTP proxy: CONNECT tunnels, and requests that name the whole address."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit


class SmallProxy:
    """Forwards bytes between its clients and what they ask for.

    Args:
        authorization: what Proxy-Authorization has to say; None = nothing.
        refuse: answer every request with this status line instead.

    Attributes:
        port: where it listens.
        asked: the first line of every request, in order.
    """

    def __init__(self, authorization: str | None = None, refuse: str | None = None) -> None:
        self._authorization = authorization
        self._refuse = refuse
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.asked: list[str] = []

    def _begin(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                self._begin(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            while (head := self._head(client)) is not None:
                if not self._answer(client, head):
                    return

    def _head(self, client: socket.socket) -> bytes | None:
        data = b""
        while b"\r\n\r\n" not in data:
            part = client.recv(65536)
            if not part:
                return None
            data += part
        return data

    def _answer(self, client: socket.socket, head: bytes) -> bool:
        first = head.split(b"\r\n")[0].decode()
        self.asked.append(first)
        method, where, _ = first.split()
        allowed = (
            self._authorization is None or f"Proxy-Authorization: {self._authorization}".encode() in head
        )
        refusal = self._refuse or (None if allowed else "407 Proxy Authentication Required")
        if refusal is not None:
            client.sendall(f"HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n".encode())
            return True
        parts = urlsplit(where if method != "CONNECT" else f"//{where}")
        server = socket.create_connection((parts.hostname or "", parts.port or 80))
        self._open.append(server)
        if method == "CONNECT":
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:  # one server for the whole connection, as these tests have only one
            server.sendall(head.replace(f"http://{parts.netloc}".encode(), b"", 1))
        self._begin(self._copy, server, client)
        self._copy(client, server, count=method != "CONNECT")
        return False

    def _copy(self, source: socket.socket, sink: socket.socket, count: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if count and data.startswith((b"POST http://", b"GET http://")):
                    self.asked.append(data.split(b"\r\n")[0].decode())
                    data = data.replace(b" http://" + data.split(b"/")[2], b" ", 1)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def small_proxy(authorization: str | None = None, refuse: str | None = None) -> Iterator[SmallProxy]:
    """A proxy on loopback that ends with the context."""
    proxy = SmallProxy(authorization, refuse)
    proxy._begin(proxy._accept)
    try:
        yield proxy
    finally:
        with contextlib.suppress(OSError):
            proxy._listener.shutdown(socket.SHUT_RDWR)
        proxy._listener.close()
        for each in list(proxy._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in list(proxy._threads):
            thread.join(5)
        for each in proxy._open:
            each.close()

"""Middleware for vLLM's server (``--middleware inferometer_edge.Edge``): when requests begin, when answers leave.

One JSON line per request goes to the file that EDGE_LOG names:

- ``id``: the answer's own name;
- ``begun_ns``: CLOCK_MONOTONIC when the handler was called;
- ``unread_ms``: how long ago, by the kernel, the last byte of the request had come in then (TCP_INFO,
  ``tcpi_last_data_recv``; in steps of the kernel's tick, so only means over many requests are exact), null where that
  is not known;
- ``sent_ns``: when each piece of the answer was handed to the socket.

It runs inside the engine's environment and imports nothing but the standard library.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
_LAST_DATA_RECV = 8 + 4 * 11  # offset in struct tcp_info (linux/tcp.h), a u32
_PATHS = ("/v1/completions", "/v1/chat/completions")


class Edge:
    """An ASGI application around another one, which it leaves as it is."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app
        self._log = Path(os.environ["EDGE_LOG"])
        self._descriptors: dict[tuple[str, int], int] = {}

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        """Pass one request on and note its times."""
        if scope["type"] != "http" or scope["path"] not in _PATHS:
            await self._app(scope, receive, send)
            return
        begun_ns = time.monotonic_ns()
        unread_ms = self._unread_ms(tuple(scope["client"]))
        first = b""
        sent_ns: list[int] = []

        async def note(message: Message) -> None:
            nonlocal first
            if message["type"] == "http.response.body" and message.get("body"):
                sent_ns.append(time.monotonic_ns())
                first = first or bytes(message["body"])
            await send(message)

        await self._app(scope, receive, note)
        told = {"id": _id(first), "begun_ns": begun_ns, "unread_ms": unread_ms, "sent_ns": sent_ns}
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")

    def _unread_ms(self, peer: tuple[str, int]) -> int | None:
        """Since when the data of the connection with ``peer`` has been there."""
        known = self._descriptors.get(peer)
        others = () if known is None else (known,)
        for descriptor in (*others, *(int(one.name) for one in Path("/proc/self/fd").iterdir())):
            try:
                connection = socket.socket(fileno=descriptor)
            except OSError:  # no socket, or the descriptor of the listing itself
                continue
            try:
                if connection.family == socket.AF_INET and connection.getpeername() == peer:
                    self._descriptors[peer] = descriptor
                    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)
                    return int(struct.unpack_from("I", info, _LAST_DATA_RECV)[0])
            except OSError:  # a listening socket, or one that has just been closed
                continue
            finally:
                connection.detach()  # it is the server's, not ours to close
        return None


def _id(event: bytes) -> str | None:
    try:
        found = json.loads(event.removeprefix(b"data: ").split(b"\n", 1)[0])
    except ValueError:
        return None
    return found.get("id") if isinstance(found, dict) else None

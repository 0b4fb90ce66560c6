"""The whole server in virtual time: real application, connection and engine; only clock and transport are ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from inferometer.clock import VirtualClock
from inferometer.simulator import SimSettings
from inferometer.simulator.server.app import SimulatorApp
from inferometer.simulator.server.http11 import HttpConnection


class MemoryTransport(asyncio.Transport):
    """Keeps what is written, with the time."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self.clock = clock
        self.writes: list[tuple[int, bytes]] = []
        self.closing = False
        self.reading = True

    def write(self, data: bytes) -> None:
        self.writes.append((self.clock.now_ns(), bytes(data)))

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class ManualAlarm:
    def __init__(self) -> None:
        self.due: tuple[int, Callable[[], None]] | None = None

    def set(self, deadline_ns: int, callback: Callable[[], None]) -> None:
        self.due = (deadline_ns, callback)

    def close(self) -> None:
        self.due = None


class Later:
    def __init__(self, at_ns: int, callback: Callable[[], None]) -> None:
        self.at_ns, self.callback, self.cancelled = at_ns, callback, False

    def cancel(self) -> None:
        self.cancelled = True


class Peer:
    """One client of the server."""

    def __init__(self, world: World) -> None:
        self.transport = MemoryTransport(world.clock)
        self.connection = HttpConnection(world.app, world.peers)
        self.connection.connection_made(self.transport)

    def send(self, data: bytes) -> None:
        self.connection.data_received(data)

    def post(self, path: str, body: Any, **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"POST {path} HTTP/1.1", "host: x", f"content-length: {len(raw)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + raw)

    def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        self.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        return self.reply()

    def lose(self) -> None:
        self.transport.closing = True
        self.connection.connection_lost(None)

    def take(self) -> bytes:
        data = b"".join(piece for _, piece in self.transport.writes)
        self.transport.writes.clear()
        return data

    def reply(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of all that was written since the last look."""
        head, _, body = self.take().partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        if headers.get("transfer-encoding") == "chunked":
            body = b"".join(chunks(body))
        else:
            assert len(body) == int(headers["content-length"])
        return int(status.split()[1]), headers, body


def chunks(raw: bytes) -> list[bytes]:
    """The HTTP chunks in ``raw``, which may break off."""
    found: list[bytes] = []
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        length = int(size, 16)
        assert raw[length : length + 2] == b"\r\n"
        if length:
            found.append(raw[:length])
        raw = raw[length + 2 :]
    return found


def events(body: bytes) -> list[Any]:
    """The data of each event, decoded; ``[DONE]`` as text."""
    parts = body.split(b"\n\n")
    assert parts.pop() == b""
    texts = [part.removeprefix(b"data: ") for part in parts]
    return [text.decode() if text == b"[DONE]" else json.loads(text) for text in texts]


class World:
    def __init__(self, settings: SimSettings) -> None:
        self.clock = VirtualClock(1_000_000_000)
        self.alarm = ManualAlarm()
        self.laters: list[Later] = []
        self.peers: set[HttpConnection] = set()
        self.app = SimulatorApp(settings, self.clock, self.alarm, self._call_later)

    def _call_later(self, delay_s: float, callback: Callable[[], None]) -> Later:
        self.laters.append(Later(self.clock.now_ns() + round(delay_s * 1e9), callback))
        return self.laters[-1]

    def peer(self) -> Peer:
        return Peer(self)

    def step(self) -> bool:
        """Go to the end of the step under way; False when there is none."""
        due, self.alarm.due = self.alarm.due, None
        if due is None:
            return False
        self.clock.advance_ns(due[0] - self.clock.now_ns())
        due[1]()
        return True

    def finish(self) -> None:
        """Go on until the engine has nothing to do."""
        while self.step():
            pass

    def metric(self, name: str) -> float:
        _, _, body = self.peer().get("/metrics")
        [line] = [line for line in body.decode().splitlines() if line.startswith(name + "{")]
        return float(line.rsplit(" ", 1)[1])

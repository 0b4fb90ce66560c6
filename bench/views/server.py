"""A server whose frames leave at exactly known times that make the tools' definitions differ visibly.

Each answer is a script of writes, in ms from when the request had been read. What a tool could take for another
thing lies at least 8 ms from it: the role frame comes long before the first output, the finish frame, the usage frame
and ``[DONE]`` each some time after the last output, and once in an answer two chunks leave in one write. Answers differ
in length, so that means, weights and percentiles differ; one has a single token, some begin with reasoning.

One thread a connection: it serves a handful of streams to prove definitions, it is no load target (see
``inferometer.testing.truth_server`` for that).
"""

from __future__ import annotations

import json
import socket
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

from inferometer.record.types import ChunkKind

MODEL = "truth"
NS_PER_MS = 1_000_000
ROLE_MS, FIRST_MS, FINISH_MS, USAGE_MS, DONE_MS = 20.0, 60.0, 12.0, 24.0, 40.0
_SPIN_NS = 300_000  # the scheduler wakes a sleeper later than asked; the rest is waited for awake


@dataclass(frozen=True)
class Frame:
    """One SSE event: when its write is due, what it is, how many tokens it brings."""

    at_ms: float
    kind: ChunkKind
    tokens: int | None = None


@dataclass
class Served:
    """One answer as it left: ns of CLOCK_MONOTONIC; frames with the same ``read`` left in one write."""

    received_ns: int
    tokens: int
    prompt_tokens: int
    frames: list[Frame]
    sent_ns: list[int] = field(default_factory=list)
    read: list[int] = field(default_factory=list)


def script(number: int, tokens: int) -> list[Frame]:
    """The frames of answer ``number``: ``tokens`` tokens, one a frame but for one frame of two."""
    slow = 3.0 * (number % 5)
    gap = 12.0 + number % 3
    at = FIRST_MS + slow
    frames = [Frame(ROLE_MS + slow, ChunkKind.ROLE)]
    sizes = [1] * tokens if tokens < 4 else [1, 2, *[1] * (tokens - 3)]
    thinking = 2 if number % 3 == 2 and tokens > 4 else 0
    for place, size in enumerate(sizes):
        kind = ChunkKind.REASONING if place < thinking else ChunkKind.CONTENT
        frames.append(Frame(at, kind, size))
        at += 0.0 if place == 3 else gap  # the fifth leaves with the fourth
    last = frames[-1].at_ms
    frames.append(Frame(last + FINISH_MS, ChunkKind.OTHER))
    frames.append(Frame(last + USAGE_MS, ChunkKind.USAGE))
    frames.append(Frame(last + DONE_MS, ChunkKind.DONE))
    return frames


class ScriptServer:
    """Serves on 127.0.0.1 until its context is left.

    Args:
        lengths: output tokens of the answers, in the order of the requests; after the last it begins anew.

    Attributes:
        url: address without a path.
        log: every answer given, in the order of the requests.
    """

    def __init__(self, lengths: tuple[int, ...]) -> None:
        self._lengths = lengths
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self.log: list[Served] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> ScriptServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        incoming = b""
        with connection:
            while True:
                while b"\r\n\r\n" not in incoming:
                    part = connection.recv(65536)
                    if not part:
                        return
                    incoming += part
                head, _, incoming = incoming.partition(b"\r\n\r\n")
                length = _content_length(head)
                while len(incoming) < length:
                    part = connection.recv(65536)
                    if not part:
                        return
                    incoming += part
                body, incoming = incoming[:length], incoming[length:]
                received_ns = time.monotonic_ns()
                if not head.startswith(b"POST"):
                    connection.sendall(_plain({"object": "list", "data": [{"id": MODEL, "object": "model"}]}))
                else:
                    self._answer(connection, len(body), received_ns)

    def _answer(self, connection: socket.socket, size: int, received_ns: int) -> None:
        with self._lock:
            number = len(self.log)
            tokens = self._lengths[number % len(self._lengths)]
            served = Served(received_ns, tokens, 16 + number % 4, script(number, tokens))
            self.log.append(served)
        connection.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        due: dict[float, list[Frame]] = {}
        for frame in served.frames:
            due.setdefault(frame.at_ms, []).append(frame)
        for write, (at_ms, frames) in enumerate(due.items()):
            data = b"".join(_http_chunk(_event(frame, served)) for frame in frames)
            if frames[-1].kind is ChunkKind.DONE:
                data += b"0\r\n\r\n"
            _wait_until(received_ns + round(at_ms * NS_PER_MS))
            left_ns = time.monotonic_ns()
            connection.sendall(data)
            served.sent_ns += [left_ns] * len(frames)
            served.read += [write] * len(frames)


def _wait_until(moment_ns: int) -> None:
    left_ns = moment_ns - time.monotonic_ns()
    if left_ns > _SPIN_NS:
        time.sleep((left_ns - _SPIN_NS) / 1e9)
    while time.monotonic_ns() < moment_ns:
        pass


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


def _event(frame: Frame, served: Served) -> bytes:
    if frame.kind is ChunkKind.DONE:
        return b"data: [DONE]\n\n"
    total = served.prompt_tokens + served.tokens
    usage = {
        "prompt_tokens": served.prompt_tokens,
        "completion_tokens": served.tokens,
        "total_tokens": total,
    }
    delta, finish = _delta(frame)
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    event: dict[str, object] = {"id": "script", "object": "chat.completion.chunk", "created": 1_700_000_000}
    event |= {"model": MODEL, "choices": choices}
    if frame.kind is ChunkKind.USAGE:
        event |= {"choices": [], "usage": usage}
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def _delta(frame: Frame) -> tuple[dict[str, str], str | None]:
    words = " the" * (frame.tokens or 0)
    if frame.kind is ChunkKind.ROLE:
        return {"role": "assistant", "content": ""}, None
    if frame.kind is ChunkKind.REASONING:
        return {"reasoning_content": words}, None
    if frame.kind is ChunkKind.CONTENT:
        return {"content": words}, None
    return {}, "length"


def _http_chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def _plain(body: object) -> bytes:
    data = json.dumps(body).encode()
    return (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n".encode()
        + data
    )

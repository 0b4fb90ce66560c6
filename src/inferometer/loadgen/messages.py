"""What the parent and a worker process say to each other: length-prefixed MessagePack over the worker's pipes.

Nothing is said per request: requests go to the worker in batches, and the worker reports about four times a second.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

from inferometer.client.target import Target
from inferometer.loadgen.progress import Progress
from inferometer.record.types import PointRecord

_LENGTH = struct.Struct("<I")


class Setup(msgspec.Struct, frozen=True, tag="setup"):
    """First message to a worker: where to send and where to write."""

    target: Target
    journal: str
    worker: int
    dialect: str
    tokenizer: str
    keep_text: bool
    cpu: int | None = None  # the core to run on


class WireRequest(msgspec.Struct, frozen=True, array_like=True):
    """One encoded request: its body and what the record must know of it."""

    body: bytes
    row: int | None = None
    session: str | None = None
    turn: int = 0
    input_tokens_target: int | None = None
    input_tokens_client: int | None = None
    output_tokens_target: int | None = None
    prompt: str | None = None


class StartPoint(msgspec.Struct, frozen=True, tag="start", kw_only=True):
    """A load point is to be prepared; ``requests`` is the worker's first batch.

    ``point`` and ``load`` are of the whole point; the worker's share follows from its number and
    ``point.workers``.
    """

    point: PointRecord
    load: dict[str, Any]  # LoadPoint fields
    path: str
    stream: bool
    grace_s: float
    requests: list[WireRequest]
    complete: bool  # whether ``requests`` are all there will be
    points_total: int
    title: str


class Go(msgspec.Struct, frozen=True, tag="go"):
    """All workers are ready: the load point begins at this instant, the same for each of them."""

    epoch_ns: int  # CLOCK_MONOTONIC, a moment ahead


class MoreRequests(msgspec.Struct, frozen=True, tag="more"):
    """A further batch, sent when the worker has asked for it."""

    requests: list[WireRequest]
    complete: bool


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """End the point: ``level`` 1 lets requests in flight finish, 2 ends them at once."""

    level: int


class Status(msgspec.Struct, frozen=True, tag="status"):
    """From the worker: how far it is."""

    progress: Progress


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """From the worker: prepared and connected; it waits for ``Go``."""


class Need(msgspec.Struct, frozen=True, tag="need"):
    """From the worker: send the next batch."""


class PointDone(msgspec.Struct, frozen=True, tag="done"):
    """From the worker: its share of the point has ended; everything is in the journal."""

    point: PointRecord


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """From the worker: it cannot go on."""

    message: str
    next_step: str


ToWorker = Setup | StartPoint | Go | MoreRequests | Stop
FromWorker = Status | Ready | Need | PointDone | Failed

_encoder = msgspec.msgpack.Encoder()


def pack(message: ToWorker | FromWorker) -> bytes:
    """A message ready for the pipe."""
    payload = _encoder.encode(message)
    return _LENGTH.pack(len(payload)) + payload


class Inbox:
    """Takes bytes of a pipe, gives whole messages.

    Args:
        kind: the union of messages that may arrive.
    """

    def __init__(self, kind: Any) -> None:
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(kind)
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """The messages that are complete with ``data``."""
        self._bytes += data
        messages = []
        while len(self._bytes) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._bytes)[0]
            if len(self._bytes) < end:
                break
            messages.append(self._decoder.decode(self._bytes[_LENGTH.size : end]))
            del self._bytes[:end]
        return messages

"""What the parent and a worker process say to each other: length-prefixed MessagePack over the worker's pipes.

Nothing is said per request: requests go to the worker in batches, and the worker reports about four times a second.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

from inferometer.client.dialects import BodyOptions
from inferometer.client.target import Target
from inferometer.loadgen.progress import Progress
from inferometer.record.types import PointRecord, StopReason
from inferometer.workload import Turn

_LENGTH = struct.Struct("<I")
_TURN_BYTES = 200  # of a later turn, without its text


class Setup(msgspec.Struct, frozen=True, tag="setup"):
    """First message to a worker: where to send and where to write."""

    target: Target
    journal: str
    worker: int
    dialect: str
    tokenizer: str
    keep_text: bool
    cpu: int | None = None  # the core to run on
    template: str | None = None  # the file of the dialect that needs one


class Later(msgspec.Struct, frozen=True, array_like=True):
    """What follows a turn of a session once it is answered.

    Attributes:
        messages: what the turn's body holds.
        turns: those that are still to come, the next one first; at least one.
    """

    messages: list[dict[str, Any]]
    turns: list[Turn]


class WireRequest(msgspec.Struct, frozen=True, array_like=True):
    """One encoded request: its body and what the record must know of it.

    Attributes:
        model: whom it asks, where the data set decides that.
        index: its number in the load point, where sessions make that differ from the schedule's count.
        later: what follows it in its session; None for a single request and for a last turn.
        images: pictures and videos in it.
        image_bytes: what they take of the body.
        path: where it goes, if not where all others go.
        echoed: how many of its characters the answer repeats.
    """

    body: bytes
    row: int | None = None
    session: str | None = None
    turn: int = 0
    input_tokens_target: int | None = None
    input_tokens_client: int | None = None
    output_tokens_target: int | None = None
    prompt: str | None = None
    model: str | None = None
    index: int | None = None
    later: Later | None = None
    images: int = 0
    image_bytes: int = 0
    path: str | None = None
    echoed: int = 0

    @property
    def weight(self) -> int:
        """About how many bytes it takes up, what is to follow it included."""
        if self.later is None:
            return len(self.body)
        return 2 * len(self.body) + sum(
            _TURN_BYTES + _characters((turn.content, turn.reply)) for turn in self.later.turns
        )


def _characters(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return sum(map(_characters, parts))


class Conversation(msgspec.Struct, frozen=True):
    """How a worker makes the later turns of sessions.

    Attributes:
        options: what all bodies of the load point have in common.
        recorded: repeat the data set's answers rather than the server's own.
        keep_text: whether records have their prompts.
    """

    options: BodyOptions
    recorded: bool = False
    keep_text: bool = False


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
    conversation: Conversation | None = None  # None: no request has later turns
    recorded: bytes = b""  # all arrivals of a replayed trace, see schedule.pack_offsets


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
    reason: StopReason = "interrupted"


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


def pack(message: msgspec.Struct) -> bytes:
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

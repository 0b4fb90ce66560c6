"""The dialect seam."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from inferometer.record.types import ChunkKind
from inferometer.workload.request import Request


class BodyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is the same for all requests of a load point. Absent values are not sent."""

    model: str
    stream: bool = True
    max_tokens: int | None = None
    default_max_tokens: int | None = None  # for requests that have no answer length of their own
    min_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] = []
    ignore_eos: bool = False
    extra_body: dict[str, Any] = {}


class Usage(NamedTuple):
    """Token counts as the server reports them; None = not reported."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None


class Delta(NamedTuple):
    """What one stream event, or one whole reply, carried."""

    kind: ChunkKind
    text: str = ""
    token_ids: int | None = None  # number of token ids, where the server sends them
    finish_reason: str | None = None
    usage: Usage | None = None
    error: str | None = None


class Deltas(NamedTuple):
    """What some stream events in a row carried, in columns.

    Attributes:
        texts: text of each event.
        kinds: ``ChunkKind`` of each event.
        more: by place, the whole delta of each event that carried more than its kind and its text.
    """

    texts: list[str]
    kinds: bytearray
    more: dict[int, Delta]


class Dialect(Protocol):
    """How one API is spoken. Stateless.

    A dialect may also have ``events(self, data: list[bytes]) -> Deltas``, which must say the same as ``event``
    for each of these events, all without a type: it saves the cost of a call and a ``Delta`` per event.
    """

    path: str

    def body(self, request: Request, options: BodyOptions) -> bytes:
        """The JSON body of a request."""
        ...

    def event(self, data: bytes, name: bytes) -> Delta:
        """What one event of a stream carries; ``data`` is the event's data, ``name`` its type."""
        ...

    def reply(self, body: bytes) -> Delta:
        """What a whole, not streamed, reply carries.

        Raises:
            ValueError: the body is not a reply of this API.
        """
        ...

    def response_id(self, data: bytes) -> str | None:
        """The server's own name for the answer, as an event or a whole reply gives it; None if it does not."""
        ...


def understand(dialect: Dialect, data: list[bytes], names: dict[int, bytes]) -> Deltas:
    """What some stream events in a row carried; ``names`` are their types by place, where they have one."""
    bulk: Callable[[list[bytes]], Deltas] | None = getattr(dialect, "events", None)
    if bulk is not None and not names:
        return bulk(data)
    more = {place: dialect.event(event, names.get(place, b"")) for place, event in enumerate(data)}
    return Deltas(
        [delta.text for delta in more.values()], bytearray(delta.kind for delta in more.values()), more
    )

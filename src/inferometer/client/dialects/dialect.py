"""The dialect seam."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from inferometer.client.dialects.capability import Capability
from inferometer.record.types import ChunkKind
from inferometer.workload.request import Request


class BodyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is the same for all requests of a load point. Absent values are not sent."""

    model: str
    stream: bool = True
    endpoint: str | None = None  # the path, where it is not the dialect's
    max_tokens: int | None = None
    default_max_tokens: int | None = None  # for requests that have no answer length of their own
    min_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] = []
    ignore_eos: bool = False
    extra_body: dict[str, Any] = {}

    def answer_tokens(self, request: Request) -> int | None:
        """How long the answer to ``request`` may be."""
        return self.max_tokens or request.output_tokens_target or self.default_max_tokens


class Usage(NamedTuple):
    """Token counts as the server reports them; None = not reported."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    accepted_draft_tokens: int | None = None  # output tokens that came from a draft (speculative decoding)


class Delta(NamedTuple):
    """What one stream event, or one whole reply, carried."""

    kind: ChunkKind
    text: str = ""
    token_ids: int | None = None  # number of token ids, where the server sends them
    finish_reason: str | None = None
    usage: Usage | None = None
    error: str | None = None
    last: bool = False  # the answer is complete, where the API says so without a reason


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


class Reader(Protocol):
    """Reads the events of one stream, in their order; it may keep state.

    A reader may also have ``events(self, data: list[bytes]) -> Deltas``, which must say the same as ``event``
    for each of these events, all without a type: it saves the cost of a call and a ``Delta`` per event.
    """

    def event(self, data: bytes, name: bytes) -> Delta:
        """What one event of a stream carries; ``data`` is the event's data, ``name`` its type."""
        ...


class Dialect(Protocol):
    """How one API is spoken. Stateless; what has to be remembered during an answer is in its reader.

    ``JsonDialect`` gives all but ``event`` and ``reply`` from the capability.
    """

    capability: Capability

    def path_for(self, model: str, stream: bool, token_ids: bool = False) -> str:
        """The path below the server's address for prompts given as text or as token ids."""
        ...

    def body(self, request: Request, options: BodyOptions) -> bytes:
        """The JSON body of a request."""
        ...

    def echoed(self, request: Request) -> int:
        """How many characters of the request its answer will repeat before the output."""
        ...

    def reader(self, echoed: int = 0) -> Reader:
        """For one answer, which repeats so many characters of its request."""
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


def path_of(dialect: Dialect, request: Request | None, options: BodyOptions) -> str:
    """Where a request goes; None stands for one that is nothing special."""
    if options.endpoint is not None:
        return options.endpoint
    model = (request.model if request is not None else None) or options.model
    return dialect.path_for(model, options.stream, request is not None and request.token_ids is not None)


def understand(reader: Reader, data: list[bytes], names: dict[int, bytes]) -> Deltas:
    """What some stream events in a row carried; ``names`` are their types by place, where they have one."""
    bulk: Callable[[list[bytes]], Deltas] | None = getattr(reader, "events", None)
    if bulk is not None and not names:
        return bulk(data)
    more = {place: reader.event(event, names.get(place, b"")) for place, event in enumerate(data)}
    return Deltas(
        [delta.text for delta in more.values()], bytearray(delta.kind for delta in more.values()), more
    )

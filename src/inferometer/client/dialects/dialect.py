"""The dialect seam."""

from __future__ import annotations

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


class Dialect(Protocol):
    """How one API is spoken. Stateless."""

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

"""Faults that the simulated server commits on request, to try out how a client takes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

FaultKind = Literal[
    "status",
    "hang",
    "cut",
    "slow_first_byte",
    "error_event",
    "coalesce",
    "no_usage",
    "no_done",
    "html",
    "not_stream",
]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault. A field that its kind does not use has no effect.

    Kinds: ``status`` answers with ``status`` and ``body`` (or a page, with ``html``); ``hang`` never answers;
    ``cut`` closes the connection after ``after_tokens``; ``slow_first_byte`` waits ``delay_s`` before the
    request reaches the engine; ``error_event`` reports an error inside the stream after ``after_tokens``;
    ``coalesce`` puts ``tokens`` events into one write; ``no_usage`` and ``no_done`` leave that frame out;
    ``html`` answers 200 with a page; ``not_stream`` answers with plain JSON although a stream was asked for.
    """

    kind: FaultKind
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 500
    body: str | None = None
    html: bool = False
    after_tokens: Annotated[int, msgspec.Meta(ge=0)] = 8
    delay_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 1.0
    tokens: Annotated[int, msgspec.Meta(ge=1)] = 4
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0  # of the requests that could meet it

    @property
    def breaks_at(self) -> int | None:
        """Tokens after which the answer breaks off; None when this fault lets it run to its end."""
        return self.after_tokens if self.kind in ("cut", "error_event") else None


def fault_from(value: Any) -> Fault:
    """The fault that ``value``, decoded from JSON, describes.

    Raises:
        msgspec.ValidationError: unknown kind or field, or a value out of range; names the field.
    """
    return msgspec.convert(value, Fault)

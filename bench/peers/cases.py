"""The loads under which load generators are compared."""

from __future__ import annotations

from dataclasses import dataclass

INPUT_TOKENS = (
    16  # short prompts: what is compared is receiving, and every peer makes its prompts in another way
)


@dataclass(frozen=True)
class Case:
    """One load on the truth server.

    Attributes:
        name: how results are filed.
        title: for people.
        requests: how many are asked for.
        tokens: content chunks per answer.
        streams: requests in flight (closed loop); None = open loop.
        rate: Poisson arrivals per second (open loop); None = closed loop.
        itl_ms: gap between two chunks of the server; None = a flood, as fast as the client takes it.
        ttft_ms: from request to first chunk.
    """

    name: str
    title: str
    requests: int
    tokens: int
    streams: int | None = None
    rate: float | None = None
    itl_ms: float | None = None
    ttft_ms: float = 50.0


# four requests, one after the other: what a tool's start and end cost, to be taken off its other cases
START = Case("start-1x16", "start and end: 4 requests of 16 tokens", 4, 16, streams=1, itl_ms=20.0)

CASES = (
    START,
    Case("closed-512x256", "512 streams x 256 tokens, 20 ms apart", 1536, 256, streams=512, itl_ms=20.0),
    Case("closed-2000x128", "2,000 streams x 128 tokens, 50 ms apart", 4000, 128, streams=2000, itl_ms=50.0),
    Case("flood-64x512", "flood, 64 streams x 512 tokens", 3200, 512, streams=64),
    Case("open-2000x4", "open loop, 2,000 requests/s x 4 tokens, 10 s", 20_000, 4, rate=2000.0, itl_ms=20.0),
)

# the same shapes, only to see that everything works
QUICK_CASES = (
    START,
    Case("closed-512x256", "32 streams x 32 tokens, 20 ms apart", 64, 32, streams=32, itl_ms=20.0),
    Case("closed-2000x128", "64 streams x 16 tokens, 50 ms apart", 128, 16, streams=64, itl_ms=50.0),
    Case("flood-64x512", "flood, 16 streams x 64 tokens", 64, 64, streams=16),
    Case("open-2000x4", "open loop, 50 requests/s x 4 tokens, 2 s", 100, 4, rate=50.0, itl_ms=20.0),
)

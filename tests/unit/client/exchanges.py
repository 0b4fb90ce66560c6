"""Finished exchanges without a socket."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from inferometer.client.exchange import Exchange

MS = 1_000_000


def answered(sends: Iterable[tuple[float, bytes]], *, index: int = 0, lag_ns: int = 1000) -> Exchange:
    """An exchange sent at 0 whose answer came in reads of ``(at_ms, bytes)`` and ended with the last of them."""
    exchange = Exchange(index, b"POST", 0)
    exchange.sent_ns = 0
    for at_ms, data in sends:
        exchange.framer.feed(data)
        exchange.bytes_in += len(data)
        exchange.at_ns.append(round(at_ms * MS))
        exchange.lag_ns.append(lag_ns)
        exchange.upto.append(len(exchange.body))
        exchange.end_ns = round(at_ms * MS)
    return exchange


def run_to_end(steps: Any) -> Any:
    """The value that a generator returns at its end."""
    kept = []

    def keep() -> Any:
        kept.append((yield from steps))

    for _ in keep():
        continue
    return kept[0]

"""Finished streams that wait to be decoded and journalled: done when nothing else waits, within bounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator

from inferometer.client.exchange import Exchange
from inferometer.record.types import ChunkColumns, RequestRecord

MAX_BYTES = 64 << 20
MAX_AGE_NS = 250_000_000

Decoded = tuple[RequestRecord, ChunkColumns]
Decoding = Generator[None, None, Decoded]


class Backlog:
    """Decodes finished exchanges in small steps, first in, first out; those that press go first.

    Args:
        decode: begins to decode one exchange.
        store: takes a decoded request; called once per exchange.

    Attributes:
        peak_bytes: most bytes that ever waited.
        peak_age_ns: longest time an exchange waited, measured from the end of its message.
    """

    def __init__(
        self, decode: Callable[[Exchange], Decoding], store: Callable[[Exchange, Decoded], None]
    ) -> None:
        self._decode = decode
        self._store = store
        self._waiting: deque[Exchange] = deque()
        self._pressing: deque[Exchange] = deque()
        self._current: tuple[Exchange, Decoding] | None = None
        self._current_presses = False
        self._aside: tuple[Exchange, Decoding] | None = None  # begun, then interrupted by one that presses
        self._bytes = 0
        self.peak_bytes = 0
        self.peak_age_ns = 0

    def __bool__(self) -> bool:
        return bool(self._waiting or self._pressing) or self._current is not None

    def add(self, exchange: Exchange, *, presses: bool = False) -> None:
        """Queue a finished exchange; one that ``presses`` is waited for, and goes before those that do not."""
        (self._pressing if presses else self._waiting).append(exchange)
        self._bytes += exchange.bytes_in
        self.peak_bytes = max(self.peak_bytes, self._bytes)

    @property
    def full(self) -> bool:
        """Whether too many bytes wait: decoding goes before the sockets then, or memory would run out."""
        return self._bytes > MAX_BYTES

    @property
    def pressing(self) -> bool:
        """Whether one waits that presses, so that each look at the sockets is followed by a step."""
        return self._current_presses or bool(self._pressing)

    @property
    def bare(self) -> bool:
        """Whether the next exchange brought nothing to decode, as a refused one: such can end as fast as they begin."""
        waiting = self._pressing or self._waiting
        return self._current is None and bool(waiting) and not waiting[0].bytes_in

    def overdue(self, now_ns: int) -> bool:
        """Whether an exchange waits too long, so that a step must be taken even while the sockets are busy."""
        begun = self._aside or self._current
        oldest = begun[0] if begun else self._waiting[0] if self._waiting else None
        return oldest is not None and now_ns - (oldest.end_ns or now_ns) > MAX_AGE_NS

    def step(self, now_ns: int) -> None:
        """Decode one step of what presses, else of the oldest exchange; store it when that was its last."""
        if self._pressing and not self._current_presses:
            self._aside, self._current_presses = self._current, True
            self._begin(self._pressing.popleft())
        elif self._current is None:
            if not self._waiting:
                return
            self._begin(self._waiting.popleft())
        assert self._current is not None
        exchange, decoding = self._current
        try:
            next(decoding)
        except StopIteration as finished:
            self._current, self._aside, self._current_presses = self._aside, None, False
            self._bytes -= exchange.bytes_in
            self.peak_age_ns = max(self.peak_age_ns, now_ns - (exchange.end_ns or now_ns))
            self._store(exchange, finished.value)

    def _begin(self, exchange: Exchange) -> None:
        self._current = (exchange, self._decode(exchange))

    def drain(self, now_ns: Callable[[], int]) -> None:
        """Decode all that waits."""
        while self:
            self.step(now_ns())

"""A request whose answer is given up once enough of it has arrived: the client then closes the connection."""

from __future__ import annotations

from inferometer.client.exchange import Exchange, Read
from inferometer.client.framing import Framing

_BLANK_LINES = (b"\n\n", b"\r\n\r\n")


class AbandonedError(Exception):
    """Enough of the answer has arrived; the text says how much that is."""


class AbandonedExchange(Exchange):
    """Raises ``AbandonedError`` out of ``take`` once so many events have arrived, unless the answer has ended.

    Each of its reads is taken apart at once. Events are counted by the blank lines between them, or, in streams that
    are no server-sent events, by reads.

    Attributes:
        most: how many events are waited for.
        framing: how events follow one another.
    """

    __slots__ = ("_counted", "_upto", "framing", "most")

    def __init__(
        self, index: int, wire: bytes, planned_ns: int, queued_ns: int | None = None, rest: bytes = b""
    ) -> None:
        super().__init__(index, wire, planned_ns, queued_ns, rest)
        self.most = 1
        self.framing: Framing = "sse"
        self._counted = self._upto = 0

    def keep(self, at_ns: int, lag_ns: int, data: bytes | bytearray, size: int) -> bool:
        """Never on the log: how much has arrived must be known at once."""
        return False

    def take(self, read: Read) -> int | None:
        """As for any exchange.

        Raises:
            AbandonedError: enough has arrived.
        """
        ended_ns = super().take(read)
        if ended_ns is None and self._events() >= self.most:
            raise AbandonedError(f"given up by the client after {self.most} events of the answer, as asked")
        return ended_ns

    def _events(self) -> int:
        if self.framing != "sse":
            return len(self.at_ns)
        body = self.body
        for line in _BLANK_LINES:
            # A blank line that was not whole before begins at most so far back.
            self._counted += body.count(line, max(0, self._upto - len(line) + 1))
        self._upto = len(body)
        return self._counted

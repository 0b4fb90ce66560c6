"""One request and its response while they are on the wire: bytes with the times of their reads, undecoded."""

from __future__ import annotations

from array import array

from inferometer.client.http1 import Framer
from inferometer.record.types import Status

# One socket read: receive time, our delay after the kernel's stamp (-1 = unknown), bytes.
Read = tuple[int, int, bytes]


class Exchange:
    """A request on its way. Times are CLOCK_MONOTONIC ns, None until they happen.

    ``failure`` is None while nothing went wrong on the wire; what the bytes mean is decided afterwards by
    ``inferometer.client.decode``. Reads are kept as flat columns, so that 10,000 long streams cost little more
    than their bytes: the body byte at offset ``at`` came with the first read whose ``upto`` is larger.

    A read of a chunked body that cannot be its last is only put on ``pending``, since all that can be done at once
    for many reads is cheaper than for each alone; ``take_apart`` catches up.

    Attributes:
        pending: (receive time, lag, bytes) of the reads that were not yet taken apart.
        body: what has arrived of the body, without its chunk framing.
        at_ns: receive time of each read: the kernel's for its last segment, or ours right after the read.
        lag_ns: our read minus the kernel's time; -1 where the kernel gave none.
        upto: length of ``body`` after each read.
        late: reads of a turn that came late, by number, and by how many ns at most. Several events that such a
            read brings may have arrived at any time in that span, for the kernel keeps the last segment's time.
        bytes_out: length of the request.
        bytes_in: bytes of the response on the wire, decrypted.
        reused: sent on a connection that had carried another exchange.
    """

    __slots__ = (
        "at_ns",
        "body",
        "bytes_in",
        "bytes_out",
        "connect_end_ns",
        "connect_start_ns",
        "end_ns",
        "failure",
        "failure_text",
        "framer",
        "index",
        "lag_ns",
        "late",
        "pending",
        "planned_ns",
        "queued_ns",
        "reused",
        "sent_ns",
        "upto",
        "wire",
    )

    def __init__(self, index: int, wire: bytes, planned_ns: int, queued_ns: int | None = None) -> None:
        self.index = index
        self.wire = wire
        self.bytes_out = len(wire)
        self.planned_ns = planned_ns
        self.queued_ns = queued_ns
        self.connect_start_ns: int | None = None
        self.connect_end_ns: int | None = None
        self.reused = False
        self.sent_ns: int | None = None
        self.end_ns: int | None = None
        self.pending: list[Read] = []
        self.body = bytearray()
        self.framer = Framer(self.body)
        self.at_ns: array[int] = array("q")
        self.lag_ns: array[int] = array("q")
        self.upto: array[int] = array("q")
        self.late: dict[int, int] = {}
        self.bytes_in = 0
        self.failure: Status | None = None
        self.failure_text: str | None = None

    @property
    def reads(self) -> int:
        """Number of reads so far."""
        return len(self.at_ns) + len(self.pending)

    @property
    def heard_ns(self) -> int | None:
        """When the last byte arrived, or the first was sent; None before that."""
        if self.pending:
            return self.pending[-1][0]
        return self.at_ns[-1] if self.at_ns else self.sent_ns

    def take_apart(self) -> int | None:
        """Bring body and columns up to date.

        Returns:
            The receive time of the read that completed the message; None while it is not complete.

        Raises:
            ProtocolError: the bytes are not HTTP/1.x.
        """
        if not self.pending:
            return None
        at_ns, lag_ns, data = zip(*self.pending, strict=True)
        self.pending = []
        self.wire = b""  # the server has it, so it will not be sent again; a prompt may be large
        self.at_ns.extend(at_ns)
        self.lag_ns.extend(lag_ns)
        self.bytes_in += sum(map(len, data))
        feed, body, upto = self.framer.feed, self.body, self.upto.append
        ended_ns: int | None = None
        try:
            for number, part in enumerate(data):
                if feed(part):
                    ended_ns = at_ns[number]
                upto(len(body))
        finally:
            while len(self.upto) < len(self.at_ns):
                upto(len(body))
        return ended_ns

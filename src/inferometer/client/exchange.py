"""One request and its response while they are on the wire: raw reads with times, nothing decoded."""

from __future__ import annotations

from typing import NamedTuple

from inferometer.client.http1 import Framer
from inferometer.record.types import Status


class Read(NamedTuple):
    """One socket read: receive time, our own delay after the kernel's stamp (-1 = unknown), and the bytes."""

    at_ns: int
    lag_ns: int
    data: bytes


class Exchange:
    """A request on its way. Times are CLOCK_MONOTONIC ns, None until they happen.

    ``failure`` is None while nothing went wrong on the wire; what the bytes mean is decided afterwards by
    ``inferometer.client.decode``.
    """

    __slots__ = (
        "bytes_in",
        "connect_end_ns",
        "connect_start_ns",
        "end_ns",
        "failure",
        "failure_text",
        "framer",
        "index",
        "planned_ns",
        "queued_ns",
        "reads",
        "reused",
        "sent_ns",
        "wire",
    )

    def __init__(self, index: int, wire: bytes, planned_ns: int, queued_ns: int | None = None) -> None:
        self.index = index
        self.wire = wire
        self.planned_ns = planned_ns
        self.queued_ns = queued_ns
        self.connect_start_ns: int | None = None
        self.connect_end_ns: int | None = None
        self.reused = False  # sent on a connection that had carried another exchange
        self.sent_ns: int | None = None
        self.end_ns: int | None = None
        self.reads: list[Read] = []
        self.bytes_in = 0
        self.framer = Framer()
        self.failure: Status | None = None
        self.failure_text: str | None = None

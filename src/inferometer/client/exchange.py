"""One request and its response while they are on the wire: bytes with the times of their reads, undecoded."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable

from inferometer.client.http1 import Framer
from inferometer.record.types import Status

# Room for the reads of one answer that are taken apart together, some eight of the usual size.
LOG_BYTES = 2048
_MARK = "qqi"  # receive time, lag, number of bytes, in front of the bytes of each read
_unpack_mark, _MARK_BYTES = struct.Struct(_MARK).unpack_from, struct.calcsize(_MARK)
# One socket read: receive time, our delay after the kernel's stamp (-1 = unknown), bytes.
Read = tuple[int, int, bytes]
_FIRST_ROOMS = 32
_SHORT_READ_BYTES = 8
_CR = 13
NO_LOG = bytearray()


class Exchange:
    """A request on its way. Times are CLOCK_MONOTONIC ns, None until they happen.

    ``failure`` is None while nothing went wrong on the wire; what the bytes mean is decided afterwards by
    ``inferometer.client.decode``. Reads are kept as flat columns, so that 10,000 long streams cost little more
    than their bytes: the body byte at offset ``at`` came with the first read whose ``upto`` is larger.

    A read of a chunked body that cannot be its last is only put on the ``log``, since all that can be done at once
    for many reads is cheaper than for each alone; ``take_apart`` catches up. The log is one piece of memory, used
    again and again: a stream's last reads, scattered over objects of their own, would be out of every cache by then.

    Attributes:
        log: LOG_BYTES of memory for reads that were not yet taken apart, lent by the connection.
        logged: how many bytes of it are in use.
        room: how many may be; 0 until the head has said that the body is chunked. The first time it differs between
            exchanges that follow one another: streams that began together would otherwise be taken apart together,
            which takes longer than the gap between two tokens.
        heard_ns: when the last byte arrived; None before the first.
        body: what has arrived of the body, without its chunk framing.
        at_ns: receive time of each read: the kernel's for its last segment, or ours right after the read.
        lag_ns: our read minus the kernel's time; -1 where the kernel gave none.
        upto: length of ``body`` after each read.
        late: reads of a turn that came late, by number, and by how many ns at most. Several events that such a
            read brings may have arrived at any time in that span, for the kernel keeps the last segment's time.
        wire: the request as it goes out; without its body where that is in ``rest``.
        rest: a long body, which is not copied to stand behind its head.
        bytes_out: length of the request.
        bytes_in: bytes of the response on the wire, decrypted.
        reused: sent on a connection that had carried another exchange.
        server: the number of the server that it is sent to.
        fd: descriptor of the connection that it was last sent on; -1 before.
        echoed: how many characters of the request its answer repeats before the output.
    """

    __slots__ = (
        "at_ns",
        "body",
        "bytes_in",
        "bytes_out",
        "connect_end_ns",
        "connect_start_ns",
        "echoed",
        "end_ns",
        "failure",
        "failure_text",
        "fd",
        "framer",
        "heard_ns",
        "index",
        "lag_ns",
        "late",
        "log",
        "logged",
        "planned_ns",
        "queued_ns",
        "rest",
        "reused",
        "room",
        "sent_ns",
        "server",
        "upto",
        "wire",
    )

    def __init__(
        self, index: int, wire: bytes, planned_ns: int, queued_ns: int | None = None, rest: bytes = b""
    ) -> None:
        self.index = index
        self.wire = wire
        self.rest = rest
        self.bytes_out = len(wire) + len(rest)
        self.server = 0
        self.fd = -1
        self.echoed = 0
        self.planned_ns = planned_ns
        self.queued_ns = queued_ns
        self.connect_start_ns: int | None = None
        self.connect_end_ns: int | None = None
        self.reused = False
        self.sent_ns: int | None = None
        self.end_ns: int | None = None
        self.log = NO_LOG
        self.logged = 0
        self.room = 0
        self.heard_ns: int | None = None
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
        count, at = len(self.at_ns), 0
        while at < self.logged:
            at += _MARK_BYTES + _unpack_mark(self.log, at)[2]
            count += 1
        return count

    def keep(self, at_ns: int, lag_ns: int, data: bytes | bytearray, size: int) -> bool:
        """Put one read on the log; False when there is no room, or it may have brought the end: ``take`` that one.

        Args:
            at_ns: receive time.
            lag_ns: our delay after the kernel's stamp; -1 = unknown.
            data: begins with the bytes of the read; they are copied.
            size: number of these; at least one.
        """
        logged = self.logged
        end = logged + _MARK_BYTES + size
        # A chunked message ends with an empty line; where that is cut in two, its last piece is short.
        if end > self.room or size < _SHORT_READ_BYTES or data[size - 4] == _CR:
            return False
        pack = _PACKS.get(size) or _pack_for(size)
        pack(self.log, logged, at_ns, lag_ns, size, data)
        self.logged = end
        self.heard_ns = at_ns
        return True

    def _kept(self) -> list[Read]:
        """The reads on the log, which is empty afterwards."""
        reads: list[Read] = []
        raw, at = bytes(self.log[: self.logged]), 0
        while at < self.logged:
            at_ns, lag_ns, size = _unpack_mark(raw, at)
            begin = at + _MARK_BYTES
            at = begin + size
            reads.append((at_ns, lag_ns, raw[begin:at]))
        self.logged = 0
        return reads

    def take(self, read: Read) -> int | None:
        """Take a read that the log does not, and all before it; as ``take_apart``."""
        self.heard_ns = read[0]
        return self._take([*self._kept(), read])

    def take_apart(self) -> int | None:
        """Bring body and columns up to date.

        Returns:
            The receive time of the read that completed the message; None while it is not complete.

        Raises:
            ProtocolError: the bytes are not HTTP/1.x.
        """
        return self._take(self._kept()) if self.logged else None

    def _take(self, reads: list[Read]) -> int | None:
        self.wire = self.rest = b""  # the server has it, so it will not be sent again; a prompt may be large
        at_ns, lag_ns, data = zip(*reads, strict=True)
        self.at_ns.extend(at_ns)
        self.lag_ns.extend(lag_ns)
        self.bytes_in += sum(map(len, data))
        framer, body, ended_ns = self.framer, self.body, None
        feed, upto = framer.feed, self.upto.append
        try:
            for number, part in enumerate(data):
                if feed(part):
                    ended_ns = at_ns[number]
                upto(len(body))
        finally:
            while len(self.upto) < len(self.at_ns):
                upto(len(body))
        if framer.chunked:
            self.room = (
                LOG_BYTES if self.room else LOG_BYTES * (1 + self.index % _FIRST_ROOMS) // _FIRST_ROOMS
            )
        return ended_ns


_PACKS: dict[int, Callable[..., None]] = {}  # by number of bytes: writes a read onto a log, in one call


def _pack_for(size: int) -> Callable[..., None]:
    pack = _PACKS[size] = struct.Struct(f"{_MARK}{size}s").pack_into
    return pack

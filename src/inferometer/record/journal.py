"""The crash-safe journal: length and CRC framed, append only, one frame per finished request.

Format (``INFJ1``): an 8-byte magic, then frames of ``<u32 length><u32 crc32><payload>``, little endian. A payload
is MessagePack of one of the tagged ``Frame`` structs. What was written survives the death of the process at any
moment; a torn last frame is recognised and ignored. ``sync`` makes it survive the death of the machine.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec

from inferometer.record.clocks import ClockMap
from inferometer.record.types import ChunkColumns, ClockMark, HealthSample, PointRecord, RequestRecord

MAGIC = b"INFJ1\n\0\0"
_HEADER = struct.Struct("<II")


class RequestFrame(msgspec.Struct, frozen=True, tag="r"):
    """A finished request, as it is written; what is read has its chunks left where they are."""

    record: RequestRecord
    chunks: ChunkColumns


class PointStart(msgspec.Struct, frozen=True, tag="s"):
    """A load point begins; its epoch is known."""

    point: PointRecord
    worker: int = 0


class PointEnd(msgspec.Struct, frozen=True, tag="e"):
    """A load point has ended on this worker."""

    point: PointRecord
    worker: int = 0


Frame = RequestFrame | PointStart | PointEnd | HealthSample | ClockMark


class StoredRequest(NamedTuple):
    """A finished request in a journal: its record, where its frame's payload is, and what puts its times right."""

    record: RequestRecord
    segment: Path
    offset: int
    length: int
    clock: ClockMap | None = None


class _Head(msgspec.Struct, frozen=True, tag="r"):
    record: RequestRecord


class _Body(msgspec.Struct, frozen=True, tag="r"):
    chunks: ChunkColumns


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Head | PointStart | PointEnd | HealthSample | ClockMark)
_body_decoder = msgspec.msgpack.Decoder(_Body)


class JournalWriter:
    """Appends frames to one segment file.

    Args:
        path: a file that must not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._size = 0
        self._write(MAGIC)

    def append(self, frame: Frame) -> None:
        """Write one frame with one system call.

        Raises:
            OSError: the disk refused it (full, quota, I/O error); the file is cut back to its last whole frame.
        """
        payload = _encoder.encode(frame)
        self._write(_HEADER.pack(len(payload), zlib.crc32(payload)) + payload)

    def _write(self, data: bytes) -> None:
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:] if written else data)
        except OSError:
            os.ftruncate(self._fd, self._size)
            os.lseek(self._fd, self._size, os.SEEK_SET)
            raise
        self._size += len(data)

    def sync(self) -> None:
        """Make what was written durable; slow, so only between load points."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def read_journal(path: Path) -> Iterator[StoredRequest | PointStart | PointEnd | HealthSample | ClockMark]:
    """The whole frames of one segment, in the order in which they were written; stops at a torn tail."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return
        size, offset = path.stat().st_size, len(MAGIC)
        while len(header := file.read(_HEADER.size)) == _HEADER.size:
            length, crc = _HEADER.unpack(header)
            offset += _HEADER.size
            # A machine that lost power may leave a tail of zeros, whose checksum is right: no frame is empty.
            if offset + length > size or length == 0:
                return
            payload = file.read(length)
            if zlib.crc32(payload) != crc:
                return
            frame = _decoder.decode(payload)
            yield StoredRequest(frame.record, path, offset, length) if isinstance(frame, _Head) else frame
            offset += length


def frames_in(
    data: bytes,
) -> tuple[list[RequestRecord | PointStart | PointEnd | HealthSample | ClockMark], int]:
    """The whole frames of a stretch of a segment that begins with one, and how many bytes they take.

    What is left over is a frame that has not come whole yet, or never will.
    """
    frames: list[RequestRecord | PointStart | PointEnd | HealthSample | ClockMark] = []
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, crc = _HEADER.unpack_from(data, offset)
        begin, end = offset + _HEADER.size, offset + _HEADER.size + length
        if length == 0 or end > len(data) or zlib.crc32(data[begin:end]) != crc:
            break
        frame = _decoder.decode(data[begin:end])
        frames.append(frame.record if isinstance(frame, _Head) else frame)
        offset = end
    return frames, offset


def read_chunks(requests: Sequence[StoredRequest]) -> list[ChunkColumns]:
    """The chunks of each of these requests."""
    with ExitStack() as opened:
        segments = {each.segment for each in requests}
        files = {segment: opened.enter_context(segment.open("rb")).fileno() for segment in segments}
        return [_chunks(each, files[each.segment]) for each in requests]


def _chunks(request: StoredRequest, fd: int) -> ChunkColumns:
    chunks = _body_decoder.decode(os.pread(fd, request.length, request.offset)).chunks
    return chunks if request.clock is None else request.clock.chunks(chunks)


class Follower:
    """Follows a segment that another process still writes.

    Only whole frames are seen: a writer whose disk is full cuts its last one back.

    Args:
        path: the segment, there or not yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._whole = 0

    def whole(self) -> int:
        """Bytes that are there and stay, whatever happens to the writer."""
        if not self._path.exists():
            return 0
        with self._path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if self._whole == 0 and size >= len(MAGIC):
                self._whole = len(MAGIC)
            while self._whole and size - self._whole >= _HEADER.size:
                header = os.pread(file.fileno(), _HEADER.size, self._whole)
                end = self._whole + _HEADER.size + _HEADER.unpack(header)[0]
                if end > size:
                    break
                self._whole = end
        return self._whole

    def read(self, start: int, most: int) -> bytes:
        """At most ``most`` bytes from ``start`` on, of those that stay."""
        length = min(self.whole() - start, most)
        if length <= 0:
            return b""
        with self._path.open("rb") as file:
            return os.pread(file.fileno(), length, start)

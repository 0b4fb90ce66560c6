"""A log that stays bounded, however much an engine writes. Standard library only: the keeper imports it."""

from __future__ import annotations

import os
from pathlib import Path

HEAD_BYTES = 16 << 20
TAIL_BYTES = 16 << 20


class BoundedLog:
    """One file with the beginning and the end of what was written; a line in between says how much is left out.

    The beginning tells what the engine is, the end why it ended.

    Args:
        path: of the file; an old one is overwritten.
        head_bytes: kept of the beginning.
        tail_bytes: most that is kept of the end; at least half of it is.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, head_bytes: int = HEAD_BYTES, tail_bytes: int = TAIL_BYTES) -> None:
        self._file = path.open("w+b", buffering=0)
        self._head_bytes, self._tail_bytes = head_bytes, tail_bytes
        self._size = 0
        self._left_out = self._note_bytes = 0
        self._full = False

    def write(self, data: bytes) -> None:
        """Add ``data``. A disk that is full loses it, and stops neither the engine nor whoever watches over it."""
        if self._full:
            return
        try:
            while data:
                piece, data = data[: self._tail_bytes // 2], data[self._tail_bytes // 2 :]
                if self._size + len(piece) > self._head_bytes + self._tail_bytes:
                    self._shorten()
                self._size += os.write(self._file.fileno(), piece)
        except OSError:
            self._full = True

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _shorten(self) -> None:
        """Leave out all between the beginning and the last half of the tail."""
        keep = self._tail_bytes // 2
        fd = self._file.fileno()
        tail = os.pread(fd, keep, self._size - keep)
        tail = tail[tail.find(b"\n") + 1 :]  # from the next whole line on
        head_end = os.pread(fd, self._head_bytes, 0).rfind(b"\n") + 1 or self._head_bytes
        self._left_out += self._size - head_end - len(tail) - self._note_bytes
        note = b"[inferometer: %d bytes left out here]\n" % self._left_out
        self._note_bytes = len(note)
        os.ftruncate(fd, head_end)
        self._size = os.pwrite(fd, note + tail, head_end) + head_end
        os.lseek(fd, self._size, os.SEEK_SET)

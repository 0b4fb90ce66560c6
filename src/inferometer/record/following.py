"""Follows the journal of a run while it is written, also by another process: reads what is new, and nothing twice.

A frame that has not come whole yet is left for the next look, and so is one that a full disk or a crash cut off: it
never comes whole, and nothing behind it is read. A run that is resumed begins a journal anew, which is read from its
start.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from inferometer.record.folder import JOURNAL
from inferometer.record.journal import MAGIC, PointEnd, PointStart, frames_in
from inferometer.record.types import ClockMark, HealthSample, RequestRecord

Frame = RequestRecord | PointStart | PointEnd | HealthSample | ClockMark

MOST_BYTES = 4 << 20  # of one segment in one look, so that a look at a long journal stays short
_HEAD_BYTES = 64  # hold the first frame's check sum, which tells journals apart


class RunFollower:
    """Reads a run folder's journal bit by bit.

    Args:
        folder: the run folder; its journal may be there or not yet.

    Attributes:
        behind: whether the latest look left whole frames for the next one, because there were many.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.behind = False
        self._segments: dict[str, _Segment] = {}

    def look(self) -> list[Frame]:
        """The frames that have come since the last look, those of one worker in their order.

        Returns nothing for a folder that is closed, or gone. Never waits.
        """
        found: list[Frame] = []
        self.behind = False
        for path in sorted((self.folder / JOURNAL).glob("*.seg")):
            segment = self._segments.setdefault(path.name, _Segment(path))
            found += segment.read()
            self.behind = self.behind or segment.behind
        return found

    @property
    def closed(self) -> bool:
        """Whether there is no journal any more: the run has ended and its tables are there, or it was removed."""
        return not (self.folder / JOURNAL).is_dir()


def quiet_s(folder: Path, realtime_ns: int) -> float | None:
    """Seconds since a run's journal was last written to, by the times of its files; None where there is none.

    Args:
        folder: the run folder.
        realtime_ns: now, since 1970.
    """
    journal, times = folder / JOURNAL, []
    for path in (journal, *journal.glob("*.seg")):
        with contextlib.suppress(FileNotFoundError):  # closed since
            times.append(path.stat().st_mtime_ns)
    return max(0.0, (realtime_ns - max(times)) / 1e9) if times else None


class _Segment:
    """One worker's file."""

    def __init__(self, path: Path) -> None:
        self.behind = False
        self._path = path
        self._head = b""
        self._read = 0  # bytes that were read and need not be looked at again

    def read(self) -> list[Frame]:
        try:
            with self._path.open("rb") as file:
                size, head = os.fstat(file.fileno()).st_size, os.pread(file.fileno(), _HEAD_BYTES, 0)
                if size < self._read or not head.startswith(self._head):
                    self._read = 0  # another journal of that name; its inode may be that of the one before
                self._head = head
                return self._new_frames(file.fileno(), size)
        except FileNotFoundError:  # closed since the directory was read
            self.behind = False
            return []

    def _new_frames(self, fd: int, size: int) -> list[Frame]:
        self.behind = False
        if self._read == 0:
            if os.pread(fd, len(MAGIC), 0) != MAGIC:
                return []
            self._read = len(MAGIC)
        most = MOST_BYTES
        while True:
            frames, taken = frames_in(os.pread(fd, most, self._read))
            if taken or self._read + most >= size:
                break
            most *= 2  # one frame is longer than that
        self.behind = self._read + most < size
        self._read += taken
        return frames

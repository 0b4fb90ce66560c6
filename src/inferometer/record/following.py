"""Follows the journal of a run while it is written, also by another process: reads what is new, and nothing twice.

A frame that has not come whole yet is left for the next look, and so is one that a full disk or a crash cut off: it
never comes whole, and nothing behind it is read. A run that is resumed begins a journal anew, which is read from its
start.
"""

from __future__ import annotations

import os
from pathlib import Path

from inferometer.record.folder import JOURNAL, RUN_JSON
from inferometer.record.journal import MAGIC, PointEnd, PointStart, frames_in
from inferometer.record.types import ClockMark, HealthSample, RequestRecord

Frame = RequestRecord | PointStart | PointEnd | HealthSample | ClockMark

MOST_BYTES = 4 << 20  # of one segment in one look, so that a look at a long journal stays short


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

    @property
    def gone(self) -> bool:
        """Whether this is no run folder any more."""
        return not (self.folder / RUN_JSON).is_file()


class _Segment:
    """One worker's file."""

    def __init__(self, path: Path) -> None:
        self.behind = False
        self._path = path
        self._inode = 0
        self._read = 0  # bytes that were read and need not be looked at again

    def read(self) -> list[Frame]:
        try:
            with self._path.open("rb") as file:
                about = os.fstat(file.fileno())
                if about.st_ino != self._inode or about.st_size < self._read:
                    self._inode, self._read = about.st_ino, 0
                return self._new_frames(file.fileno(), about.st_size)
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

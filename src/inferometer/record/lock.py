"""Who writes to a run folder: the run that goes on in it, or one ``recover``; never both."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inferometer.errors import RunFolderError

_LOOK_EVERY_S = 0.05


@contextmanager
def writing(folder: Path, wait_s: float = 0.0) -> Iterator[int]:
    """Hold the lock of a run folder; the kernel frees it when its holders have ended, however they ended.

    Yields a descriptor: a process that inherits it holds the lock too. A file system without locks goes without.

    Args:
        folder: the run folder.
        wait_s: how long to wait for a holder to end.

    Raises:
        RunFolderError: it is held.
    """
    fd = os.open(folder, os.O_RDONLY)
    try:
        limit_s = time.monotonic() + wait_s
        while not _locked(fd):
            if time.monotonic() > limit_s:
                raise RunFolderError(
                    f"run {folder.name!r} is still going on, or is being closed",
                    "wait until it has ended, or end it with Ctrl-C",
                )
            time.sleep(_LOOK_EVERY_S)
        yield fd
    finally:
        os.close(fd)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # no such locks here, for example on NFS
    return True


def is_written(folder: Path) -> bool:
    """Whether somebody writes to a run folder now; where there are no such locks, nobody is known to.

    It asks for a shared lock for an instant: not to be used on a folder that was made a moment ago, whose run is about
    to take its own.
    """
    try:
        fd = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False

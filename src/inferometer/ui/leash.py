"""Becomes another program that ends when its parent does: a run that these pages started ends with them.

``python -c ... PARENT COMMAND...``: on Linux the kernel sends SIGTERM when the parent has died, however it died, and
the program that takes this one's place inherits that. Elsewhere only an orderly end of the parent ends the run.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Become the command; returns only when the parent is gone already."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() == parent:
        os.execv(command[0], command)  # noqa: S606 - our own interpreter and program
    return 1

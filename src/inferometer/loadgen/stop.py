"""How a run is asked to end early."""

from __future__ import annotations

from collections import deque


class StopSignal:
    """Asked once: drain, send nothing more and wait for what is in flight. Asked again: stop at once.

    Safe to call from any thread and from a signal handler: a bounded deque's ``append`` is atomic and takes
    no lock that the interrupted code might hold.
    """

    def __init__(self) -> None:
        self._asked: deque[None] = deque(maxlen=2)

    @property
    def level(self) -> int:
        """0 go on, 1 drain, 2 stop at once."""
        return len(self._asked)

    def request(self) -> None:
        """Ask once more; a third time changes nothing."""
        self._asked.append(None)

"""Waiting for sockets until an absolute deadline: epoll with a timerfd on Linux, ``selectors`` elsewhere."""

from __future__ import annotations

import select
import selectors
import time
from typing import Protocol

from inferometer.timerfd import MonotonicTimer, available

READ = 1  # the values of EPOLLIN and EPOLLOUT
WRITE = 4
# A burst is handled in portions, so that a stream that ends early in it has its successor sent early too.
MOST_EVENTS = 32


class Poller(Protocol):
    """Waits for readiness of file descriptors; masks are ``READ``, ``WRITE``, and whatever else reading finds out."""

    def watch(self, fd: int, mask: int) -> None:
        """Start to watch ``fd``, or change what is watched."""
        ...

    def forget(self, fd: int) -> None:
        """Stop watching ``fd``; must come before the descriptor is closed."""
        ...

    def wait(self, deadline_ns: int, most_ns: int) -> list[tuple[int, int]]:
        """Ready descriptors with their masks.

        Empty at ``deadline_ns`` (monotonic; 0 = do not wait) and, within a millisecond, after ``most_ns``.
        """
        ...

    def close(self) -> None:
        """Release the poller's own descriptors."""
        ...


class EpollPoller:
    """epoll plus timerfd: microsecond deadlines without a spinning loop."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._timer = MonotonicTimer()
        self._masks: dict[int, int] = {}
        self._epoll.register(self._timer.fd, select.EPOLLIN)

    def watch(self, fd: int, mask: int) -> None:
        """Start to watch ``fd``, or change what is watched."""
        known = self._masks.get(fd)
        if known == mask:
            return
        if known is None:
            self._epoll.register(fd, mask)
        else:
            self._epoll.modify(fd, mask)
        self._masks[fd] = mask

    def forget(self, fd: int) -> None:
        """Stop watching ``fd``."""
        if self._masks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def wait(self, deadline_ns: int, most_ns: int) -> list[tuple[int, int]]:
        """Ready descriptors; empty at the deadline."""
        if deadline_ns == 0:
            ready = self._epoll.poll(0, MOST_EVENTS)
        else:
            self._timer.arm(deadline_ns)
            ready = self._epoll.poll(most_ns / 1e9, MOST_EVENTS)
        timer = self._timer.fd
        for fd, _ in ready:
            if fd == timer:
                self._timer.drain()
                return [pair for pair in ready if pair[0] != timer]
        return ready

    def close(self) -> None:
        """Close epoll and timer."""
        self._epoll.close()
        self._timer.close()


class SelectorPoller:
    """The portable way: the platform's best selector with its own time-out."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._fds: set[int] = set()

    def watch(self, fd: int, mask: int) -> None:
        """Start to watch ``fd``, or change what is watched."""
        events = (selectors.EVENT_READ if mask & READ else 0) | (selectors.EVENT_WRITE if mask & WRITE else 0)
        if fd in self._fds:
            self._selector.modify(fd, events)
        else:
            self._selector.register(fd, events)
            self._fds.add(fd)

    def forget(self, fd: int) -> None:
        """Stop watching ``fd``."""
        if fd in self._fds:
            self._fds.remove(fd)
            self._selector.unregister(fd)

    def wait(self, deadline_ns: int, most_ns: int) -> list[tuple[int, int]]:
        """Ready descriptors; empty at the deadline."""
        left_ns = 0 if deadline_ns == 0 else min(deadline_ns - time.monotonic_ns(), most_ns)
        return [
            (
                key.fd,
                (READ if events & selectors.EVENT_READ else 0)
                | (WRITE if events & selectors.EVENT_WRITE else 0),
            )
            for key, events in self._selector.select(max(0, left_ns) / 1e9)
        ]

    def close(self) -> None:
        """Close the selector."""
        self._selector.close()


def make_poller() -> Poller:
    """The best poller of this platform."""
    return EpollPoller() if available() else SelectorPoller()

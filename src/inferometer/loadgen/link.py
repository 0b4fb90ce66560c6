"""The parent's end of the pipes to one worker, wherever that runs: nothing here waits for it."""

from __future__ import annotations

import os
from collections import deque
from typing import Protocol

from inferometer.loadgen.messages import FromWorker, Inbox, Setup, ToWorker, pack

READ_BYTES = 1 << 20


class Pipe(Protocol):
    """One end of a pipe or of a socket."""

    def fileno(self) -> int:
        """Its descriptor."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Link:
    """The parent's side of one worker.

    Life cycle: made -> ``send`` and ``receive`` -> ``hang_up`` -> ``close``. Use as a context manager. Nothing but
    ``ending`` and ``close`` waits for the worker: a pipe takes 64 KiB and a prompt may have 64 MB, so what does not
    fit is kept until ``flush``.

    Args:
        worker: its number.
        stdin: what it reads.
        stdout: what it writes; a descriptor of its own, so that both can be watched.
    """

    def __init__(self, worker: int, stdin: Pipe, stdout: Pipe) -> None:
        self.worker = worker
        self.stdin, self.stdout = stdin, stdout
        os.set_blocking(stdin.fileno(), False)
        os.set_blocking(stdout.fileno(), False)
        self._inbox = Inbox(FromWorker)
        self._unsent: deque[memoryview] = deque()

    @property
    def unsent(self) -> bool:
        """Whether something waits until the pipe takes more."""
        return bool(self._unsent)

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def send(self, message: ToWorker) -> None:
        """Put a message in line and write what the pipe takes at once."""
        self._unsent.append(memoryview(pack(message)))
        self.flush()

    def flush(self) -> None:
        """Write what the pipe takes at once."""
        try:
            while self._unsent:
                written = os.write(self.stdin.fileno(), self._unsent[0])
                rest = self._unsent[0][written:]
                if rest:
                    self._unsent[0] = rest
                else:
                    self._unsent.popleft()
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self.forget()  # it has died; the next look at its output says so

    def forget(self) -> None:
        """Drop what has not been sent."""
        self._unsent.clear()

    def receive(self) -> list[FromWorker] | None:
        """What it has said since; None when it has ended."""
        try:
            data = os.read(self.stdout.fileno(), READ_BYTES)
        except BlockingIOError:
            return []
        except ConnectionResetError:
            return None
        return self._inbox.feed(data) if data else None

    def ending(self) -> str:
        """How it ended, in words."""
        raise NotImplementedError

    def kill(self) -> None:
        """End it at once; for one that does not do what it is asked for. Its output then reaches its end."""
        raise NotImplementedError

    def hang_up(self) -> None:
        """Close its standard input, which asks it to end."""
        raise NotImplementedError

    def close(self) -> None:
        """End it, and wait until it has ended."""
        raise NotImplementedError


class Fleet(Protocol):
    """Where workers come from: this machine, or several others.

    Attributes:
        lead_ns: how much longer than on this machine a message takes to the farthest worker, at worst.
    """

    @property
    def lead_ns(self) -> int: ...  # noqa: D102 - see the class

    def hire(self, setup: Setup) -> Link:
        """Start the worker of that number; ``setup`` is the first message to it.

        Raises:
            LoadgenError, RunFolderError: it cannot be started.
        """
        ...

    def mark_clocks(self) -> None:
        """Note how the clocks of all machines compare; called when no requests are in flight."""
        ...

"""Which core a worker is pinned to: a process that is moved between cores loses its caches and is late."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from inferometer.errors import UsageError
from inferometer.spec.launch_rules import cores_text

_THREADS = Path("/proc/self/task")


def allowed_cores() -> list[int]:
    """The cores that this process may run on; empty where the platform does not tell."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    return sorted(os.sched_getaffinity(0))


def usable_cores() -> int:
    """How many cores this process may use, at least 1."""
    return len(allowed_cores()) or os.cpu_count() or 1


def core_of(worker: int, workers: int, allowed: Sequence[int]) -> int | None:
    """The core for ``worker`` of ``workers``, counted from the last one; None when they cannot all have their own.

    Two cores beyond theirs have to be left for the parent and whatever else runs: a worker that is pinned to a busy
    core cannot get out of its way.
    """
    return allowed[-1 - worker] if len(allowed) >= workers + 2 else None


def pin(core: int | None) -> int | None:
    """Keep this process on ``core``; the core, or None when it is free to move, because the system refused."""
    if core is None:
        return None
    try:
        os.sched_setaffinity(0, {core})
    except OSError:
        return None
    return core


@contextmanager
def keeping_off(cores: Collection[int]) -> Iterator[None]:
    """While it lasts, keep this process, and what it starts, off ``cores``, which a server has for itself.

    Args:
        cores: none of them changes nothing.

    Raises:
        UsageError: cores that this process may not use, or none would be left to it.
    """
    if not cores:
        yield
        return
    left = rest_of(cores, allowed_cores())
    before, usual = {}, os.sched_getaffinity(0)
    for thread in _threads():
        with suppress(ProcessLookupError):  # it has ended since
            before[thread] = os.sched_getaffinity(thread)
    _move(dict.fromkeys(before, left))
    try:
        yield
    finally:
        _move({thread: before.get(thread, usual) for thread in _threads()})


def rest_of(cores: Collection[int], allowed: Sequence[int]) -> set[int]:
    """What is left of the allowed cores beside those of a server.

    Raises:
        UsageError: some are not allowed, or none would be left.
    """
    if not allowed:
        raise UsageError("this system does not let a process be kept on cores", "leave out --launch-cores")
    strange = sorted(set(cores) - set(allowed))
    if strange:
        raise UsageError(
            f"--launch-cores: this process may not use core {cores_text(strange)}",
            f"it may use {cores_text(allowed)}",
        )
    left = set(allowed) - set(cores)
    if not left:
        raise UsageError(
            f"--launch-cores takes all {len(allowed)} cores, and leaves none to the load generator",
            f"leave it one: --launch-cores {cores_text(allowed[:-1])}"
            if len(allowed) > 1
            else "leave out --launch-cores: there is one core, which both have to share",
        )
    return left


def _threads() -> list[int]:
    """The threads of this process: each has cores of its own, and hands them down to what it starts."""
    return [int(entry.name) for entry in _THREADS.iterdir()] if _THREADS.is_dir() else [0]


def _move(cores: dict[int, set[int]]) -> None:
    for thread, its in cores.items():
        with suppress(ProcessLookupError):  # it has ended since
            os.sched_setaffinity(thread, its)

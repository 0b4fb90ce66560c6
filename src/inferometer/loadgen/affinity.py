"""Which core a worker is pinned to: a process that is moved between cores loses its caches and is late."""

from __future__ import annotations

import os
from collections.abc import Sequence


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

"""Which processes descend from one, and which of them listens at a port: read from /proc (Linux only).

Standard library only: the keeper imports it, and is to start at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")
_LISTENING = "0A"  # state of a socket in /proc/net/tcp
_GONE = "ZX"  # zombies and the dead: no more than an entry that waits for its parent


def tells() -> bool:
    """Whether this system tells of processes by /proc."""
    return sys.platform == "linux"


def descendants(pid: int) -> list[int]:
    """Living processes that ``pid`` started, and that those started, nearest first.

    A process whose parent has ended belongs to the nearest ancestor that is a subreaper, so with a keeper that is one
    nothing leaves its family, whatever session it is in. Empty where the system does not tell.
    """
    if not tells():
        return []
    children: dict[int, list[int]] = {}
    living = set()
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and (stat := _stat(int(entry.name))) is not None:
            state, parent = stat
            children.setdefault(parent, []).append(int(entry.name))
            if state not in _GONE:
                living.add(int(entry.name))
    found, front = [], [pid]
    while front:
        front = [child for one in front for child in children.get(one, ())]
        found += [one for one in front if one in living]
    return found


def holders(port: int) -> list[int]:
    """Processes that listen at TCP port ``port``, on any address, as far as this user may see them."""
    inodes = _listening(port)
    if not inodes:
        return []
    own = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal())
    return [pid for pid in own if inodes & set(_sockets(pid))]


def is_listening(port: int) -> bool | None:
    """Whether somebody listens at ``port`` in this network namespace; None where the system does not tell."""
    return bool(_listening(port)) if tells() else None


def title(pid: int) -> str:
    """The program of a process, of an interpreter its script or module; without further words, which may be secret."""
    try:
        words = [os.fsdecode(word) for word in (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")]
    except OSError:
        return "a process"
    name = os.path.basename(words[0]) or "a process"  # noqa: PTH119 - a name such as "nginx: master" is no path
    if not name.startswith("python") or len(words) < 2:
        return name
    if words[1] == "-m" and len(words) > 2:
        return f"{name} -m {words[2]}"
    return name if words[1].startswith("-") else f"{name} {words[1]}"


def _stat(pid: int) -> tuple[str, int] | None:
    """State and parent of a process; None when it has ended."""
    try:
        text = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    words = text.rpartition(")")[2].split()  # the name before may hold blanks and brackets
    return words[0], int(words[1])


def _listening(port: int) -> set[str]:
    """Inodes of the sockets that listen at ``port``."""
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (_PROC / "net" / table).read_text("ascii").splitlines()[1:]
        except OSError:
            continue  # no IPv6 here, or no such file system
        for words in (line.split() for line in lines):
            if words[3] == _LISTENING and int(words[1].rpartition(":")[2], 16) == port:
                found.add(words[9])
    return found


def _sockets(pid: int) -> Iterable[str]:
    """Inodes of the sockets that a process holds; nothing where we may not look."""
    try:
        descriptors = list((_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return
    for descriptor in descriptors:
        try:
            link = str(descriptor.readlink())
        except OSError:
            continue  # closed meanwhile
        if link.startswith("socket:["):
            yield link[8:-1]

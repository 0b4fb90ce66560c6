"""Reads what an engine has written while it still writes."""

from __future__ import annotations

import re
from pathlib import Path

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TAIL_BYTES = 8192
_LOOKED_AT = 20  # lines
_SHOWN = 100  # characters of a line of progress
# What stands before the words in a line of a logger: process, level, time, source.
_PREFIX = re.compile(
    r"""^(?:\((?:\w+[ ]pid=\d+|\w+)\)\s*
    |(?:TRACE|DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL)\b:?\s*
    |\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,\d]*(?:Z|[+-]\d\d:?\d\d)?\]?(?:\s*-\s*)?\s*
    |\d\d-\d\d\s\d\d:\d\d:\d\d\s*
    |\d+\.\d\d\.\d{3}\.\d{3}\s[IWED]\s+
    |\[[\w./]+\.(?:py|rs|cpp):\d+\]\s*
    |-\s+)+""",
    re.VERBOSE,
)
_ASKED = re.compile(r'"(?:GET|POST) /\S* HTTP/')  # what a server notes of each request, ours too
_SENTENCE = re.compile(r"[A-Za-z]{3}\S*\s.*[A-Za-z]{3}|\d/\d")  # and no part of a banner, no lone setting
_SHARDS = re.compile(r"Loading .*?shards.*?(\d+)/(\d+)")
_GRAPHS = re.compile(r"Captur\w+ .*?graph.*?(\d+)/(\d+)", re.IGNORECASE)


class EngineLog:
    """The log of one engine.

    Args:
        path: of the file; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_bytes = 0
        self._rest = ""

    def text(self) -> str:
        """All of it, without colours."""
        return _plain(self._bytes(0))

    def new_lines(self) -> list[str]:
        """The whole lines that came since the last call."""
        if self._size() < self._read_bytes:
            self._read_bytes = 0  # its middle was left out: lines may come twice, none is lost
        data = self._bytes(self._read_bytes)
        self._read_bytes += len(data)
        *lines, self._rest = (self._rest + _plain(data)).split("\n")
        return lines

    def last_lines(self, count: int) -> list[str]:
        """Its last lines that say something, oldest first."""
        lines = [line.strip() for line in _plain(self._bytes(max(self._size() - _TAIL_BYTES, 0))).split("\n")]
        return [line for line in lines if line][-count:]

    def progress(self) -> str:
        """How far the engine is, in a few words; empty when it has said nothing."""
        lines = [line for line in self.last_lines(_LOOKED_AT) if not _ASKED.search(line)]
        words = [progress_in(line) for line in lines]
        return next((text for text in reversed(words) if _SENTENCE.search(text)), words[-1] if words else "")

    def _size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def _bytes(self, start: int) -> bytes:
        if not self.path.exists():
            return b""
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read()


def progress_in(line: str) -> str:
    """A line of a log as a line of progress: what it says, without time, level and source."""
    for pattern, words in ((_SHARDS, "loading weights"), (_GRAPHS, "capturing graphs")):
        found = pattern.search(line)
        if found:
            return f"{words} {found[1]}/{found[2]}"
    text = _PREFIX.sub("", line) or line
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _plain(data: bytes) -> str:
    """Text without colours; a bar that is redrawn on one line becomes lines."""
    return _ESCAPES.sub("", data.decode("utf-8", "replace")).replace("\r\n", "\n").replace("\r", "\n")

"""Files of strangers: bounded, decoded, parsed; what is wrong with one is told with its name, place and rule."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from inferometer.errors import UsageError

MOST_BYTES = 1 << 30  # of one file: detailed results of a million requests
MOST_FILES = 4096  # of a folder
MOST_DEPTH = 8
_HEAD_BYTES = 65_536
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_MOST_NESTED = 64  # results are a dozen deep; everything that walks one calls itself
_BINARY = re.compile(r"[\x00-\x08]")  # that no text has
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


class Source:
    """One file; it is read when its content is first asked for.

    Args:
        path: where it is.
        name: how it is called in the run folder: its path below the folder that was named, or its name.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name

    @cached_property
    def data(self) -> bytes:
        """The whole file.

        Raises:
            UsageError: it cannot be read, is empty, or too large.
        """
        try:
            size = self.path.stat().st_size
            if size > MOST_BYTES:
                raise UsageError(
                    f"{self.name}: {size:,} bytes, the limit is {MOST_BYTES:,}",
                    "import the tool's summary, or a run with fewer requests",
                )
            data = self.path.read_bytes()
        except OSError as error:
            raise UsageError(
                f"{str(self.path)!r} cannot be read: {error.strerror}", "name a result file"
            ) from None
        if not data.strip():
            raise UsageError(f"{self.name}: the file is empty", "name the tool's result file")
        return data

    @cached_property
    def text(self) -> str:
        """As text: UTF-8 with or without a mark, UTF-16 with one, else GB18030.

        Raises:
            UsageError: it is none of them.
        """
        if self.data[:2] in _UTF_16:
            return self.data.decode("utf-16", errors="replace")
        try:
            return self.data.decode("utf-8-sig")
        except UnicodeDecodeError:
            return self._gb18030()

    def _gb18030(self) -> str:
        """What Chinese Windows writes; it takes nearly anything, so that it is tried last."""
        try:
            return self.data.decode("gb18030")
        except UnicodeDecodeError:
            raise UsageError(f"{self.name}: neither UTF-8 nor GB18030", "write the file in UTF-8") from None

    @cached_property
    def head(self) -> str:
        """The beginning, for a look; what cannot be decoded is replaced."""
        try:
            with self.path.open("rb") as file:
                data = file.read(_HEAD_BYTES)
        except OSError as error:
            raise UsageError(
                f"{str(self.path)!r} cannot be read: {error.strerror}", "name a result file"
            ) from None
        return data.decode("utf-16" if data[:2] in _UTF_16 else "utf-8-sig", errors="replace")

    @cached_property
    def is_sqlite(self) -> bool:
        """Whether it is a database of SQLite."""
        return self.head.startswith("SQLite format 3")

    @cached_property
    def is_binary(self) -> bool:
        """Whether it is no text, nor a database: a picture, a workbook, an archive."""
        return _BINARY.search(self.head) is not None and not self.is_sqlite

    @cached_property
    def content(self) -> Any:
        """The JSON in it; None where it holds something else. The same object each time: not to be changed."""
        if self.head.lstrip()[:1] not in ("{", "["):
            return None
        try:
            return json_of(self.text)
        except ValueError:
            return None

    def json(self) -> Any:
        """The JSON in it.

        Raises:
            UsageError: it is none; with the line where it ends to be.
        """
        if self.content is not None:
            return self.content
        try:
            return json_of(self.text)
        except ValueError as error:
            raise self.broken(f"no whole JSON ({error})", "was the file copied in part?") from None

    @cached_property
    def objects(self) -> list[dict[str, Any]] | None:
        """The objects of a JSON Lines file, or the one object of a JSON file; None where it is neither.

        A last line that was cut is left out: tools append, and may have been killed.
        """
        if isinstance(self.content, dict):
            return [self.content]
        if not self.head.lstrip().startswith("{"):
            return None
        found: list[dict[str, Any]] = []
        lines = [line for line in self.text.splitlines() if line.strip()]
        for number, line in enumerate(lines):
            try:
                value = json_of(line)
            except ValueError:
                if number == len(lines) - 1 and found:
                    break
                return None
            if not isinstance(value, dict):
                return None
            found.append(value)
        return found

    @property
    def torn(self) -> bool:
        """Whether a last line of JSON Lines was cut, and left out."""
        lines = sum(1 for line in self.text.splitlines() if line.strip())
        return self.content is None and self.objects is not None and len(self.objects) < lines

    @cached_property
    def rows(self) -> list[dict[str, str]] | None:
        """The rows of a CSV file with a header, cells as text; None where there is no such header."""
        table = self.table
        if table is None or len(table) < 2:
            return None
        header = [cell.strip() for cell in table[0]]
        return [dict(zip(header, row, strict=False)) for row in table[1:]]

    @cached_property
    def table(self) -> list[list[str]] | None:
        """The cells of a CSV file, rows without any left out; None where it is none."""
        if self.is_sqlite or "," not in self.head.partition("\n")[0] or self.head.lstrip()[:1] in ("{", "["):
            return None
        try:
            found = [
                row for row in csv.reader(io.StringIO(self.text, newline="")) if any(c.strip() for c in row)
            ]
        except csv.Error:
            return None
        return found or None

    @cached_property
    def yaml(self) -> Any:
        """The YAML in it, plain types alone; None where it is none. Tags of other types are refused by the loader."""
        if len(self.data) > _HEAD_BYTES * 64:
            return None
        try:
            return yaml.load(self.text, Loader=_SafeLoader)  # noqa: S506 - derived from SafeLoader
        except (yaml.YAMLError, RecursionError, ValueError):
            return None

    def broken(self, what: str, next_step: str) -> UsageError:
        """An error about this file."""
        return UsageError(f"{self.name}: {what}", next_step)


class _SafeLoader(yaml.SafeLoader):
    """Without aliases: a few lines of them can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


def sources_of(path: Path) -> list[Source]:
    """The files behind a path: itself, or those of a folder and its folders, in order of their names.

    Links are not followed out of the folder, hidden files are left out.

    Raises:
        UsageError: there is nothing, or too much.
    """
    if path.is_file():
        return [Source(path, path.name)]
    if not path.is_dir():
        raise UsageError(
            f"{str(path)!r}: there is no such file or folder", "name the tool's result file or folder"
        )
    found = list(_below(path, path, 0))
    if not found:
        raise UsageError(
            f"{str(path)!r}: the folder is empty", "name the folder that the tool wrote its results to"
        )
    return found


def _below(folder: Path, root: Path, depth: int) -> Iterator[Source]:
    for number, path in enumerate(sorted(folder.iterdir(), key=_as_counted)):
        if number >= MOST_FILES or depth > MOST_DEPTH:
            raise UsageError(
                f"{str(folder)!r}: more than {MOST_FILES} files, or folders {MOST_DEPTH} deep",
                "name the folder of one run",
            )
        if path.is_symlink() or path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _below(path, root, depth + 1)
        elif path.is_file():
            yield Source(path, path.relative_to(root).as_posix())


def _as_counted(path: Path) -> list[tuple[int, str]]:
    """For names in the order of the numbers in them: ``concurrency4`` before ``concurrency16``."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]{1,18})", path.name)
    ]


def names_of(sources: Sequence[Source], most: int = 5) -> str:
    """``a.json, b.csv and 3 more``."""
    names = ", ".join(source.name for source in sources[:most])
    return names + (f" and {len(sources) - most} more" if len(sources) > most else "")


def json_of(text: str) -> Any:
    """As ``json.loads``, which also takes the NaN and Infinity that Python's tools write.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level, depth = [value], 0
    while level := [inner for each in level for inner in _inside(each) if isinstance(inner, (dict, list))]:
        depth += 1
        if depth > _MOST_NESTED:
            raise ValueError(f"nested more than {_MOST_NESTED} deep")
    return _whole_characters(value) if _HALF.search(text) else value


def _inside(value: Any) -> Collection[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _whole_characters(value: Any) -> Any:
    """With a sign in place of every half of a surrogate pair, which cut answers end in and UTF-8 cannot hold."""
    if isinstance(value, dict):
        return {_whole_characters(name): _whole_characters(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_whole_characters(each) for each in value]
    return value.encode(errors="replace").decode() if isinstance(value, str) else value

"""Rows of data set files: one JSON array, JSON lines, CSV, TSV or Parquet, each row with its place."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import msgspec

from inferometer.errors import DataError
from inferometer.workload.files import (
    PARQUET_MAGIC,
    STDIN,
    RawFile,
    TextFile,
    as_text,
    broken_json,
    excerpt,
    json_array,
    paths_of,
    read_raw,
    suffix_of,
)

Value = TypeVar("Value")

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
TABLE_SUFFIXES = (*JSON_SUFFIXES, ".csv", ".tsv", ".parquet")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_LONGEST_FIELD = 1 << 30  # Python's own limit, 128 KiB, is shorter than a long prompt
_FETCHED_ROWS = 1000
_REPAIR = "repair or remove this row, or leave such rows out: --on-bad-row skip"


class BadRowError(Exception):
    """A row that cannot be used; becomes a DataError, or is counted, and never leaves this room.

    Args:
        reason: short key under which it is counted (``prompt_empty``).
        what: which rule it breaks, with the value.
        next_step: what to do about it.
    """

    def __init__(self, reason: str, what: str, next_step: str = _REPAIR) -> None:
        super().__init__(what)
        self.reason = reason
        self.what = what
        self.next_step = next_step


Raw: TypeAlias = bytes | msgspec.Raw | dict[str, Any] | BadRowError
NumberedRaws: TypeAlias = Iterator[tuple[int, Raw]]


_ANYTHING = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file.

    Attributes:
        file: the text that it is from; its ``data`` is empty for Parquet.
        number: counts from 0 through all files of the data set.
        index: counts from 1 in its own file.
        line: where it starts, from 1; 0 = rows of this file have no lines, or they are to be searched for.
        raw: JSON that is not decoded yet, the columns of a table, or why the row has none.
    """

    file: TextFile
    number: int
    index: int
    line: int
    raw: Raw

    @property
    def place(self) -> str:
        """``FILE, line 3`` or ``FILE, row 3``; in a JSON array the line is searched for."""
        if self.line or not isinstance(self.raw, msgspec.Raw):
            return self.known_place
        start = end = 0
        # Elements may be equal, or stand inside of others: only those before this one say where it begins.
        for element in islice(json_array(self.file), self.index):
            start = self.file.data.find(bytes(element), end)
            end = start + len(bytes(element))
        line = self.file.data.count(b"\n", 0, start) + 1
        return f"{self.file.path}, line {line}"

    @property
    def known_place(self) -> str:
        """The place as far as it is known without a search, for a row that may be told of later."""
        return f"{self.file.path}, line {self.line}" if self.line else f"{self.file.path}, row {self.index}"

    @property
    def shown(self) -> str:
        """The beginning of the row, for error messages."""
        if isinstance(self.raw, dict):
            return excerpt(msgspec.json.encode(self.raw, enc_hook=str))
        return excerpt(self._bytes)

    @property
    def _bytes(self) -> bytes:
        return bytes(self.raw) if isinstance(self.raw, bytes | msgspec.Raw) else b""

    def decode(self, decoder: msgspec.json.Decoder[Value]) -> Value:
        """The row as the decoder's type.

        Raises:
            BadRowError: broken JSON, or a field of the wrong type.
        """
        if isinstance(self.raw, BadRowError):
            raise self.raw
        try:
            if isinstance(self.raw, dict):
                return msgspec.convert(self.raw, decoder.type, strict=decoder.strict)
            return decoder.decode(self.raw)
        except msgspec.ValidationError as error:
            raise BadRowError("wrong_type", str(error)) from error
        except msgspec.DecodeError as error:
            raise BadRowError("broken_json", str(error)) from error
        except RecursionError as error:
            raise BadRowError("broken_json", "brackets are nested too deep") from error

    def value(self) -> Any:
        """The row decoded, whatever it is; see ``decode``."""
        return self.decode(_ANYTHING)

    def failure(self, bad: BadRowError) -> DataError:
        """What is wrong with this row, as a person reads it."""
        broken = bad.__cause__
        if isinstance(broken, msgspec.DecodeError) and not isinstance(broken, msgspec.ValidationError):
            return broken_json(self.file, broken, self.line - 1, self._bytes)
        shown = f": {self.shown}" if self.shown else ""
        return DataError(f"{self.place}: {bad.what}{shown}", bad.next_step)


@dataclass(frozen=True, slots=True)
class Source:
    """What a data set is read from.

    Attributes:
        path: a file, a directory, or ``-``.
        sha256: of the file; for a directory, of the lines ``SHA256  NAME`` that ``sha256sum`` prints in it.
        notes: what had to be done to read it.
        rows: all rows, in the order of the files; can be walked once.
    """

    path: str
    sha256: str
    notes: tuple[str, ...]
    rows: Iterator[Row]


def open_rows(path: str, suffixes: tuple[str, ...] = TABLE_SUFFIXES) -> Source:
    """Rows of a file, of standard input (``-``) or of all files of a directory, by name.

    The format is told by the content (Parquet, JSON) and by the ending of the name (CSV, TSV). Text that begins
    with ``[`` is one JSON array, unless its first line alone is an array of messages: then each line is a row.

    Args:
        path: as the user wrote it.
        suffixes: which files of a directory are read.

    Raises:
        DataError: a file is missing, empty or broken; rows that are broken JSON are told when they are decoded.
    """
    return _open(path, suffixes, _rows_of)


def open_lines(path: str, suffixes: tuple[str, ...]) -> Source:
    """Each line that is not blank as a row, undecoded; see ``open_rows``."""
    return _open(path, suffixes, lambda file: _lines(as_text(file)))


@dataclass(slots=True)
class _Part:
    """One file of a source: where it is, and its rows before they have a number."""

    file: TextFile
    rows: NumberedRaws


def _open(path: str, suffixes: tuple[str, ...], read: Callable[[RawFile], _Part]) -> Source:
    paths = paths_of(path, suffixes)
    if paths == [path]:
        part = read(read_raw(path))
        return Source(path, part.file.sha256, part.file.notes, _numbered(iter([part])))
    digest = hashlib.sha256()
    for name in paths:
        digest.update(f"{read_raw(name).sha256}  {Path(name).name}\n".encode())
    note = f"{len(paths)} files of the directory, by name"
    return Source(path, digest.hexdigest(), (note,), _numbered(read(read_raw(name)) for name in paths))


def _numbered(parts: Iterator[_Part]) -> Iterator[Row]:
    number = 0
    for part in parts:
        for index, (line, raw) in enumerate(part.rows, start=1):
            yield Row(part.file, number, index, line, raw)
            number += 1


def _rows_of(file: RawFile) -> _Part:
    if file.data.startswith(PARQUET_MAGIC):
        return _parquet(file)
    text = as_text(file)
    suffix = suffix_of(file.path)
    start = text.data.lstrip()[:1]
    if suffix in _DELIMITERS:
        return _table(text, _DELIMITERS[suffix])
    if file.path == STDIN and start not in (b"[", b"{"):
        header = text.data.lstrip().split(b"\n", 1)[0]
        return _table(text, "\t" if b"\t" in header else ",")
    if start == b"[" and not _is_list_a_line(text.data):
        return _Part(text, ((0, element) for element in json_array(text)))
    return _lines(text)


def _is_list_a_line(data: bytes) -> bool:
    """Whether the first line is a whole array whose first element is a message."""
    first = data.lstrip().split(b"\n", 1)[0]
    try:
        elements = msgspec.json.decode(first, type=list[msgspec.Raw])
        head = msgspec.json.decode(elements[0]) if elements else None
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(head, dict) and ("role" in head or "from" in head)


def _lines(file: TextFile) -> _Part:
    lines = ((n, line) for n, line in enumerate(file.data.splitlines(), start=1) if line.strip())
    return _Part(file, lines)


def _table(file: TextFile, delimiter: str) -> _Part:
    """CSV or TSV with a header; quoted as RFC 4180 says."""
    text = io.StringIO(file.data.decode("utf-8"), newline="")
    rows: list[tuple[int, Raw]] = []
    with _long_fields():
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        line = 1
        try:
            header = next(cells for cells in reader if cells)
            _check_header(file, header, reader.line_num)
            line = reader.line_num + 1
            for cells in reader:
                if cells:
                    rows.append((line, _columns(header, cells)))
                line = reader.line_num + 1
        except (csv.Error, StopIteration) as error:
            raise DataError(f"{file.path}, line {line}: {error}", "repair the quotes of this row") from error
    return _Part(file, iter(rows))


def _check_header(file: TextFile, header: list[str], line: int) -> None:
    twice = [name for name, times in Counter(header).items() if times > 1]
    if twice:
        raise DataError(
            f"{file.path}, line {line}: column {twice[0]!r} is there twice",
            "the first line names the columns: rename one",
        )


def _columns(header: list[str], cells: list[str]) -> Raw:
    if len(cells) == len(header):
        return dict(zip(header, cells, strict=True))
    return BadRowError(
        "wrong_number_of_fields",
        f"{len(cells)} fields, but the first line names {len(header)} columns: {excerpt(','.join(cells).encode())}",
        "quote fields that hold the separator or a line break",
    )


@contextmanager
def _long_fields() -> Iterator[None]:
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _parquet(file: RawFile) -> _Part:
    if file.packed or file.path == STDIN:
        raise DataError(
            f"data set file {file.path} is Parquet, which is read from a plain file only",
            "unpack it into a file, and name that",
        )
    return _Part(TextFile(file.path, b"", file.sha256), _parquet_rows(file.path))


def _parquet_rows(path: str) -> NumberedRaws:
    import duckdb  # takes 50 ms, and most data sets are text

    literal = "".join(f"[{sign}]" if sign in "[*?" else sign for sign in path)  # no pattern, a name
    number = 0
    try:
        with duckdb.connect(config={"threads": 1}) as connection:
            found = connection.execute("SELECT * FROM read_parquet($path)", {"path": literal})
            names = [column[0] for column in found.description]
            while block := found.fetchmany(_FETCHED_ROWS):
                for cells in block:
                    number += 1
                    yield 0, dict(zip(names, cells, strict=True))
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"data set file {path} is broken Parquet after row {number}: {reason}", "fetch it again"
        ) from error

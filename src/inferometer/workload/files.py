"""Data set files: bytes to text to rows, with errors that point at the line."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from inferometer.errors import DataError

Row = TypeVar("Row")

_EXCERPT_CHARS = 80
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True)
class TextFile:
    """The content of a text file.

    Attributes:
        path: as the user wrote it.
        data: the text as UTF-8 without a byte order mark.
        sha256: of the bytes as they lie on the disk, so ``sha256sum`` agrees.
        notes: what had to be done to read it, for ``DatasetInfo.notes``.
    """

    path: str
    data: bytes
    sha256: str
    notes: tuple[str, ...] = ()


def read_text(path: str) -> TextFile:
    """Read a file in UTF-8, UTF-16 with byte order mark or GB18030, gzip-compressed or not.

    Raises:
        DataError: no such file, a directory, not readable, empty, or in no known encoding.
    """
    raw = _read_bytes(Path(path))
    data, notes = _decompress(path, raw), []
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            data = _decoded(path, data, encoding).encode()
            notes = [f"read as {encoding}"] if encoding == "utf-16" else []
            break
    else:
        try:
            codecs.utf_8_decode(data, "strict", True)
        except UnicodeDecodeError:
            data = _decoded(path, data, "gb18030").encode()
            notes = ["not valid UTF-8; read as GB18030"]
    if not data.strip():
        raise DataError(f"data set file {path} is empty", "check that the download is complete")
    return TextFile(path, data, hashlib.sha256(raw).hexdigest(), tuple(notes))


def json_array(file: TextFile) -> list[msgspec.Raw]:
    """The elements of a file that is one JSON array, not yet decoded.

    Raises:
        DataError: broken JSON, with line and column.
    """
    try:
        return msgspec.json.decode(file.data, type=list[msgspec.Raw])
    except msgspec.DecodeError as error:
        raise broken_json(file, error, 0, file.data) from error


def json_lines(file: TextFile, row_type: type[Row]) -> Iterator[tuple[int, bytes, Row]]:
    """Line number (from 1), text and decoded row of each line of a JSONL file; blank lines are skipped.

    Raises:
        DataError: broken JSON or a field of the wrong type, with line and column.
    """
    decoder = msgspec.json.Decoder(row_type)
    for number, line in enumerate(file.data.splitlines(), start=1):
        if line.strip():
            try:
                row = decoder.decode(line)
            except msgspec.DecodeError as error:
                raise broken_json(file, error, number - 1, line) from error
            yield number, line, row


def broken_json(file: TextFile, error: msgspec.DecodeError, lines_before: int, data: bytes) -> DataError:
    """What is wrong with ``data``, which starts after ``lines_before`` lines of ``file``."""
    if isinstance(error, msgspec.ValidationError):
        where = f"{file.path}, line {lines_before + 1}"
        return DataError(f"{where}: {error}: {excerpt(data)}", "repair or remove this row")
    found = re.search(r"\(byte (\d+)\)", str(error))
    offset = min(int(found[1]) if found else len(data), len(data))
    start = data.rfind(b"\n", 0, offset) + 1
    line = lines_before + data.count(b"\n", 0, offset) + 1
    column = len(data[start:offset].decode("utf-8", "replace")) + 1
    near = excerpt(data[max(start, offset - 120) : offset + 120], around=min(offset - start, 120))
    return DataError(
        f"{file.path}, line {line}, column {column}: {error}: {near}",
        "repair the row, or fetch the file again: it may be cut off",
    )


def line_of(file: TextFile, element: msgspec.Raw) -> int:
    """Line (from 1) where ``element`` of the file's array starts; only for error messages."""
    return file.data.count(b"\n", 0, max(file.data.find(bytes(element)), 0)) + 1


def excerpt(data: bytes, around: int = 0) -> str:
    """At most 80 characters of ``data``, on one line, with byte offset ``around`` in sight."""
    before = data[:around].decode("utf-8", "replace")[-_EXCERPT_CHARS // 2 :]
    text = " ".join((before + data[around:].decode("utf-8", "replace")).split())
    return text if len(text) <= _EXCERPT_CHARS else text[: _EXCERPT_CHARS - 3] + "..."


def fields_of(row: bytes | msgspec.Raw) -> str:
    """Names of the fields of one JSON object, for error messages."""
    value = msgspec.json.decode(row)
    names = list(value) if isinstance(value, dict) else []
    if not names:
        return "none"
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise DataError(f"data set path {path} is a directory", "name the file in it")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"data set file {path} does not exist", "check --dataset-path") from None
    except OSError as error:
        raise DataError(f"data set file {path} cannot be read: {error.strerror}") from error


def _decompress(path: str, raw: bytes) -> bytes:
    if not raw.startswith(b"\x1f\x8b"):
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"data set file {path} is broken gzip: {error}", "fetch it again: it may be cut off"
        ) from error


def _decoded(path: str, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"data set file {path} is no text: byte {error.start} is neither UTF-8 nor {encoding}",
            "convert it to UTF-8, e.g. iconv -f ENCODING -t UTF-8",
        ) from error

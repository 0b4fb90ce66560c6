"""Data set files: from a path to bytes to text, packed or not, with errors that point at the line."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import importlib
import re
import sys
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from inferometer.errors import DataError, UsageError

STDIN = "-"
PARQUET_MAGIC = b"PAR1"
_EXCERPT_CHARS = 80
_GZIP_MAGIC, _ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_PACKED = (".gz", ".zst", ".zstd")
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True)
class TextFile:
    """The content of a text file.

    Attributes:
        path: as the user wrote it, or below the directory that was named.
        data: the text as UTF-8 without a byte order mark.
        sha256: of the bytes as they lie on the disk, so ``sha256sum`` agrees.
        notes: what had to be done to read it, for ``DatasetInfo.notes``.
    """

    path: str
    data: bytes
    sha256: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RawFile:
    """The bytes of a file, unpacked.

    Attributes:
        path: as the user wrote it.
        data: what is in it, without gzip or zstandard around it.
        sha256: of the bytes as they lie on the disk.
        packed: whether they were packed.
    """

    path: str
    data: bytes
    sha256: str
    packed: bool


def paths_of(path: str, suffixes: Iterable[str]) -> list[str]:
    """The file itself, or the files of a directory that end in one of ``suffixes``, packed or not, by name.

    Raises:
        DataError: no such path, or no such file in the directory.
    """
    place = Path(path)
    if path == STDIN or not place.is_dir():
        return [path]
    wanted = tuple(suffixes)
    try:
        found = sorted(file for file in place.iterdir() if file.is_file() and suffix_of(str(file)) in wanted)
    except OSError as error:
        raise DataError(
            f"data set directory {path} cannot be read: {error.strerror}", "check its rights"
        ) from error
    if not found:
        raise DataError(
            f"data set directory {path} has no file that ends in {', '.join(wanted)} (.gz or .zst after it)",
            "name the file itself, or rename it",
        )
    return [str(file) for file in found]


def suffix_of(path: str) -> str:
    """The ending that tells the format, in lower case: ``.jsonl`` of ``Data.JSONL.gz``; empty if there is none."""
    name = Path(path).name.lower()
    for packed in _PACKED:
        name = name.removesuffix(packed)
    return "" if name.startswith(".") else Path(name).suffix


def read_raw(path: str) -> RawFile:
    """The bytes of a file, or of standard input for ``-``, unpacked.

    Raises:
        DataError: no such file, a directory, not readable, or broken gzip or zstandard.
        UsageError: zstandard, and nothing is installed that unpacks it.
    """
    stored = _standard_input() if path == STDIN else _read_bytes(Path(path))
    data = _unpacked(path, stored)
    return RawFile(path, data, hashlib.sha256(stored).hexdigest(), data is not stored)


def read_text(path: str) -> TextFile:
    """Read a file in UTF-8, UTF-16 with byte order mark or GB18030, packed or not; see ``read_raw``.

    Raises:
        DataError: see ``read_raw``; empty, or in no known encoding.
        UsageError: see ``read_raw``.
    """
    return as_text(read_raw(path))


def as_text(file: RawFile) -> TextFile:
    """The file as text.

    Raises:
        DataError: empty, or in no known encoding.
    """
    path, data, notes = file.path, file.data, []
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
    return TextFile(path, data, file.sha256, tuple(notes))


def json_array(file: TextFile) -> list[msgspec.Raw]:
    """The elements of a file that is one JSON array, not yet decoded.

    Raises:
        DataError: broken JSON, with line and column.
    """
    try:
        return msgspec.json.decode(file.data, type=list[msgspec.Raw])
    except msgspec.DecodeError as error:
        raise broken_json(file, error, 0, file.data) from error
    except RecursionError as error:
        raise DataError(f"{file.path}: brackets are nested too deep", "this is no data set") from error


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


def excerpt(data: bytes, around: int = 0) -> str:
    """At most 80 characters of ``data``, on one line, with byte offset ``around`` in sight."""
    before = data[:around].decode("utf-8", "replace")[-_EXCERPT_CHARS // 2 :]
    text = " ".join((before + data[around:].decode("utf-8", "replace")).split())
    return text if len(text) <= _EXCERPT_CHARS else text[: _EXCERPT_CHARS - 3] + "..."


def fields_of(value: object) -> str:
    """Names of the fields of one row, for error messages."""
    names = [str(name) for name in value] if isinstance(value, dict) else []
    if not names:
        return "none"
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


@cache  # standard input can be read once, and a data set is opened once for each length of a run
def _standard_input() -> bytes:
    if sys.stdin is None or sys.stdin.isatty():
        raise DataError(
            "--dataset-path -: nothing is piped into standard input",
            "pipe the rows: zcat FILE | inferometer run ... --dataset-path -",
        )
    return sys.stdin.buffer.read()


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise DataError(f"data set path {path} is a directory", "name the file in it")
    try:
        return _read_pipe(path) if path.is_fifo() else path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"data set file {path} does not exist", "check --dataset-path") from None
    except (OSError, ValueError) as error:  # ValueError: a path that holds a null byte
        why = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"data set file {path} cannot be read: {why}", "check --dataset-path") from error


@cache  # like standard input; the shell makes one of <(COMMAND)
def _read_pipe(path: Path) -> bytes:
    return path.read_bytes()


def _unpacked(path: str, stored: bytes) -> bytes:
    """The very same object when it is not packed."""
    kind = "gzip"
    try:
        if stored.startswith(_GZIP_MAGIC):
            return gzip.decompress(stored)
        kind = "zstandard"
        if stored.startswith(_ZSTD_MAGIC):
            return _zstd(path, stored)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"data set file {path} is broken {kind}: {error}", "fetch it again: it may be cut off"
        ) from error
    return stored


def _zstd(path: str, stored: bytes) -> bytes:
    """Raises OSError where the data is broken, as gzip does."""
    if sys.version_info >= (3, 14):
        library = importlib.import_module("compression.zstd")
        try:
            return bytes(library.decompress(stored))
        except library.ZstdError as error:
            raise OSError(str(error)) from error
    try:
        library = importlib.import_module("zstandard")
    except ImportError:
        raise UsageError(
            f"data set file {path} is packed with zstandard, which needs a library on Python before 3.14",
            "pip install 'inferometer[zstd]', or unpack it: zstd -d FILE",
        ) from None
    try:
        return _zstd_frames(library.ZstdDecompressor(), stored)
    except library.ZstdError as error:
        raise OSError(str(error)) from error


def _zstd_frames(decompressor: Any, stored: bytes) -> bytes:
    """Several files that were packed one by one and put together are one file, as with gzip."""
    parts = []
    while stored:
        frame = decompressor.decompressobj()
        parts.append(frame.decompress(stored))
        if not frame.eof:
            raise EOFError("it ends within a frame")
        stored = frame.unused_data
    return b"".join(parts)


def _decoded(path: str, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"data set file {path} is no text: byte {error.start} is neither UTF-8 nor {encoding}",
            "convert it to UTF-8, e.g. iconv -f ENCODING -t UTF-8",
        ) from error

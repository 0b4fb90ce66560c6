"""Safetensors files: written from arrays, and read as far as their header tells.

Format: https://huggingface.co/docs/safetensors: eight bytes little-endian length, a JSON header, the data.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from inferometer.errors import DataError

LARGEST_HEADER = 100_000_000  # bytes; the limit of the format
_LENGTH_BYTES = 8
_GIT_LFS = b"version https://git-lfs"

# Bits of an element, as safetensors names its type.
ELEMENT_BITS: Mapping[str, int] = {
    "F64": 64,
    "I64": 64,
    "U64": 64,
    "C64": 64,
    "F32": 32,
    "I32": 32,
    "U32": 32,
    "F16": 16,
    "BF16": 16,
    "I16": 16,
    "U16": 16,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I8": 8,
    "U8": 8,
    "BOOL": 8,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F4": 4,
}


class TensorEntry(msgspec.Struct, frozen=True):
    """One tensor of a file.

    Attributes:
        dtype: as the file names it: BF16, F16, F32, I32 ...
        shape: elements along each axis.
        begin, end: bytes of the data part that it takes, the end not included.
    """

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def elements(self) -> int:
        """How many numbers it holds; packed ones count as the integers that they are packed in."""
        return prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes of the file that it takes."""
        return self.end - self.begin


class WeightsFile(msgspec.Struct, frozen=True):
    """What the header of a file says, and whether the file is as long as that needs.

    Attributes:
        path: the file.
        tensors: by name.
        data_bytes: bytes of all tensors, by the header.
        missing_bytes: by how many bytes the file is too short; 0 = it is whole.
    """

    path: Path
    tensors: dict[str, TensorEntry]
    data_bytes: int
    missing_bytes: int

    def array(self, name: str) -> np.ndarray[Any, Any]:
        """The numbers of one tensor as 32-bit floats: BF16, F16 and F32 only.

        Raises:
            KeyError: there is no such tensor.
            DataError: it is of another type, or the file ends before it does.
        """
        entry = self.tensors[name]
        start = self.path.stat().st_size + self.missing_bytes - self.data_bytes
        with self.path.open("rb") as file:
            file.seek(start + entry.begin)
            raw = file.read(entry.size_bytes)
        if len(raw) < entry.size_bytes:
            raise DataError(f"{self.path} ends within tensor {name!r}", "download the file again")
        return decoded(raw, entry.dtype).reshape(entry.shape)


def read_header(path: Path) -> WeightsFile:
    """The tensors of a file, without reading their data.

    Raises:
        DataError: it is no safetensors file: a pointer of Git LFS, an error page, a header that is cut off.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(len(_GIT_LFS))
        if head == _GIT_LFS:
            raise DataError(
                f"{path} is a pointer of Git LFS ({size} bytes), not the weights",
                "fetch them: git lfs install && git lfs pull in that directory, or download the file itself",
            )
        if len(head) < _LENGTH_BYTES:
            raise DataError(f"{path} has {size} bytes, too few for a safetensors file", "download it again")
        (length,) = struct.unpack("<Q", head[:_LENGTH_BYTES])
        if length > LARGEST_HEADER:
            raise DataError(
                f"{path} is no safetensors file: it begins with {head[:16]!r}", "download it again"
            )
        file.seek(_LENGTH_BYTES)
        raw = file.read(length)
    if len(raw) < length:
        raise DataError(f"{path} ends within its header: {size} bytes", "the download broke off: do it again")
    tensors = _tensors(raw, path)
    data_bytes = max((entry.end for entry in tensors.values()), default=0)
    missing = max(0, _LENGTH_BYTES + length + data_bytes - size)
    return WeightsFile(path, tensors, data_bytes, missing)


def _tensors(raw: bytes, path: Path) -> dict[str, TensorEntry]:
    try:
        header = msgspec.json.decode(raw, type=dict[str, dict[str, Any]])
        return {
            name: TensorEntry(str(entry["dtype"]), tuple(entry["shape"]), *entry["data_offsets"])
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise DataError(f"the header of {path} cannot be read: {error}", "download the file again") from error


def write(path: Path, tensors: Mapping[str, np.ndarray[Any, Any]], dtype: str) -> None:
    """A file with all tensors in one type (``BF16``, ``F16`` or ``F32``), in the order given."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}  # transformers asks for this entry
    parts, offset = [], 0
    for name, array in tensors.items():
        part = encoded(array, dtype)
        entries[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [offset, offset + len(part)],
        }
        parts.append(part)
        offset += len(part)
    header = msgspec.json.encode(entries)
    header += b" " * (-len(header) % 8)  # the data begins at a multiple of eight
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)))
        file.write(header)
        for part in parts:
            file.write(part)


def encoded(array: np.ndarray[Any, Any], dtype: str) -> bytes:
    """The bytes of an array in ``BF16`` (rounded to nearest, ties to even), ``F16`` or ``F32``."""
    if dtype == "BF16":
        bits = np.ascontiguousarray(array, dtype="<f4").view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
    floats: np.ndarray[Any, Any] = np.ascontiguousarray(array, dtype={"F16": "<f2", "F32": "<f4"}[dtype])
    return floats.tobytes()


def decoded(raw: bytes, dtype: str) -> np.ndarray[Any, Any]:
    """The numbers of :func:`encoded`, as 32-bit floats.

    Raises:
        DataError: a type that numpy has no word for.
    """
    if dtype == "BF16":
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
    if dtype not in ("F16", "F32"):
        raise DataError(f"tensors of type {dtype} are not read here", "BF16, F16 and F32 are")
    return np.frombuffer(raw, {"F16": "<f2", "F32": "<f4"}[dtype]).astype("<f4")

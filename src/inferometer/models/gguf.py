"""GGUF files as llama.cpp reads them: typed keys, then tensors.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 3, little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ALIGNMENT = 32
_VERSION = 3
_ARRAY, _STRING = 9, 8
# Numbers that the format gives to types of values, and how each is packed.
_NUMBERS = {"u32": (4, "<I"), "i32": (5, "<i"), "f32": (6, "<f"), "bool": (7, "<?"), "u64": (10, "<Q")}
# Numbers that ggml gives to types of tensors.
_TENSORS = {"<f4": 0, "<f2": 1}


class Number(NamedTuple):
    """A number and the type that it is written as: ``u32``, ``i32``, ``f32``, ``bool`` or ``u64``."""

    value: float
    kind: str = "u32"


class Numbers(NamedTuple):
    """An array of numbers of one type."""

    values: Sequence[float]
    kind: str = "i32"


Value = str | Number | Numbers | Sequence[str]


def write(path: Path, keys: Mapping[str, Value], tensors: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """A file of ``keys`` and ``tensors`` (16 or 32-bit floats; any other type is a ``KeyError``)."""
    head = [b"GGUF", struct.pack("<IQQ", _VERSION, len(tensors), len(keys))]
    head += [_text(key) + _value(value) for key, value in keys.items()]
    offset = 0
    for name, array in tensors.items():
        # The axis that varies fastest comes first.
        dims = array.shape[::-1]
        kind = _TENSORS[array.dtype.str]
        head += [_text(name), struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)]
        offset += array.nbytes + -array.nbytes % ALIGNMENT
    with path.open("wb") as file:
        written = sum(file.write(part) for part in head)
        file.write(bytes(-written % ALIGNMENT))
        for array in tensors.values():
            file.write(np.ascontiguousarray(array).tobytes())
            file.write(bytes(-array.nbytes % ALIGNMENT))


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: Value) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _text(value)
    if isinstance(value, Number):
        kind, packing = _NUMBERS[value.kind]
        return struct.pack("<I", kind) + struct.pack(packing, value.value)
    if isinstance(value, Numbers):
        kind, packing = _NUMBERS[value.kind]
        body = b"".join(struct.pack(packing, number) for number in value.values)
        return struct.pack("<IIQ", _ARRAY, kind, len(value.values)) + body
    return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + b"".join(map(_text, value))

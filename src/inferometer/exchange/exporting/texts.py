"""Bytes of files: JSON without NaN, CSV with or without the mark for Excel, names that are safe everywhere."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from inferometer.exchange.exporting.model import Encoding

_UNSAFE = re.compile(r"[^A-Za-z0-9._@+=-]+")


def finite(value: Any) -> Any:
    """The value with None for every NaN and infinity in it: JSON has neither."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(part) for part in value]
    return value


def json_bytes(value: Any, *, indent: int | None = 2) -> bytes:
    """A JSON file."""
    return (json.dumps(finite(value), ensure_ascii=False, indent=indent, allow_nan=False) + "\n").encode()


def json_lines(values: Iterable[Any]) -> bytes:
    """A JSON-lines file: one object a line."""
    return b"".join(json_bytes(value, indent=None) for value in values)


def csv_bytes(rows: Iterable[Sequence[Any]], encoding: Encoding = "utf-8") -> bytes:
    """A CSV file; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return text.getvalue().encode(encoding)


def safe(name: str) -> str:
    """A name as a part of a path: letters, digits and a few signs; never empty, never a step up."""
    return _UNSAFE.sub("-", name).strip("-.") or "unnamed"


def without_none(value: Any) -> Any:
    """A mapping without the keys whose value is None, at every depth; lists keep their None."""
    if isinstance(value, dict):
        return {key: without_none(part) for key, part in value.items() if part is not None}
    return [without_none(part) for part in value] if isinstance(value, list) else value

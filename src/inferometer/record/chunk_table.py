"""The table of all chunks of a run, in memory that does not grow with the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np

from inferometer.record.journal import StoredRequest, read_chunks
from inferometer.record.parquet import drafted, join, write_columns

# Of frames at one time: a million chunks, which take some 100 MiB while they are turned into columns.
BATCH_BYTES = 32 << 20

CHUNK_TYPES = {
    "recv_ns": "<i8",
    "tokens": "<i4",
    "chars": "<i4",
    "kind": "u1",
    "read": "<i4",
    "lag_ns": "<i8",
}
# Encodings by difference (version 2) instead of dictionaries leave 9 bytes a chunk without compressing.
_PART_FORMAT = "COMPRESSION uncompressed, PARQUET_VERSION V2, DICTIONARY_SIZE_LIMIT 1"
_UNKNOWN = ("tokens", "lag_ns")  # columns in which -1 means unknown
_SELECT = ", ".join(
    f'NULLIF("{name}", -1) AS "{name}"' if name in _UNKNOWN else f'"{name}"'
    for name in ("point", "request", *CHUNK_TYPES)
)


def write_chunks(
    connection: duckdb.DuckDBPyConnection, path: Path, requests: Sequence[StoredRequest], journal: Path
) -> None:
    """Write the chunks of these requests, in their order.

    What does not fit into one batch goes through parts, in what costs least CPU: they are read again at once.

    Args:
        connection: what writes.
        path: the table.
        requests: of all points.
        journal: a folder for the parts, which goes with what was left in it when the table is in place.

    Raises:
        OSError, duckdb.Error: the table cannot be written; nothing is left of it.
    """
    batches = list(_batches(requests))
    if len(batches) == 1:
        with drafted(path) as draft:
            write_columns(connection, draft, _columns(batches[0]), _SELECT)
        return
    with TemporaryDirectory(dir=journal) as folder:
        parts = [Path(folder) / f"{number}.parquet" for number in range(len(batches))]
        for part, batch in zip(parts, batches, strict=True):
            write_columns(connection, part, _columns(batch), _SELECT, _PART_FORMAT)
        with drafted(path) as draft:
            join(connection, draft, parts)


def _batches(requests: Sequence[StoredRequest]) -> Iterator[Sequence[StoredRequest]]:
    """Runs of requests of some ``BATCH_BYTES``; one that is empty when there are none."""
    start = size = 0
    for end, request in enumerate(requests, 1):
        size += request.length
        if size >= BATCH_BYTES:
            yield requests[start:end]
            start, size = end, 0
    if start < len(requests) or not requests:
        yield requests[start:]


def _columns(requests: Sequence[StoredRequest]) -> dict[str, Any]:
    chunks = read_chunks(requests)
    lengths = [len(each.kind) for each in chunks]
    columns: dict[str, Any] = {
        "point": np.repeat(np.array([each.record.point for each in requests], dtype=np.int32), lengths),
        "request": np.repeat(np.array([each.record.index for each in requests], dtype=np.int64), lengths),
    }
    for name, kind in CHUNK_TYPES.items():
        columns[name] = np.frombuffer(b"".join(getattr(each, name) for each in chunks), dtype=kind)
    return columns

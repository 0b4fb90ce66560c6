"""Parquet files from columns, and one from many."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from inferometer.record.folder import make_durable

# More threads do not write faster what one process hands over, but each has buffers of its own.
_THREADS = 1
_FORMAT = "COMPRESSION zstd"


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """Where to write a file that gets its name when it is whole, or never."""
    draft = path.with_name(path.name + ".tmp")
    try:
        yield draft
        make_durable(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)  # half a table must not keep the little space that is left


def connect() -> duckdb.DuckDBPyConnection:
    """What writes the files; it takes some 15 ms to make, so it is made once for all of them."""
    return duckdb.connect(config={"threads": _THREADS})


def write_columns(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    columns: dict[str, Any],
    select: str,
    form: str = _FORMAT,
) -> None:
    """Write numpy columns of equal length.

    Args:
        connection: of ``connect``.
        path: a file that is no table yet.
        columns: by name.
        select: what to write of them, in SQL; names of this package, never user text.
        form: options of the file format.

    Raises:
        duckdb.Error: the file cannot be written.
    """
    connection.register("source", columns)
    try:
        connection.execute(
            f"COPY (SELECT {select} FROM source) TO $path (FORMAT parquet, {form})",  # noqa: S608
            {"path": str(path)},
        )
    finally:
        connection.unregister("source")  # or it would keep the columns in memory


def add_kept(connection: duckdb.DuckDBPyConnection, path: Path, new: Path, points: Collection[int]) -> None:
    """Make ``path`` the rows that it has of some load points, in their order, and all rows of ``new`` behind them.

    Columns that only one of them has are absent in the other's rows. Only a few row groups are in memory at one time.

    Args:
        connection: of ``connect``.
        path: a table with a column ``point``; when there is none, it becomes ``new``.
        new: a table that has no rows of these points.
        points: whose rows are kept.

    Raises:
        OSError, duckdb.Error: the table cannot be written; it is as it was.
    """
    query = "SELECT * FROM read_parquet($new)"
    files = {"new": str(new)}
    if path.exists():
        own = ", ".join(str(int(point)) for point in points)
        kept = f"SELECT * FROM read_parquet($path) WHERE point IN ({own})"  # noqa: S608 - whole numbers
        query, files = f"{kept} UNION ALL BY NAME {query}", {**files, "path": str(path)}
    with drafted(path) as draft:
        connection.execute(
            f"COPY ({query}) TO $draft (FORMAT parquet, {_FORMAT})", {**files, "draft": str(draft)}
        )


def join(connection: duckdb.DuckDBPyConnection, path: Path, parts: Sequence[Path]) -> None:
    """Write the rows of all parts, in order; only a few row groups of them are in memory at one time.

    Raises:
        duckdb.Error: the file cannot be written.
    """
    connection.execute(
        f"COPY (FROM read_parquet($parts)) TO $path (FORMAT parquet, {_FORMAT})",
        {"parts": [str(part) for part in parts], "path": str(path)},
    )

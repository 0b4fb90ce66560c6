"""From journal to Parquet, and from Parquet to the columns that the metrics room reads."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, get_args, get_type_hints

import duckdb
import msgspec
import numpy as np

from inferometer.errors import RunFolderError
from inferometer.record.chunk_table import CHUNK_TYPES, write_chunks
from inferometer.record.clocks import REQUEST_TIMES, clock_maps
from inferometer.record.folder import (
    CHUNKS,
    CLOCKS,
    JOURNAL,
    REQUESTS,
    TABLES,
    TELEMETRY,
    make_durable,
    read_meta,
    write_meta,
)
from inferometer.record.imported import read_imported
from inferometer.record.journal import PointEnd, PointStart, StoredRequest, read_journal
from inferometer.record.merging import merge_journals
from inferometer.record.parquet import add_kept, connect, drafted, write_columns
from inferometer.record.prediction import read_prediction
from inferometer.record.sittings import kept_of, latest_sitting, successor
from inferometer.record.tables import Column, PointTable, RunRecord, Telemetry
from inferometer.record.types import ClockMark, HealthSample, PointRecord, RequestRecord, RunMeta

_ABSENT = np.iinfo(np.int64).min
_HEALTH_VALUES = tuple(n for n in HealthSample.__struct_fields__ if n not in ("point", "worker", "at_ns"))


def _field_types() -> dict[str, str]:
    """SQL type of each request column, from the record's own annotations."""
    types = {}
    for name, hint in get_type_hints(RequestRecord).items():
        kinds = set(get_args(hint)) or {hint}
        types[name] = "BIGINT" if int in kinds else "BOOLEAN" if bool in kinds else "VARCHAR"
    return types


_TYPES = _field_types()


class Frames(msgspec.Struct):
    """What the journals of one run hold; the chunks of the requests are still in the files."""

    points: dict[int, PointRecord]
    requests: list[StoredRequest]
    samples: list[HealthSample] = []


def read_frames(folder: Path) -> Frames:
    """All whole frames of all segments of a run folder; each load point is the sum of its workers' shares.

    All times are by this machine's clock, also those of workers on others.
    """
    requests: list[StoredRequest] = []
    starts: dict[int, dict[int, PointRecord]] = {}
    ends: dict[int, dict[int, PointRecord]] = {}
    samples: list[HealthSample] = []
    for frame in _on_our_clock(folder):
        if isinstance(frame, StoredRequest):
            requests.append(frame)
        elif isinstance(frame, HealthSample):
            samples.append(frame)
        else:
            shares = starts if isinstance(frame, PointStart) else ends
            shares.setdefault(frame.point.index, {})[frame.worker] = frame.point
    requests.sort(key=lambda f: (f.record.point, f.record.index))
    finished = Counter((frame.record.point, frame.record.worker) for frame in requests)
    points = {}
    for index in sorted({*starts, *ends}):
        counts = {worker: count for (point, worker), count in finished.items() if point == index}
        points[index] = merge_journals(starts.get(index, {}), ends.get(index, {}), counts)
    return Frames(points, requests, samples)


def _marks(folder: Path) -> list[ClockMark]:
    """How the clocks of other machines compared with ours in the latest sitting."""
    path = folder / JOURNAL / CLOCKS
    return [frame for frame in read_journal(path) if isinstance(frame, ClockMark)] if path.exists() else []


def _note_clocks(meta: RunMeta, marks: Sequence[ClockMark]) -> None:
    """Give ``run.json`` all marks of its nodes: it was last written before most of them, if the run was killed."""
    for node in meta.nodes:
        if node.sitting == latest_sitting(meta):
            node.clock = [mark for mark in marks if mark.workers == node.workers] or node.clock


def _on_our_clock(folder: Path) -> Iterator[StoredRequest | PointStart | PointEnd | HealthSample]:
    """All whole frames of all segments; the marks of clocks are applied to the others."""
    clocks = clock_maps(_marks(folder))
    for segment in sorted((folder / JOURNAL).glob("*.seg")):
        for frame in read_journal(segment):
            if isinstance(frame, ClockMark):
                continue
            clock = clocks.get(frame.record.worker if isinstance(frame, StoredRequest) else frame.worker)
            if clock is None:
                yield frame
            elif isinstance(frame, StoredRequest):
                yield frame._replace(record=clock.request(frame.record), clock=clock)
            elif isinstance(frame, HealthSample):
                yield clock.sample(frame)
            else:
                yield msgspec.structs.replace(frame, point=clock.point(frame.point))


def close_journal(folder: Path, meta: RunMeta) -> RunMeta:
    """Turn the journal into Parquet tables, write the points into ``run.json``, and drop the journal.

    In a run that was resumed, load points of earlier sittings keep the rows that the tables have of them, unless the
    journal has them anew. The journal goes only after all tables are in place, so that no crash can lose both, and
    what was interrupted is simply done once more.

    Raises:
        RunFolderError: the tables cannot be written; the journal is kept.
    """
    frames = read_frames(folder)
    points = [successor(point, frames.points.get(point.index)) for point in meta.points]
    kept = kept_of(points, latest_sitting(meta))
    try:
        with connect() as connection, TemporaryDirectory(dir=folder / JOURNAL) as made:
            place = Path(made) if kept else folder
            _write_tables(connection, place, _without(frames, kept), Path(made))
            for name in TABLES if kept else ():
                add_kept(connection, folder / name, place / name, kept)
    except (OSError, duckdb.Error) as error:
        raise RunFolderError(
            f"tables of {str(folder)!r} cannot be written: {_reason(error)}",
            f"the journal is kept; free some space, then: inferometer runs recover {folder}",
        ) from None
    meta.points = points
    _note_clocks(meta, _marks(folder))
    write_meta(folder, meta)
    make_durable(folder)
    spent = folder / f".{JOURNAL}-closed"
    shutil.rmtree(spent, ignore_errors=True)  # of an earlier sitting, killed while it removed its own
    # Renamed first: a crash while files are being removed must not leave half a journal to recover from.
    (folder / JOURNAL).rename(spent)
    shutil.rmtree(spent)
    return meta


def _without(frames: Frames, kept: Sequence[int]) -> Frames:
    """The frames of load points whose rows do not come from the tables."""
    requests = [frame for frame in frames.requests if frame.record.point not in kept]
    return Frames(frames.points, requests, [sample for sample in frames.samples if sample.point not in kept])


def _write_tables(
    connection: duckdb.DuckDBPyConnection, folder: Path, frames: Frames, workshop: Path
) -> None:
    _write_requests(connection, folder / REQUESTS, [frame.record for frame in frames.requests])
    write_chunks(connection, folder / CHUNKS, frames.requests, workshop)
    _write_telemetry(connection, folder / TELEMETRY, frames.samples)


def _reason(error: OSError | duckdb.Error) -> str:
    """What the system said; duckdb hides it in JSON behind its own words."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    code = re.search(r'"errno":"(\d+)"', str(error))
    return os.strerror(int(code[1])) if code else str(error).splitlines()[0]


def _write_requests(
    connection: duckdb.DuckDBPyConnection, path: Path, records: Sequence[RequestRecord]
) -> None:
    columns: dict[str, Any] = {}
    select = []
    for name, kind in _TYPES.items():
        values = [getattr(record, name) for record in records]
        if kind == "BIGINT":
            columns[name] = np.array([_ABSENT if v is None else v for v in values], dtype=np.int64)
            select.append(f'NULLIF("{name}", {_ABSENT}) AS "{name}"')
        elif kind == "BOOLEAN":
            columns[name] = np.array(values, dtype=np.bool_)
            select.append(f'"{name}"')
        else:
            # Not every duckdb accepts None in a numpy object column, so absence travels as a separate mask.
            columns[name] = np.array(["" if v is None else v for v in values], dtype=object)
            columns[f"{name}__absent"] = np.array([v is None for v in values], dtype=np.bool_)
            select.append(f'CASE WHEN "{name}__absent" THEN NULL ELSE "{name}"::VARCHAR END AS "{name}"')
    with drafted(path) as draft:
        write_columns(connection, draft, columns, ", ".join(select))


def _write_telemetry(
    connection: duckdb.DuckDBPyConnection, path: Path, samples: Sequence[HealthSample]
) -> None:
    ordered = sorted(samples, key=lambda s: (s.point, s.at_ns, s.worker))
    values = [[(name, getattr(s, name)) for name in _HEALTH_VALUES] for s in ordered]
    rows = [
        (s.point, s.at_ns, f"client/{s.worker}", name, value)
        for s, named in zip(ordered, values, strict=True)
        for name, value in named
        if value is not None
    ]
    columns: dict[str, Any] = {
        "point": np.array([row[0] for row in rows], dtype=np.int64),
        "at_ns": np.array([row[1] for row in rows], dtype=np.int64),
        "source": np.array([row[2] for row in rows], dtype=object),
        "name": np.array([row[3] for row in rows], dtype=object),
        "value": np.array([row[4] for row in rows], dtype=np.float64),
    }
    select = "point, at_ns, source::VARCHAR AS source, name::VARCHAR AS name, value"
    with drafted(path) as draft:
        write_columns(connection, draft, columns, select)


def read_run(folder: Path) -> RunRecord:
    """A closed run as columns.

    Raises:
        RunFolderError: not a run folder, a run that was never closed (killed, or still going on), or damaged tables.
    """
    meta = read_meta(folder)
    whole = (folder / REQUESTS).exists() and (folder / CHUNKS).exists()
    if (folder / JOURNAL).is_dir() or not whole:
        raise RunFolderError(
            f"run {folder.name!r} was not closed (state {meta.state!r})", f"inferometer runs recover {folder}"
        )
    try:
        with duckdb.connect() as connection:
            known = _column_names(connection, folder / REQUESTS)
            tables = tuple(_read_point(connection, folder, point, known) for point in meta.points)
            telemetry = _read_telemetry(connection, folder / TELEMETRY)
    except (OSError, duckdb.Error) as error:
        raise RunFolderError(
            f"the tables of run {folder.name!r} cannot be read: {str(error).partition(chr(10))[0]}",
            "were its files copied whole?",
        ) from None
    return RunRecord(folder, meta, tables, telemetry, read_prediction(folder), read_imported(folder))


def read_open_point(folder: Path, index: int) -> tuple[PointTable, Telemetry]:
    """One load point that has ended, of a run that still goes on: its requests, and what was sampled beside them.

    Raises:
        RunFolderError: the point is not in the journal, or the tables cannot be made.
    """
    frames = read_frames(folder)
    if index not in frames.points:
        raise RunFolderError(
            f"load point {index} is not in the journal of {str(folder)!r}", "it has to end first"
        )
    own = [frame for frame in frames.requests if frame.record.point == index]
    try:
        with TemporaryDirectory(prefix="inferometer-") as made, connect() as connection:
            place = Path(made)
            _write_requests(connection, place / REQUESTS, [frame.record for frame in own])
            write_chunks(connection, place / CHUNKS, own, place)
            _write_telemetry(connection, place / TELEMETRY, [s for s in frames.samples if s.point == index])
            table = _read_point(connection, place, frames.points[index], set(_TYPES))
            return table, _read_telemetry(connection, place / TELEMETRY)
    except (OSError, duckdb.Error) as error:
        raise RunFolderError(
            f"load point {index} of {str(folder)!r} cannot be read: {_reason(error)}",
            "free some space in /tmp",
        ) from None


def read_closed_point(folder: Path, point: PointRecord) -> tuple[PointTable, Telemetry]:
    """One load point of an earlier sitting, from the tables: its requests, and what was sampled beside them.

    Raises:
        RunFolderError: the tables cannot be read.
    """
    try:
        with duckdb.connect() as connection:
            known = _column_names(connection, folder / REQUESTS)
            table = _read_point(connection, folder, point, known)
            telemetry = _read_telemetry(connection, folder / TELEMETRY)
    except (OSError, duckdb.Error) as error:
        raise _unreadable(folder, error) from None
    own = telemetry.point == point.index
    return table, Telemetry(**{name: getattr(telemetry, name)[own] for name in Telemetry.__slots__})


class StoredPoints(NamedTuple):
    """What a run folder has of its load points, closed or not.

    Attributes:
        points: as they are, or would be once the folder is closed.
        successes: requests that succeeded, by ``index`` of the load point.
    """

    points: list[PointRecord]
    successes: Counter[int]


def stored_points(folder: Path, meta: RunMeta) -> StoredPoints:
    """The load points of a run that does not go on; nothing is changed.

    Raises:
        RunFolderError: the tables cannot be read.
    """
    successes: Counter[int] = Counter()
    points = meta.points
    from_tables = {point.index for point in points}
    if (folder / JOURNAL).is_dir():
        frames = read_frames(folder)
        points = [successor(point, frames.points.get(point.index)) for point in points]
        from_tables = set(kept_of(points, latest_sitting(meta)))
        ok = (frame.record.point for frame in frames.requests if frame.record.status == "ok")
        successes.update(index for index in ok if index not in from_tables)
    if (folder / REQUESTS).exists():
        query = "SELECT point, count(*) FROM read_parquet($path) WHERE status = 'ok' GROUP BY point"
        try:
            with duckdb.connect() as connection:
                rows = connection.execute(query, {"path": str(folder / REQUESTS)}).fetchall()
        except duckdb.Error as error:
            raise _unreadable(folder, error) from None
        successes.update({index: count for index, count in rows if index in from_tables})
    return StoredPoints(points, successes)


def _unreadable(folder: Path, error: OSError | duckdb.Error) -> RunFolderError:
    return RunFolderError(
        f"tables of {str(folder)!r} cannot be read: {_reason(error)}", "were they changed, or copied in part?"
    )


def _column_names(connection: duckdb.DuckDBPyConnection, path: Path) -> set[str]:
    rows = connection.execute("SELECT name FROM parquet_schema($path)", {"path": str(path)}).fetchall()
    return {name for (name,) in rows}


def _read_telemetry(connection: duckdb.DuckDBPyConnection, path: Path) -> Telemetry:
    """The samples of a run; none for a run of a version that took none."""
    if not path.exists():
        return Telemetry()
    source = "read_parquet($path, file_row_number = true)"
    query = f"SELECT point, at_ns, source, name, value FROM {source} ORDER BY file_row_number"  # noqa: S608
    columns = connection.execute(query, {"path": str(path)}).fetchnumpy()
    return Telemetry(**{name: np.ma.getdata(values) for name, values in columns.items()})


def _read_point(
    connection: duckdb.DuckDBPyConnection, folder: Path, point: PointRecord, known: set[str]
) -> PointTable:
    epoch_ns = point.epoch_ns or 0
    select = ", ".join(
        _request_column(name, kind, epoch_ns) if name in known else _no_column(name, kind)
        for name, kind in _TYPES.items()
    )
    requests = _fetch(connection, folder / REQUESTS, select, f"point = {point.index} ORDER BY index")
    return PointTable(point, requests, _chunks(connection, folder / CHUNKS, point.index, epoch_ns))


def _chunks(
    connection: duckdb.DuckDBPyConnection, path: Path, point: int, epoch_ns: int
) -> dict[str, Column]:
    """Those of a load point, by request, then as they came.

    Column by column, and put in order only where they do not stand so already, as the tables of this version do: all
    columns at once, sorted by the database, would take three times the memory that they take in the end.
    """

    def fetched(name: str) -> Column:
        return _fetch(connection, path, _chunk_column(name, epoch_ns), f"point = {point}")[name]

    request = fetched("request")
    order = None if np.all(request[1:] >= request[:-1]) else np.argsort(request, kind="stable")
    columns = {"request": request, **{name: fetched(name) for name in CHUNK_TYPES}}
    return columns if order is None else {name: values[order] for name, values in columns.items()}


def _request_column(name: str, kind: str, epoch_ns: int) -> str:
    if kind == "VARCHAR":
        return f'"{name}"'
    return _as_double(name, epoch_ns if _is_time(name) else 0)


def _no_column(name: str, kind: str) -> str:
    """A column that the version which wrote the table did not have: absent in every row."""
    return f'NULL::VARCHAR AS "{name}"' if kind == "VARCHAR" else f"""'NaN'::DOUBLE AS "{name}\""""


def _chunk_column(name: str, epoch_ns: int) -> str:
    return _as_double(name, epoch_ns if name == "recv_ns" else 0)


def _is_time(name: str) -> bool:
    return name in REQUEST_TIMES


def _as_double(name: str, origin: int) -> str:
    return f"""COALESCE(CAST("{name}"::BIGINT - {origin} AS DOUBLE), 'NaN'::DOUBLE) AS "{name}\""""


def _fetch(connection: duckdb.DuckDBPyConnection, path: Path, select: str, where: str) -> dict[str, Column]:
    source = "(SELECT *, file_row_number AS place FROM read_parquet($path, file_row_number = true))"
    rows = connection.execute(f"SELECT {select} FROM {source} WHERE {where}", {"path": str(path)})  # noqa: S608
    return {name: _column(values) for name, values in rows.fetchnumpy().items()}


def _column(values: Any) -> Column:
    if values.dtype == np.float64:
        return np.ma.getdata(values)
    texts = np.ma.getdata(values).astype(object)
    texts[np.ma.getmaskarray(values)] = None
    return texts


__all__ = [
    "Frames",
    "StoredPoints",
    "close_journal",
    "read_closed_point",
    "read_frames",
    "read_open_point",
    "read_run",
    "stored_points",
]

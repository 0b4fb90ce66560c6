"""A run of any length is closed a batch at a time, into the same table, and nothing is left beside it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pytest

from inferometer.clock import utc_now
from inferometer.errors import RunFolderError
from inferometer.record import ChunkColumns, PointRecord, RequestRecord, RunMeta, chunk_table
from inferometer.record.folder import create_folder, read_meta, write_meta
from inferometer.record.journal import JournalWriter, PointStart, RequestFrame, StoredRequest, read_chunks
from inferometer.record.store import close_journal, read_run

EPOCH_NS = 1_000_000_000_000_000_123
ORDER = [(1, 4), (2, 1), (1, 1), (1, 0), (2, 0), (1, 3), (1, 2)]  # as they finished: point, index


def frame(point: int, index: int) -> RequestFrame:
    """A request with as many chunks as its index says, the last one without tokens."""
    record = RequestRecord(point=point, index=index, worker=index % 2, status="ok", planned_ns=EPOCH_NS)
    times = [EPOCH_NS + 1000 * point + 10 * index + place for place in range(index)]
    return RequestFrame(
        record,
        ChunkColumns(
            recv_ns=array("q", times).tobytes(),
            tokens=array("i", [*range(1, index), -1][:index]).tobytes(),
            chars=array("i", [3] * index).tobytes(),
            kind=bytes(index),
            read=array("i", range(index)).tobytes(),
            lag_ns=array("q", [5] * index).tobytes(),
        ),
    )


def unclosed(tmp_path: Path, order: Sequence[tuple[int, int]] = ORDER) -> Path:
    """A run of two workers that was not closed."""
    folder = create_folder(tmp_path, utc_now(), "m", "")
    points = [PointRecord(index=n, kind="measure", load={}, epoch_ns=EPOCH_NS, workers=2) for n in (1, 2)]
    write_meta(
        folder,
        RunMeta(
            run_id=folder.name,
            state="running",
            simulated=False,
            created_utc="",
            model="m",
            spec={},
            points=points,
        ),
    )
    for worker in range(2):
        journal = JournalWriter(folder / "journal" / f"worker-{worker}.seg")
        for point in points:
            journal.append(PointStart(point, worker))
        for point, index in order:
            if index % 2 == worker:
                journal.append(frame(point, index))
        journal.close()
    return folder


def rows(folder: Path) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Schema and rows of the table, in the order of the file."""
    query = (
        "SELECT * EXCLUDE file_row_number "
        f"FROM read_parquet('{folder}/chunks.parquet', file_row_number = true) ORDER BY file_row_number"
    )
    with duckdb.connect() as connection:
        schema = connection.execute(f"DESCRIBE {query}").fetchall()
        found = connection.execute(query).fetchall()
    return schema, found


@pytest.fixture
def whole(tmp_path: Path) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """The table as one batch writes it."""
    folder = unclosed(tmp_path / "whole")
    close_journal(folder, read_meta(folder))
    return rows(folder)


def test_the_table_is_ordered_by_point_and_request(
    whole: tuple[list[tuple[object, ...]], list[tuple[object, ...]]],
) -> None:
    schema, found = whole
    assert [(column[0], column[1]) for column in schema] == [
        ("point", "INTEGER"), ("request", "BIGINT"), ("recv_ns", "BIGINT"), ("tokens", "INTEGER"),
        ("chars", "INTEGER"), ("kind", "UTINYINT"), ("read", "INTEGER"), ("lag_ns", "BIGINT"),
    ]  # fmt: skip
    assert [row[:2] for row in found] == [
        (point, index) for point, index in sorted(ORDER) for _ in range(index)
    ]
    assert found[1] == (1, 2, EPOCH_NS + 1020, 1, 3, 0, 0, 5)
    assert found[2][3] is None


@pytest.mark.parametrize("batch_bytes", [1, 200, 350, 1 << 20])
def test_many_batches_write_the_same_table(
    batch_bytes: int,
    whole: tuple[list[tuple[object, ...]], list[tuple[object, ...]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_once = []

    def reading(requests: Sequence[StoredRequest]) -> list[ChunkColumns]:
        at_once.append([each.length for each in requests])
        return read_chunks(requests)

    monkeypatch.setattr(chunk_table, "BATCH_BYTES", batch_bytes)
    monkeypatch.setattr(chunk_table, "read_chunks", reading)
    folder = unclosed(tmp_path)
    close_journal(folder, read_meta(folder))
    assert rows(folder) == whole
    assert sum(map(len, at_once)) == len(ORDER)
    assert all(sum(batch[:-1]) < batch_bytes for batch in at_once), "never more than a batch in memory"
    assert [table.chunks["recv_ns"].tolist() for table in read_run(folder).tables] == [
        [1000 * point + 10 * index + place for index in range(count) for place in range(index)]
        for point, count in ((1, 5), (2, 2))
    ]
    assert sorted(path.name for path in folder.iterdir()) == [
        "chunks.parquet", "requests.parquet", "run.json", "telemetry.parquet"
    ]  # fmt: skip


@pytest.mark.parametrize("step", ["write_columns", "join"])
def test_a_close_that_fails_half_way_leaves_the_journal_alone(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(connection: object, path: Path, *others: object) -> None:
        path.write_bytes(b"half a table")
        raise duckdb.IOException('{"exception_message":"Could not write","errno":"28"}')

    monkeypatch.setattr(chunk_table, "BATCH_BYTES", 1)
    monkeypatch.setattr(chunk_table, step, full)
    folder = unclosed(tmp_path)
    with pytest.raises(RunFolderError, match="No space left on device"):
        close_journal(folder, read_meta(folder))
    assert sorted(path.name for path in folder.iterdir()) == ["journal", "requests.parquet", "run.json"]
    assert sorted(path.name for path in (folder / "journal").iterdir()) == ["worker-0.seg", "worker-1.seg"]
    monkeypatch.undo()
    close_journal(folder, read_meta(folder))
    assert len(rows(folder)[1]) == 11


def test_what_a_killed_close_left_goes_with_the_journal(
    whole: tuple[list[tuple[object, ...]], list[tuple[object, ...]]], tmp_path: Path
) -> None:
    folder = unclosed(tmp_path)
    parts = folder / "journal" / "tmpkilled"
    parts.mkdir()
    (parts / "0.parquet").write_bytes(b"PAR1")
    (folder / "chunks.parquet.tmp").write_bytes(b"PAR1")
    close_journal(folder, read_meta(folder))
    assert rows(folder) == whole
    assert sorted(path.name for path in folder.iterdir()) == [
        "chunks.parquet", "requests.parquet", "run.json", "telemetry.parquet"
    ]  # fmt: skip


def test_chunks_that_another_hand_wrote_in_another_order_are_read_in_order(tmp_path: Path) -> None:
    folder = unclosed(tmp_path)
    close_journal(folder, read_meta(folder))
    own = [
        {name: values.tolist() for name, values in table.chunks.items()} for table in read_run(folder).tables
    ]
    path = folder / "chunks.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE moved AS SELECT * FROM '{path}' ORDER BY request DESC, recv_ns")
        connection.execute(f"COPY moved TO '{path}' (FORMAT parquet)")
    for table, before in zip(read_run(folder).tables, own, strict=True):
        assert len(before["request"]) > 0
        for name, values in table.chunks.items():
            np.testing.assert_array_equal(values, before[name])

"""The journal survives any cut, and the tables hold what the journal held."""

from __future__ import annotations

import os
from array import array
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferometer.clock import utc_now
from inferometer.errors import RunFolderError
from inferometer.record import ChunkColumns, PointRecord, RequestRecord, RunMeta
from inferometer.record.folder import create_folder, point_latest, read_meta, slug, write_meta
from inferometer.record.journal import (
    JournalWriter,
    PointEnd,
    PointStart,
    RequestFrame,
    StoredRequest,
    read_journal,
)
from inferometer.record.store import close_journal, read_run

EPOCH_NS = 1_000_000_000_000_000_123  # larger than float64 holds exactly


def frame(index: int, error: str | None = None, point: int = 1) -> RequestFrame:
    return RequestFrame(
        RequestRecord(
            point=point,
            index=index,
            status="http_error" if error else "ok",
            error=error,
            planned_ns=EPOCH_NS + index,
            sent_ns=EPOCH_NS + index + 7,
            output_tokens_server=2,
            streamed=True,
        ),
        ChunkColumns(
            recv_ns=array("q", [EPOCH_NS + 11, EPOCH_NS + 13]).tobytes(),
            tokens=array("i", [1, -1]).tobytes(),
            chars=array("i", [3, 4]).tobytes(),
            kind=bytes([0, 1]),
            read=array("i", [0, 1]).tobytes(),
            lag_ns=array("q", [-1, 5]).tobytes(),
        ),
    )


def write(path: Path, count: int) -> None:
    journal = JournalWriter(path)
    for index in range(count):
        journal.append(frame(index))
    journal.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(cut=st.integers(0, 2000))
def test_a_cut_anywhere_costs_at_most_the_frame_it_hits(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.seg"
    path.unlink(missing_ok=True)
    write(path, 5)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(min(cut, size))
    frames = list(read_journal(path))
    assert [f.record.index for f in frames if isinstance(f, StoredRequest)] == list(range(len(frames)))
    if cut >= size:
        assert len(frames) == 5


@pytest.mark.parametrize("tail", [bytes(4096), b"\xff\xff\xff\x7f" + bytes(4) + b"x"])
def test_a_tail_that_was_never_written_is_no_frame(tmp_path: Path, tail: bytes) -> None:
    """A machine that lost power leaves zeros, or anything."""
    path = tmp_path / "a.seg"
    write(path, 2)
    with path.open("ab") as file:
        file.write(tail)
    assert len(list(read_journal(path))) == 2


def test_a_flipped_bit_ends_the_reading_before_it(tmp_path: Path) -> None:
    path = tmp_path / "a.seg"
    write(path, 3)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert len(list(read_journal(path))) == 2


def test_a_refused_write_leaves_whole_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.seg"
    journal = JournalWriter(path)
    journal.append(frame(0))
    real = os.write

    def full(fd: int, data: bytes) -> int:
        real(fd, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        journal.append(frame(1))
    monkeypatch.undo()
    journal.append(frame(2))
    journal.close()
    assert [f.record.index for f in read_journal(path) if isinstance(f, StoredRequest)] == [0, 2]


def folder_with(tmp_path: Path, frames: list[RequestFrame]) -> Path:
    folder = create_folder(tmp_path, utc_now(), "Org/Some Model:7B", "my label")
    start = PointRecord(index=1, kind="measure", load={}, planned_requests=3)
    meta = RunMeta(
        run_id=folder.name,
        state="running",
        simulated=False,
        created_utc="",
        model="m",
        spec={},
        points=[start],
    )
    write_meta(folder, meta)
    journal = JournalWriter(folder / "journal" / "worker-0.seg")
    journal.append(
        PointStart(PointRecord(index=1, kind="measure", load={}, planned_requests=3, epoch_ns=EPOCH_NS))
    )
    for each in frames:
        journal.append(each)
    end = PointRecord(
        index=1, kind="measure", load={}, epoch_ns=EPOCH_NS, stop_reason="complete", dispatched=3
    )
    journal.append(PointEnd(end))
    journal.close()
    return folder


def test_tables_keep_integers_exactly_and_absence_as_absence(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, [frame(2, 'HTTP 500: it\'s "broken" — 坏了'), frame(0), frame(1)])
    close_journal(folder, read_meta(folder))
    assert not (folder / "journal").exists()
    table = read_run(folder).measured[0]
    assert list(table.number("index")) == [0, 1, 2]
    assert list(table.number("planned_ns")) == [0, 1, 2]  # relative to the epoch, to the nanosecond
    assert list(table.number("sent_ns") - table.number("planned_ns")) == [7, 7, 7]
    assert np.isnan(table.number("first_token_ns")).all()
    assert list(table.text("error")) == [None, None, 'HTTP 500: it\'s "broken" — 坏了']
    assert list(table.number("streamed")) == [1.0, 1.0, 1.0]
    assert list(table.chunks["request"]) == [0, 0, 1, 1, 2, 2]
    assert list(table.chunks["recv_ns"][:2]) == [11, 13]
    assert np.isnan(table.chunks["tokens"][1])
    assert np.isnan(table.chunks["lag_ns"][0])
    assert table.point.stop_reason == "complete"


def test_a_run_without_a_finished_request_is_readable_too(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, [])
    close_journal(folder, read_meta(folder))
    assert len(read_run(folder).measured[0].number("index")) == 0


def test_a_run_that_was_not_closed_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="runs recover"):
        read_run(folder_with(tmp_path, [frame(0)]))


def test_folders_are_never_overwritten_and_latest_follows(tmp_path: Path) -> None:
    now = utc_now()
    first, second = (create_folder(tmp_path, now, "m", "") for _ in range(2))
    assert first != second
    for folder in (first, second):
        point_latest(tmp_path, folder)
        assert (tmp_path / "latest").resolve() == folder.resolve()


def test_a_newer_schema_and_a_broken_file_are_named(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, [])
    path = folder / "run.json"
    path.write_text(path.read_text().replace("inferometer.run/1", "inferometer.run/9"))
    with pytest.raises(RunFolderError, match=r"inferometer\.run/9"):
        read_meta(folder)
    path.write_text("{")
    with pytest.raises(RunFolderError, match="cannot be read"):
        read_meta(folder)
    with pytest.raises(RunFolderError, match="not a run folder"):
        read_meta(tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"), [("/models/Qwen2.5-7B/", "qwen2.5-7b"), ("a b:c", "a-b-c"), ("../..", "x")]
)
def test_names_become_safe_parts_of_a_path(name: str, expected: str) -> None:
    assert slug(name) == expected

"""A run is followed while it is written: nothing is lost, nothing comes twice, torn ends are waited for."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferometer.record import ChunkColumns, PointRecord, RequestRecord
from inferometer.record import following as following_module
from inferometer.record.following import RunFollower, quiet_s
from inferometer.record.journal import MAGIC, JournalWriter, PointEnd, PointStart, RequestFrame
from inferometer.record.lock import is_written, writing

POINT = PointRecord(index=1, kind="measure", load={"max_concurrency": 2}, epoch_ns=100)


def request(index: int, chunk_bytes: int = 8) -> RequestFrame:
    record = RequestRecord(point=1, index=index, status="ok", planned_ns=100 + index)
    return RequestFrame(record, ChunkColumns(recv_ns=b"\0" * chunk_bytes))


def as_bytes(*frames: object) -> bytes:
    payloads = [msgspec.msgpack.encode(frame) for frame in frames]
    return b"".join(struct.pack("<II", len(p), zlib.crc32(p)) + p for p in payloads)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    (tmp_path / "journal").mkdir()
    return tmp_path / "journal"


def test_each_frame_comes_once_and_without_its_chunks(journal: Path) -> None:
    writer = JournalWriter(journal / "worker-0.seg")
    follower = RunFollower(journal.parent)
    assert follower.look() == []
    writer.append(PointStart(POINT))
    writer.append(request(0))
    assert follower.look() == [PointStart(POINT), request(0).record]
    assert follower.look() == []
    writer.append(PointEnd(POINT))
    assert follower.look() == [PointEnd(POINT)]
    writer.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 400), max_size=12))
def test_however_it_is_cut_all_frames_come_in_order(journal: Path, cuts: list[int]) -> None:
    path = journal / "worker-0.seg"
    whole = MAGIC + as_bytes(PointStart(POINT), request(0), request(1), PointEnd(POINT))
    path.write_bytes(b"")
    follower, seen = RunFollower(journal.parent), []
    for end in [*sorted(cuts), len(whole)]:
        with path.open("r+b") as file:
            file.write(whole[:end])
        seen += follower.look()
    assert seen == [PointStart(POINT), request(0).record, request(1).record, PointEnd(POINT)]


def test_a_frame_that_was_cut_back_and_written_anew_comes_as_it_ended(journal: Path) -> None:
    path = journal / "worker-0.seg"
    path.write_bytes(MAGIC + as_bytes(request(0)) + as_bytes(request(1))[:-3])
    follower = RunFollower(journal.parent)
    assert follower.look() == [request(0).record]
    path.write_bytes(MAGIC + as_bytes(request(0), request(2)))
    assert follower.look() == [request(2).record]


def test_nothing_behind_a_broken_frame_is_read(journal: Path) -> None:
    broken = bytearray(as_bytes(request(0)))
    broken[-1] ^= 1
    (journal / "worker-0.seg").write_bytes(MAGIC + bytes(broken) + as_bytes(request(1)))
    follower = RunFollower(journal.parent)
    assert follower.look() == []
    assert not follower.behind


def test_a_long_journal_comes_in_parts_and_a_frame_longer_than_a_part_whole(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following_module, "MOST_BYTES", 64)
    (journal / "worker-0.seg").write_bytes(MAGIC + as_bytes(request(0, 1000), *map(request, range(1, 60))))
    follower = RunFollower(journal.parent)
    parts = [follower.look()]
    while follower.behind:
        parts.append(follower.look())
    assert [record.index for part in parts for record in part] == [*range(60)]
    assert len(parts) > 1


def test_a_journal_that_begins_anew_is_read_from_its_start(journal: Path) -> None:
    path = journal / "worker-0.seg"
    path.write_bytes(MAGIC + as_bytes(request(0), request(1)))
    follower = RunFollower(journal.parent)
    assert len(follower.look()) == 2
    whole = MAGIC + as_bytes(*(request(number) for number in range(5, 15)))
    path.write_bytes(
        whole
    )  # longer than the one before, and in the same inode, as file systems give them again
    assert follower.look() == [request(number).record for number in range(5, 15)]


def test_how_long_a_journal_has_been_quiet_is_told_by_its_files(journal: Path) -> None:
    path = journal / "worker-0.seg"
    path.write_bytes(MAGIC)
    for place, at_ns in ((journal, 3_000_000_000), (path, 5_000_000_000)):
        os.utime(place, ns=(at_ns, at_ns))
    assert quiet_s(journal.parent, 12_000_000_000) == 7.0
    assert quiet_s(journal.parent, 4_000_000_000) == 0.0  # the file server's clock is ahead
    path.unlink()
    journal.rmdir()
    assert quiet_s(journal.parent, 12_000_000_000) is None


def test_a_closed_run_has_nothing_more(journal: Path) -> None:
    follower = RunFollower(journal.parent)
    assert not follower.closed
    journal.rmdir()
    assert follower.closed
    assert follower.look() == []


def test_a_folder_that_is_written_to_is_told_from_one_that_is_not(tmp_path: Path) -> None:
    assert not is_written(tmp_path)
    with writing(tmp_path):
        assert is_written(tmp_path)
    assert not is_written(tmp_path)
    assert not is_written(tmp_path / "none")

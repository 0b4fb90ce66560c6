"""Times of another machine on our axis."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inferometer.record.clocks import ClockMap
from inferometer.record.folder import CLOCKS, JOURNAL, read_meta
from inferometer.record.journal import (
    Follower,
    JournalWriter,
    PointEnd,
    PointStart,
    RequestFrame,
    read_chunks,
)
from inferometer.record.merging import merge_shares
from inferometer.record.store import close_journal, read_frames
from inferometer.record.types import (
    ChunkColumns,
    ClientHealth,
    ClockMark,
    NodeRecord,
    PointRecord,
    RequestRecord,
    RunMeta,
    Sitting,
)

DAY_NS = 86_400_000_000_000
UPTIME_NS = 30 * 365 * DAY_NS  # more than float64 holds to a nanosecond


def mark(at_ns: int, offset_ns: int) -> ClockMark:
    return ClockMark(workers=[1], at_ns=at_ns, offset_ns=offset_ns, bound_ns=1)


def test_between_two_marks_the_clock_drifts_evenly_and_outside_not_at_all() -> None:
    clock = ClockMap([mark(2_000_000_000, 1_100), mark(1_000_000_000, 1_000)])
    theirs = [0, 1_000_000_000, 1_500_000_000, 2_000_000_000, 9_000_000_000]
    ours = [clock.ours(each) for each in theirs]
    assert [b - a for a, b in zip(ours, theirs, strict=True)] == [1_000, 1_000, 1_050, 1_100, 1_100]


@given(
    st.integers(0, UPTIME_NS),
    st.integers(-UPTIME_NS, UPTIME_NS),
    st.lists(st.integers(0, DAY_NS), max_size=20),
)
def test_a_clock_that_is_only_ahead_loses_no_nanosecond(start: int, ahead: int, later: list[int]) -> None:
    clock = ClockMap([mark(start, ahead), mark(start + DAY_NS, ahead)])
    theirs = [start + each for each in later]
    assert [clock.ours(each) for each in theirs] == [each - ahead for each in theirs]
    assert clock.all_ours(np.array(theirs, dtype=np.int64)).tolist() == [each - ahead for each in theirs]


def test_all_moments_of_a_journal_come_on_one_axis_and_spans_stay(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / JOURNAL).mkdir(parents=True)
    point = PointRecord(index=1, kind="measure", load={}, epoch_ns=5_000, workers=2)
    for worker, ahead in ((0, 0), (1, DAY_NS)):
        writer = JournalWriter(folder / JOURNAL / f"worker-{worker}.seg")
        own = msgspec.structs.replace(point, epoch_ns=5_000 + ahead)
        writer.append(PointStart(own, worker))
        record = RequestRecord(
            point=1, index=worker, worker=worker, status="ok", planned_ns=5_000 + ahead, end_ns=7_000 + ahead,
            receive_lag_max_ns=33,
        )  # fmt: skip
        writer.append(
            RequestFrame(record, ChunkColumns(recv_ns=np.array([6_000 + ahead], "<i8").tobytes(), kind=b"\0"))
        )
        writer.append(PointEnd(msgspec.structs.replace(own, end_ns=8_000 + ahead, dispatched=1), worker))
        writer.close()
    marks = JournalWriter(folder / JOURNAL / CLOCKS)
    marks.append(mark(DAY_NS, DAY_NS))
    marks.close()
    frames = read_frames(folder)
    assert [(f.record.planned_ns, f.record.end_ns, f.record.receive_lag_max_ns) for f in frames.requests] == [
        (5_000, 7_000, 33)
    ] * 2
    assert [np.frombuffer(each.recv_ns, "<i8").tolist() for each in read_chunks(frames.requests)] == [
        [6_000]
    ] * 2
    assert (frames.points[1].epoch_ns, frames.points[1].end_ns, frames.points[1].dispatched) == (
        5_000,
        8_000,
        2,
    )


def test_a_journal_that_is_still_written_is_followed_by_whole_frames(tmp_path: Path) -> None:
    path = tmp_path / "worker-0.seg"
    follower = Follower(path)
    assert (follower.whole(), follower.read(0, 100)) == (0, b"")
    writer = JournalWriter(path)
    writer.append(PointStart(PointRecord(index=1, kind="measure", load={})))
    whole = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"\xff\0\0\0\0\0\0\0torn")
    assert follower.whole() == whole
    first = follower.read(0, 10)
    assert first + follower.read(10, 1 << 20) == path.read_bytes()[:whole]
    writer.close()


def test_a_worker_that_was_lost_counts_as_not_reported_however_much_it_said() -> None:
    health = ClientHealth(receive_clock="kernel", cpu_s=0.1, wall_s=1.0)
    point = PointRecord(index=1, kind="measure", load={}, workers=2, health=[health], dispatched=3)
    lost = msgspec.structs.replace(point, stop_reason="lost")
    merged = merge_shares([msgspec.structs.replace(point, stop_reason="complete"), lost])
    assert (merged.stop_reason, merged.dispatched, len(merged.health)) == ("lost", 6, 1)


def test_a_run_that_was_killed_still_tells_how_its_clocks_compared(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).mkdir()
    nodes = [
        NodeRecord(node_id="n", name="n", address="h", workers=[1], clock=[mark(1, 5)], sitting=sitting)
        for sitting in (0, 1)
    ]
    meta = RunMeta(
        run_id="r", state="running", simulated=False, created_utc="", model="m", spec={}, nodes=nodes,
        sittings=[Sitting(began_utc=""), Sitting(began_utc="")],
    )  # fmt: skip
    stored = JournalWriter(tmp_path / JOURNAL / CLOCKS)
    for each in (mark(1, 5), mark(2, 7), ClockMark(workers=[0], at_ns=3, offset_ns=0, bound_ns=1)):
        stored.append(each)
    stored.close()
    close_journal(tmp_path, meta)
    told = [[each.offset_ns for each in node.clock] for node in read_meta(tmp_path).nodes]
    assert told == [[5], [5, 7]], "and the earlier sitting had other comparisons"

"""A load point is the sum of its workers' shares, in the parent and from the journals alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inferometer.clock import utc_now
from inferometer.record.folder import create_folder, read_meta, write_meta
from inferometer.record.journal import JournalWriter, PointEnd, PointStart, RequestFrame
from inferometer.record.merging import lost_share, merge_shares
from inferometer.record.store import close_journal, read_run
from inferometer.record.types import ChunkColumns, ClientHealth, PointRecord, RequestRecord, RunMeta

EPOCH_NS = 1_000_000


def share(**changes: Any) -> PointRecord:
    fields: dict[str, Any] = {
        "index": 1,
        "kind": "measure",
        "load": {},
        "planned_requests": 6,
        "workers": 2,
        "epoch_ns": EPOCH_NS,
    }
    return PointRecord(**{**fields, **changes})


def ended(worker: int, **changes: Any) -> PointRecord:
    health = ClientHealth(receive_clock="kernel", worker=worker, cpu_s=1.0, wall_s=2.0)
    usual = {"end_ns": EPOCH_NS + worker, "stop_reason": "complete", "dispatched": 3, "health": [health]}
    return share(**{**usual, **changes})


def test_requests_add_up_and_the_last_worker_decides_the_end() -> None:
    merged = merge_shares([ended(1), ended(0)])
    assert (merged.dispatched, merged.epoch_ns, merged.end_ns) == (6, EPOCH_NS, EPOCH_NS + 1)
    assert (merged.stop_reason, merged.workers, merged.planned_requests) == ("complete", 2, 6)
    assert [health.worker for health in merged.health] == [0, 1]


@pytest.mark.parametrize(
    ("reasons", "gravest"),
    [
        (("complete", "duration"), "duration"),
        (("data", "duration"), "data"),
        (("data", "interrupted"), "interrupted"),
        (("unreachable", "interrupted"), "unreachable"),
        (("unreachable", "disk"), "disk"),
        (("disk", "lost"), "lost"),
        (("complete", None), "complete"),
    ],
)
def test_the_gravest_reason_is_that_of_the_point(reasons: tuple[Any, Any], gravest: str) -> None:
    for pair in (reasons, reasons[::-1]):
        assert (
            merge_shares([ended(0, stop_reason=pair[0]), ended(1, stop_reason=pair[1])]).stop_reason
            == gravest
        )


def test_a_lost_share_leaves_the_others_as_they_were() -> None:
    merged = merge_shares([lost_share(share(), 2), ended(1)])
    assert (merged.stop_reason, merged.dispatched, merged.end_ns) == ("lost", 5, EPOCH_NS + 1)
    assert [health.worker for health in merged.health] == [1]


def recovered(tmp_path: Path, *journals: list[Any]) -> PointRecord:
    """The load point after the journals of its workers were closed."""
    folder = create_folder(tmp_path, utc_now(), "m", "")
    asked = share(epoch_ns=None)
    write_meta(
        folder,
        RunMeta(
            run_id=folder.name,
            state="running",
            simulated=False,
            created_utc="",
            model="m",
            spec={},
            points=[asked],
        ),
    )
    for worker, frames in enumerate(journals):
        journal = JournalWriter(folder / "journal" / f"worker-{worker}.seg")
        for frame in frames:
            journal.append(frame)
        journal.close()
    close_journal(folder, read_meta(folder))
    return read_run(folder).tables[0].point


def request(worker: int, index: int) -> RequestFrame:
    record = RequestRecord(point=1, index=index, worker=worker, status="ok", planned_ns=EPOCH_NS)
    return RequestFrame(record, ChunkColumns())


def test_journals_of_two_workers_are_one_load_point(tmp_path: Path) -> None:
    point = recovered(
        tmp_path,
        [PointStart(share(), 0), request(0, 0), PointEnd(ended(0), 0)],
        [PointStart(share(), 1), request(1, 1), PointEnd(ended(1), 1)],
    )
    assert (point.dispatched, point.stop_reason, len(point.health)) == (6, "complete", 2)


def test_a_worker_without_an_end_was_lost_and_its_records_had_been_sent(tmp_path: Path) -> None:
    point = recovered(
        tmp_path,
        [PointStart(share(), 0), PointEnd(ended(0), 0)],
        [PointStart(share(), 1), request(1, 1), request(1, 3)],
    )
    assert (point.dispatched, point.stop_reason, len(point.health)) == (3 + 2, "lost", 1)


def test_a_worker_that_did_not_even_begin_was_lost_too(tmp_path: Path) -> None:
    point = recovered(tmp_path, [PointStart(share(), 0), PointEnd(ended(0), 0)])
    assert (point.dispatched, point.stop_reason) == (3, "lost")


def test_a_point_that_no_worker_began_stays_as_it_was_asked(tmp_path: Path) -> None:
    point = recovered(tmp_path, [])
    assert (point.epoch_ns, point.stop_reason, point.dispatched) == (None, None, 0)

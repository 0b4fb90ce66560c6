"""A run that goes on: of two measurements of a load point one counts, and closing may be killed anywhere."""

from __future__ import annotations

import shutil
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pytest

from inferometer.clock import utc_now
from inferometer.record import (
    ChunkColumns,
    HealthSample,
    PointRecord,
    RequestRecord,
    RunMeta,
    chunk_table,
    parquet,
    store,
)
from inferometer.record.folder import create_folder, read_meta, write_meta
from inferometer.record.journal import JournalWriter, PointEnd, PointStart, RequestFrame
from inferometer.record.sittings import came_to_its_end, is_finished, successor
from inferometer.record.store import close_journal, read_closed_point, read_run, stored_points
from inferometer.record.types import Sitting

EPOCH_NS = 1_000_000_000_000_000_123


def point(index: int, sitting: int = 0, *, end: str | None = "complete", redo: bool = False) -> PointRecord:
    """A load point that was begun; without ``end`` it was cut by the death of its worker."""
    return PointRecord(
        index=index,
        kind="measure",
        load={},
        epoch_ns=EPOCH_NS + sitting,
        end_ns=None if end is None else EPOCH_NS + 100,
        stop_reason=end,  # type: ignore[arg-type]
        sitting=sitting,
        redo=redo,
    )


def unbegun(index: int) -> PointRecord:
    return PointRecord(index=index, kind="measure", load={})


def request(index: int, number: int, sitting: int, status: str = "ok") -> RequestFrame:
    """Its third chunk came at a time that says which sitting it is of."""
    record = RequestRecord(
        point=index,
        index=number,
        status=status,
        planned_ns=EPOCH_NS,
        bytes_in=sitting,  # type: ignore[arg-type]
    )
    times = array("q", [EPOCH_NS + 1, EPOCH_NS + 2, EPOCH_NS + 3 + sitting]).tobytes()
    ones = array("i", [1, 1, 1]).tobytes()
    lags = array("q", [5, 5, 5]).tobytes()
    chunks = ChunkColumns(recv_ns=times, tokens=ones, chars=ones, kind=bytes(3), read=ones, lag_ns=lags)
    return RequestFrame(record, chunks)


def sample(index: int) -> HealthSample:
    return HealthSample(
        point=index,
        worker=0,
        at_ns=EPOCH_NS,
        span_s=1.0,
        cpu_share=0.1,
        voluntary_switches_per_s=0.0,
        involuntary_switches_per_s=0.0,
        loop_turns_per_s=1.0,
        backlog_peak_bytes=0,
        backlog_peak_age_s=0.0,
        in_flight_requests=0,
    )


def journal_of(folder: Path, points: Sequence[PointRecord], requests: int) -> None:
    """One sitting's journal: each load point with its requests, and its end unless it was cut."""
    (folder / "journal").mkdir(exist_ok=True)
    journal = JournalWriter(folder / "journal" / "worker-0.seg")
    for each in points:
        journal.append(PointStart(each))
        for number in range(requests):
            journal.append(request(each.index, number, each.sitting))
        journal.append(sample(each.index))
        if each.end_ns is not None:
            journal.append(PointEnd(each))
    journal.close()


def resumed(tmp_path: Path) -> Path:
    """A run of which 1 and 2 were measured and 3 was cut; 2 (by --redo) and 3 were measured again, 4 was cut."""
    folder = create_folder(tmp_path, utc_now(), "m", "")
    meta = RunMeta(
        run_id=folder.name,
        state="running",
        simulated=False,
        created_utc="",
        model="m",
        spec={},
        sittings=[Sitting(began_utc="")],
        points=[unbegun(index) for index in (1, 2, 3, 4)],
    )
    write_meta(folder, meta)
    journal_of(folder, [point(1), point(2), point(3, end=None)], requests=4)
    meta = close_journal(folder, meta)
    assert [each.stop_reason for each in meta.points] == ["complete", "complete", "lost", None]
    meta.sittings.append(Sitting(began_utc=""))
    meta.points[1].redo = True
    meta.points.reverse()  # shown in another order than measured
    write_meta(folder, meta)
    journal_of(folder, [point(2, 1), point(3, 1), point(4, 1, end=None)], requests=3)
    return folder


def contents(folder: Path) -> list[tuple[int, int, list[int]]]:
    """What the tables say: load point, its sitting by ``run.json``, and that of each request by its rows."""
    found = []
    for table in read_run(folder).tables:
        sittings = [int(number) for number in table.number("bytes_in")]
        # The last of three chunks of a request came 3 ns after the epoch, and one more for each sitting.
        own_epoch_ns = table.point.sitting  # the later sitting's load points began so much later
        chunks = (table.chunks["recv_ns"] + own_epoch_ns).reshape(-1, 3)
        assert chunks.tolist() == [[1, 2, 3 + sitting] for sitting in sittings]
        found.append((table.point.index, table.point.sitting, sittings))
    return found


EXPECTED = [(4, 1, [1] * 3), (3, 1, [1] * 3), (2, 1, [1] * 3), (1, 0, [0] * 4)]


def test_a_measurement_that_came_to_its_end_is_not_lost_to_one_that_was_cut() -> None:
    whole, cut, again = point(1, redo=True), point(1, 1, end=None), point(1, 1)
    assert successor(whole, cut) is whole
    assert successor(whole, again) == again
    assert successor(point(1, end=None), cut) == cut
    assert successor(unbegun(1), cut) == cut
    assert successor(whole, None) is whole


def test_what_was_noted_after_the_load_is_not_lost_when_the_journal_is_closed() -> None:
    stored, journalled = point(1), point(1)
    stored.prepared, journalled.prepared = ["cache emptied", "counters are not read"], ["cache emptied"]
    assert successor(stored, journalled).prepared == stored.prepared
    stored.prepared = []  # killed before the parent wrote it down
    assert successor(stored, journalled).prepared == ["cache emptied"]


@pytest.mark.parametrize(
    ("end", "whole"),
    [
        ("complete", True), ("duration", True), ("errors", True), ("saturated", True), ("data", False),
        ("interrupted", False), ("unreachable", False), ("disk", False), ("lost", False), (None, False),
    ],
)  # fmt: skip
def test_what_was_cut_short_is_measured_again(end: str | None, whole: bool) -> None:
    assert came_to_its_end(point(1, end=end)) is whole
    assert is_finished(point(1, end=end), {1: 3}) is whole
    assert not is_finished(point(1, end=end), {})  # nothing succeeded
    assert not is_finished(point(1, end=end, redo=True), {1: 3})


def test_a_run_that_goes_on_keeps_what_it_does_not_measure_again(tmp_path: Path) -> None:
    folder = resumed(tmp_path)
    before = stored_points(folder, read_meta(folder))
    meta = close_journal(folder, read_meta(folder))
    assert contents(folder) == EXPECTED
    assert [each.redo for each in meta.points] == [False] * 4
    after = stored_points(folder, meta)
    assert before == after
    assert after.successes == {1: 4, 2: 3, 3: 3, 4: 3}
    assert set(read_run(folder).telemetry.point) == {1, 2, 3, 4}
    assert set(Counter(read_run(folder).telemetry.point).values()) == {8}
    table, telemetry = read_closed_point(folder, meta.points[1])
    assert (table.point.index, len(table.number("index")), set(telemetry.point)) == (3, 3, {3})


class Killed(BaseException):
    """What SIGKILL is to the code after it."""


def steps(monkeypatch: pytest.MonkeyPatch, survive: int) -> Callable[[], int]:
    """Die at the step after so many that change the folder; says how many were done."""
    done = 0

    def counted(owner: object, name: str) -> None:
        original = getattr(owner, name)

        def step(*args: object, **kwargs: object) -> object:
            nonlocal done
            if done == survive:
                raise Killed
            done += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, step)

    counted(Path, "replace")
    counted(Path, "rename")
    counted(store, "write_columns")
    counted(chunk_table, "write_columns")
    counted(parquet, "make_durable")
    counted(store, "write_meta")
    counted(store.shutil, "rmtree")
    return lambda: done


def test_closing_may_be_killed_at_any_step_and_is_done_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = resumed(tmp_path / "begun")
    folder = shutil.copytree(begun, tmp_path / "whole")
    with monkeypatch.context() as patch:
        count = steps(patch, survive=-1)
        close_journal(folder, read_meta(folder))
        total = count()
    assert total > 12
    for survived in range(total):
        folder = shutil.copytree(begun, tmp_path / str(survived))
        with monkeypatch.context() as patch:
            steps(patch, survived)
            with pytest.raises(Killed):
                close_journal(folder, read_meta(folder))
        if (folder / "journal").is_dir():
            close_journal(folder, read_meta(folder))
        assert contents(folder) == EXPECTED, survived


def test_a_journal_that_nothing_was_written_to_costs_nothing(tmp_path: Path) -> None:
    """Killed between ``--resume`` and the first load point, after a sitting that was killed at its very end."""
    folder = resumed(tmp_path)
    meta = close_journal(folder, read_meta(folder))
    (folder / ".journal-closed").mkdir()
    (folder / ".journal-closed" / "worker-0.seg").touch()
    meta.sittings.append(Sitting(began_utc=""))
    write_meta(folder, meta)
    (folder / "journal").mkdir()
    close_journal(folder, read_meta(folder))
    assert contents(folder) == EXPECTED


def test_a_cut_measurement_leaves_the_one_before_it_and_its_rows(tmp_path: Path) -> None:
    folder = resumed(tmp_path)
    meta = close_journal(folder, read_meta(folder))
    meta.sittings.append(Sitting(began_utc=""))
    meta.points[2].redo = True  # load point 2
    write_meta(folder, meta)
    journal_of(folder, [point(2, 2, end=None)], requests=2)
    meta = close_journal(folder, read_meta(folder))
    assert contents(folder) == EXPECTED
    assert meta.points[2].redo  # and is still to be measured again


def test_a_table_of_an_older_version_goes_on_with_new_columns(tmp_path: Path) -> None:
    folder = resumed(tmp_path)
    old = folder / "requests.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT * EXCLUDE (image_bytes) FROM '{old}') TO '{old}.x' (FORMAT parquet)"
        )
    old.with_name("requests.parquet.x").replace(old)
    (folder / "telemetry.parquet").unlink()
    close_journal(folder, read_meta(folder))
    assert contents(folder) == EXPECTED

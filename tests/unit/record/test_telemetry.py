"""Samples go through the journal into a table of their own, and a folder without that table is read too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from inferometer.clock import utc_now
from inferometer.record import HealthSample, PointRecord, RequestRecord, RunMeta
from inferometer.record.folder import create_folder, read_meta, write_meta
from inferometer.record.journal import JournalWriter, PointStart, RequestFrame, read_journal
from inferometer.record.store import close_journal, read_run
from inferometer.record.types import ChunkColumns

EPOCH_NS = 1_000_000_000_000_000_123  # larger than float64 holds exactly


def sample(worker: int, second: int, **values: Any) -> HealthSample:
    known = {
        "span_s": 1.0, "cpu_share": 0.25, "voluntary_switches_per_s": 40.0, "involuntary_switches_per_s": 2.0,
        "loop_turns_per_s": 900.0, "backlog_peak_bytes": 0, "backlog_peak_age_s": 0.0, "in_flight_requests": 8,
    }  # fmt: skip
    return HealthSample(point=1, worker=worker, at_ns=EPOCH_NS + second, **(known | values))


def killed_run(tmp_path: Path, samples: list[HealthSample]) -> Path:
    """A folder whose workers were killed after these samples and one request each."""
    folder = create_folder(tmp_path, utc_now(), "m", "")
    point = PointRecord(index=1, kind="measure", load={}, epoch_ns=EPOCH_NS, workers=2)
    meta = RunMeta(
        run_id=folder.name,
        state="running",
        simulated=False,
        created_utc="",
        model="m",
        spec={},
        points=[point],
    )
    write_meta(folder, meta)
    for worker in range(2):
        journal = JournalWriter(folder / "journal" / f"worker-{worker}.seg")
        journal.append(PointStart(point, worker))
        record = RequestRecord(
            point=1, index=worker, worker=worker, status="ok", planned_ns=EPOCH_NS, blurred_chunks=3,
            blur_max_ns=700_000, receive_lag_max_ns=800_000,
        )  # fmt: skip
        journal.append(RequestFrame(record, ChunkColumns()))
        for each in samples:
            if each.worker == worker:
                journal.append(each)
        journal.close()
    return folder


def test_a_sample_is_a_small_frame_that_comes_back_as_it_went(tmp_path: Path) -> None:
    path = tmp_path / "a.seg"
    journal = JournalWriter(path)
    full = sample(1, 5, run_queue_wait_share=0.01, loop_turn_p99_s=1e-4, rss_bytes=1 << 27)
    journal.append(full)
    journal.close()
    assert list(read_journal(path)) == [full]
    assert path.stat().st_size < 600


def test_a_killed_run_has_its_samples_too(tmp_path: Path) -> None:
    samples = [sample(1, 1, cpu_share=0.5), sample(0, 2, rss_bytes=1 << 27), sample(0, 1)]
    folder = killed_run(tmp_path, samples)
    close_journal(folder, read_meta(folder))
    telemetry = read_run(folder).telemetry
    at_ns, share = telemetry.series(1, "client/0", "cpu_share")
    assert at_ns.tolist() == [EPOCH_NS + 1, EPOCH_NS + 2], "to the nanosecond"
    assert share.tolist() == [0.25, 0.25]
    assert telemetry.series(1, "client/1", "cpu_share")[1].tolist() == [0.5]
    assert telemetry.series(1, "client/0", "rss_bytes")[0].tolist() == [EPOCH_NS + 2], "absent has no row"
    assert not len(telemetry.series(2, "client/0", "cpu_share")[0])
    assert not len(telemetry.series(1, "client/0", "run_queue_wait_share")[0])
    assert len(telemetry.value) == 3 * 8 + 1
    assert (telemetry.point.dtype, telemetry.value.dtype) == (np.int64, np.float64)


def test_the_table_is_in_long_format(tmp_path: Path) -> None:
    folder = killed_run(tmp_path, [sample(0, 1)])
    close_journal(folder, read_meta(folder))
    rows = duckdb.sql(f"DESCRIBE SELECT * FROM read_parquet('{folder}/telemetry.parquet')").fetchall()
    assert [row[:2] for row in rows] == [
        ("point", "BIGINT"), ("at_ns", "BIGINT"), ("source", "VARCHAR"), ("name", "VARCHAR"), ("value", "DOUBLE"),
    ]  # fmt: skip


@pytest.mark.parametrize("table", ["empty", "missing"])
def test_a_run_without_samples_is_read(tmp_path: Path, table: str) -> None:
    folder = killed_run(tmp_path, [])
    close_journal(folder, read_meta(folder))
    if table == "missing":  # written by a version that took none
        (folder / "telemetry.parquet").unlink()
    telemetry = read_run(folder).telemetry
    assert [len(column) for column in (telemetry.at_ns, telemetry.source, telemetry.value)] == [0, 0, 0]


def test_lengths_of_time_are_not_counted_from_the_epoch(tmp_path: Path) -> None:
    folder = killed_run(tmp_path, [])
    close_journal(folder, read_meta(folder))
    table = read_run(folder).tables[0]
    assert table.number("blur_max_ns").tolist() == [700_000, 700_000]
    assert table.number("receive_lag_max_ns").tolist() == [800_000, 800_000]
    assert table.number("planned_ns").tolist() == [0, 0]


def test_a_table_of_an_older_version_lacks_columns_and_is_read(tmp_path: Path) -> None:
    folder = killed_run(tmp_path, [])
    close_journal(folder, read_meta(folder))
    path, old = folder / "requests.parquet", tmp_path / "old.parquet"
    duckdb.sql(
        f"COPY (SELECT * EXCLUDE (blurred_chunks, blur_max_ns, response_id) FROM read_parquet('{path}')) "
        f"TO '{old}' (FORMAT parquet)"
    )
    old.replace(path)
    table = read_run(folder).tables[0]
    assert np.isnan(table.number("blurred_chunks")).all()
    assert np.isnan(table.number("blur_max_ns")).all()
    assert list(table.text("response_id")) == [None, None]
    assert table.number("index").tolist() == [0, 1]

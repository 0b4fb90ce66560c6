"""A run folder that holds nonsense is refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferometer.errors import RunFolderError
from inferometer.record.folder import read_meta, write_meta
from inferometer.record.store import read_run
from inferometer.record.types import PointRecord, RunMeta


def test_tables_that_are_none_are_refused(tmp_path: Path) -> None:
    meta = RunMeta(run_id="a", state="complete", simulated=False, created_utc="", model="m", spec={})
    write_meta(tmp_path, meta)
    for name in ("requests.parquet", "chunks.parquet"):
        (tmp_path / name).write_bytes(b"PAR1 and then nothing")
    with pytest.raises(RunFolderError, match="cannot be read") as told:
        read_run(tmp_path)
    assert "copied whole" in told.value.next_step


@pytest.mark.parametrize("content", [b'{"verdict":' + b"[" * 100_000, b'{"run_id": "\xff"}'])
def test_run_json_of_brackets_or_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(RunFolderError, match="cannot be read"):
        read_meta(tmp_path)


def test_a_load_that_is_no_number_is_refused_by_its_key(tmp_path: Path) -> None:
    load = {"max_concurrency": 4, "request_rate": "inf"}
    meta = RunMeta(
        run_id="a", state="complete", simulated=False, created_utc="", model="m", spec={},
        points=[PointRecord(index=1, kind="measure", load=load)],
    )  # fmt: skip
    write_meta(tmp_path, meta)
    assert read_meta(tmp_path).points[0].load == load
    load["max_concurrency"] = "many"
    write_meta(tmp_path, meta)
    with pytest.raises(RunFolderError, match=r"run\.json.*points\[0\]\.load\.max_concurrency is 'many'"):
        read_meta(tmp_path)

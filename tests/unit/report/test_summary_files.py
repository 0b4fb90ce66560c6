import json
from pathlib import Path

import pytest
from run_builder import point, run, steady_requests, tiny

from inferometer.errors import RunFolderError
from inferometer.report.files import write_summary


def test_one_point_gives_a_summary_and_one_vllm_object(tmp_path: Path) -> None:
    written = write_summary(run(tiny(), path=tmp_path))
    assert written == (tmp_path / "summary.json", tmp_path / "vllm.json")
    summary = json.loads(written[0].read_text())
    assert summary["schema"] == "inferometer.summary/1"
    assert summary["verdict"]["word"] == "INVALID"
    assert summary["points"][0]["stats"]["ttft_ms"]["max"] == 25.0
    assert summary["points"][0]["values"]["peak_output_throughput_per_s"] is None
    assert json.loads(written[1].read_text())["completed"] == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["summary.json", "vllm.json"], (
        "no temporary file stays"
    )


def test_several_points_give_an_object_each_and_writing_again_replaces_them(tmp_path: Path) -> None:
    closed = run(tiny(), point(*steady_requests(7), index=2), path=tmp_path)
    write_summary(closed)
    written = write_summary(closed)
    assert [str(p.relative_to(tmp_path)) for p in written] == [
        "summary.json", "vllm.json", "vllm/point-001.json", "vllm/point-002.json",
    ]  # fmt: skip
    assert json.loads((tmp_path / "vllm.json").read_text())["completed"] == 7
    assert json.loads((tmp_path / "vllm" / "point-001.json").read_text())["completed"] == 3


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone" / "run"
    with pytest.raises(RunFolderError, match=r"summary\.json cannot be written"):
        write_summary(run(tiny(), path=gone))


def test_a_spec_of_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"spec\.measure\.unheard_of"):
        write_summary(run(tiny(), path=tmp_path, spec={"measure": {"unheard_of": 1}}))

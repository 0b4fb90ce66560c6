"""A server that does not stream: no time is made up, and the run says whose wish that was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import check_succeeded, run, statuses, stored

from inferometer import api
from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.simulator.server.faults import Fault


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with start_simulated_server(SimSettings(base_s=0.001, fault=Fault(kind="not_stream"))) as server:
        yield server.url


def test_a_stream_was_asked_for(url: str, tmp_path: Path) -> None:
    done = run(url, tmp_path)
    record = stored(tmp_path)
    text = " ".join(done.out.split())
    assert done.code == 5
    assert done.out.startswith("INVALID: streamed")
    assert "streamed 0 %" in text
    assert "TTFT, TPOT and ITL are not measurable" in text
    assert "--no-stream" in text
    (table,) = record.measured
    assert statuses(record) == ["ok"] * 20
    assert np.isnan(table.number("first_token_ns")).all()
    assert (table.number("streamed") == 0).all()
    stats = api.report(record.path).points[0].stats
    assert not {"ttft_ms", "ttfat_ms", "tpot_ms", "itl_ms"} & stats.keys()
    assert stats["e2el_ms"].count == 20
    vllm = json.loads((record.path / "vllm.json").read_text())
    assert vllm.get("median_ttft_ms") is None
    assert vllm["completed"] == 20


def test_no_stream_was_asked_for(url: str, tmp_path: Path) -> None:
    done = run(url, tmp_path, "--no-stream", "--slo", "e2el:60000")
    record = stored(tmp_path)
    check_succeeded(done, tmp_path)
    assert "streamed" not in done.out
    summary = api.report(record.path)
    assert "streamed" not in {c.name for c in summary.points[0].verdict.failed}
    assert "ttft_ms" not in summary.points[0].stats
    assert summary.points[0].stats["e2el_ms"].count == 20
    assert statuses(record) == ["ok"] * 20

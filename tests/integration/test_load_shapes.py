"""Loads that change, requests that are given up, load points that are stopped: against real sockets."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import Done, check_message, check_sound, folders, here, statuses, stored

from inferometer.loadgen import stopping
from inferometer.record.tables import PointTable
from inferometer.simulator import SimSettings, start_simulated_server
from inferometer.simulator.server.faults import Fault
from inferometer.spec import LoadPoint

SHORT = ("--input-len", "16", "--warmup", "0", "--percentiles", "50")
TWENTY = ("--output-len", "20")


@pytest.fixture
def url() -> Iterator[str]:
    with start_simulated_server(SimSettings(base_s=0.002)) as server:
        yield server.url


def run(url: str, out: Path, *flags: str) -> Done:
    length = () if "--output-len" in flags else TWENTY
    return here("run", "--url", url, "--out", str(out), "--quiet", *SHORT, *length, *flags)


def measured(out: Path) -> PointTable:
    (table,) = stored(out).measured
    return table


def server_counts(url: str) -> dict[str, int]:
    """What the engine says of itself: requests by how they ended, and sequences that it still has."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as reply:
        text = reply.read().decode()
    ended = re.findall(r'success_total\{.*finished_reason="(\w+)"\} (\d+)', text)
    left = re.findall(r"num_requests_(running|waiting)\{.*\} (\d+)", text)
    return {name: int(number) for name, number in [*ended, *left]}


def test_a_share_of_the_requests_is_given_up_after_a_part_of_the_answer(url: str, tmp_path: Path) -> None:
    """The engine drops their sequences; what had arrived of the answers is in the record."""
    done = run(
        url,
        tmp_path,
        "--max-concurrency",
        "6",
        "--num-prompts",
        "120",
        "--cancel-share",
        "0.25",
        "--workers",
        "2",
    )
    check_sound(tmp_path)
    table = measured(tmp_path)
    ended = statuses(stored(tmp_path))
    aborted = np.asarray(table.text("status") == "aborted", dtype=bool)
    given_up = int(aborted.sum())
    assert set(ended) == {"ok", "aborted"}
    assert len(ended) == 120
    assert 15 <= given_up <= 45
    assert f"given up {given_up} of 120 as asked" in done.out
    assert not np.isnan(table.number("first_token_ns")[aborted]).any()
    chunks = np.bincount(table.chunks["request"].astype(int), minlength=120)[aborted]
    assert chunks.min() >= 1
    assert len(set(chunks.tolist())) > 5  # at a random point
    assert chunks.max() <= 22
    assert server_counts(url) == {
        "stop": 0,
        "length": 120 - given_up,
        "abort": given_up,
        "running": 0,
        "waiting": 0,
    }


def test_requests_are_given_up_within_a_time_before_or_after_the_first_token(
    url: str, tmp_path: Path
) -> None:
    slow = ("--output-len", "60", "--cancel-share", "0.5", "--cancel-within", "60ms")
    run(url, tmp_path, "--request-rate", "60", "--num-prompts", "60", *slow)
    check_sound(tmp_path)
    table = measured(tmp_path)
    aborted = np.asarray(table.text("status") == "aborted", dtype=bool)
    took_ms = ((table.number("end_ns") - table.number("sent_ns")) / 1e6)[aborted]
    assert 15 <= aborted.sum() <= 45
    assert took_ms.min() >= 0.0
    assert np.ptp(took_ms) > 20.0
    counts = server_counts(url)
    assert counts["length"] == 60 - aborted.sum()
    # The client may have left before the engine had the request.
    assert counts["abort"] <= aborted.sum()
    assert (counts["running"], counts["waiting"]) == (0, 0)


def test_a_session_whose_turn_is_given_up_ends_without_a_failure(url: str, tmp_path: Path) -> None:
    turns = ("--turns", "3", "--turn-input-len", "8", "--cancel-share", "0.3")
    run(url, tmp_path, "--max-concurrency", "4", "--num-prompts", "16", *turns)
    check_sound(tmp_path)
    table = measured(tmp_path)
    status, sent = table.text("status"), ~np.isnan(table.number("sent_ns"))
    assert len(status) == 48
    assert set(status) == {"ok", "aborted"}
    assert ((status == "aborted") & sent).any()
    assert ((status == "aborted") & ~sent).any()  # the turns that would have followed


def test_a_ramp_of_concurrency_rises_as_asked_over_the_sum_of_workers(url: str, tmp_path: Path) -> None:
    run(
        url,
        tmp_path,
        "--max-concurrency",
        "9",
        "--ramp-time",
        "800ms",
        "--duration",
        "1200ms",
        "--workers",
        "3",
    )
    check_sound(tmp_path)
    table = measured(tmp_path)
    load = LoadPoint.from_dict(table.point.load)
    assert load.curve is not None
    start, end = table.number("sent_ns"), table.number("end_ns")
    for at_ns in np.linspace(50e6, 1100e6, 12):
        in_flight = int(((start <= at_ns) & (end > at_ns)).sum())
        assert in_flight <= load.curve.level(at_ns / 1e9) + 1e-9
    assert set(table.number("worker")) == {0, 1, 2}


def test_rounds_do_not_overlap(url: str, tmp_path: Path) -> None:
    run(url, tmp_path, "--max-concurrency", "5", "--num-prompts", "20", "--waves", "--range-ratio", "0.5",
        "--range-ratio-as", "vllm")  # fmt: skip
    check_sound(tmp_path)
    table = measured(tmp_path)
    start, end = (table.number(name).reshape(4, 5) for name in ("sent_ns", "end_ns"))
    assert (start.min(axis=1)[1:] >= end.max(axis=1)[:-1]).all()


def test_what_is_in_flight_when_time_is_up_is_finished_or_cut_off(url: str, tmp_path: Path) -> None:
    for drain, ends in (("finish", {"ok"}), ("cut", {"ok", "cancelled"})):
        out = tmp_path / drain
        done = run(url, out, "--max-concurrency", "4", "--duration", "500ms", "--drain", drain)
        assert set(statuses(stored(out))) == ends
        summary = json.loads((folders(out)[0] / "summary.json").read_text())
        (point,) = summary["points"]
        assert point["stop_reason"] == "duration"
        assert point["counts"]["failed"] == 0
        assert (point["counts"]["cut_off"] > 0) is (drain == "cut")
        assert ("cut off" in done.out) is (drain == "cut")


def test_too_many_errors_stop_the_load_point_and_the_next_one_is_measured(tmp_path: Path) -> None:
    broken = SimSettings(base_s=0.002, fault=Fault(kind="status", status=500, share=0.5))
    with start_simulated_server(broken) as server:
        done = run(
            server.url,
            tmp_path,
            "--request-rate",
            "80",
            "100",
            "--duration",
            "20s",
            "--stop-on-errors",
            "0.2",
        )
    record = stored(tmp_path)
    assert [table.point.stop_reason for table in record.measured] == ["errors", "errors"]
    assert all(20 <= len(table.text("status")) < 800 for table in record.measured)
    assert done.code == 5  # INVALID: half of the requests failed
    assert "went above --stop-on-errors" in done.out
    assert record.meta.state == "complete"


def test_a_server_that_falls_behind_is_left_and_higher_rates_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen sequences of 20 tokens, 10 ms a step: some 80 requests/s. The parent, which decides, is this process."""
    monkeypatch.setattr(stopping, "LEAST_S", 1.0)
    with start_simulated_server(SimSettings(base_s=0.01, max_num_seqs=16)) as server:
        rates = ("--request-rate", "300", "400", "--duration", "60s", "--drain", "cut")
        run(server.url, tmp_path, "--stop-on-saturation", *rates)
    record = stored(tmp_path)
    assert [table.point.stop_reason for table in record.measured] == ["saturated"]
    (table,) = record.measured
    assert np.nanmax(table.number("sent_ns")) < 15e9
    assert record.meta.notes[-1].endswith("load points left out after it: 1")
    assert set(statuses(record, table.point.index)) <= {"ok", "cancelled"}


def test_contradictions_are_told_before_anything_is_sent(tmp_path: Path) -> None:
    done = run("http://127.0.0.1:9", tmp_path, "--max-concurrency", "4", "--burst", "8")
    check_message(done, 2, "--burst 8", "--waves")
    assert not folders(tmp_path)

"""A small trace against the simulated server: arrivals as recorded, and a prefix cache that sees what it names."""

import json
import urllib.request

import pytest
from commands import check_sound, check_succeeded, folders, here, stored

from inferometer import api
from inferometer.simulator import SimSettings, start_simulated_server

# 24 requests within 2.3 s: 8 conversations of 3 turns, each turn repeating the blocks of the one before.
ROWS = [
    {
        "timestamp": 100 * (8 * turn + chat),
        "input_length": 512 * (turn + 1) + 100 + chat,
        "output_length": 3 + chat,
        "hash_ids": [*(100 * chat + block for block in range(turn + 1)), 1000 * chat + 50 + turn],
    }
    for turn in range(3)
    for chat in range(8)
]
SHARED = sum(512 * turn for turn in range(3)) * 8
TOTAL = sum(row["input_length"] for row in ROWS)
FAST = {"per_token_s": 1e-6, "max_num_batched_tokens": 65536}


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "trace.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    return ("--dataset", "mooncake", "--dataset-path", str(path))


def replay(url, out, *flags):
    return here("run", "--url", url, "--out", str(out), "--quiet", *flags)


def planned_ms(table):
    """Planned times of a load point, from its first one."""
    planned = table.number("planned_ns")
    return ((planned - planned.min()) / 1e6).tolist()


def test_a_trace_is_replayed_at_its_own_times_and_shares_what_it_names(tmp_path, trace):
    out = tmp_path / "runs"
    with start_simulated_server(SimSettings(**FAST)) as server:
        done = replay(server.url, out, *trace, "--trace-speed", "4", "--workers", "2")
        check_succeeded(done, out)
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=5) as reply:
            metrics = reply.read().decode()
    record = stored(out)
    (table,) = record.measured
    assert planned_ms(table) == [25 * place for place in range(24)]
    assert table.number("input_tokens_server").tolist() == [row["input_length"] for row in ROWS]
    assert table.number("output_tokens_server").tolist() == [row["output_length"] for row in ROWS]
    assert table.number("row").tolist() == list(range(24))
    assert table.point.planned_requests == 24
    assert table.point.schedule_sha256
    values = api.report(record.path).points[0].values
    assert values["expected_cached_share"] == pytest.approx(SHARED / TOTAL)
    # Blocks of the server have 16 tokens: the end of each shared beginning falls on one of them.
    assert table.number("cached_tokens").sum() == SHARED
    assert "\nvllm:prefix_cache_hits_total" in metrics
    assert "trace x4" in done.out
    assert "prompt tokens from the prefix cache:" in done.out


def test_two_runs_share_nothing(tmp_path, trace):
    out = tmp_path / "runs"
    with start_simulated_server(SimSettings(**FAST)) as server:
        for _ in range(2):
            replay(server.url, out, *trace, "--trace-speed", "20")
    for folder in folders(out):
        (table,) = api.recover(folder).measured
        assert table.number("cached_tokens").sum() == SHARED


def test_with_another_load_only_lengths_and_order_are_used(tmp_path, trace):
    out = tmp_path / "runs"
    with start_simulated_server(SimSettings(**FAST)) as server:
        done = replay(server.url, out, *trace, "--max-concurrency", "2", "--num-prompts", "10")
        check_succeeded(done, out)
    (table,) = stored(out).measured
    assert table.number("input_tokens_server").tolist() == [row["input_length"] for row in ROWS[:10]]
    assert table.point.load["trace"] is False


def test_a_server_without_a_prefix_cache_reports_no_hits(tmp_path, trace):
    out = tmp_path / "runs"
    with start_simulated_server(SimSettings(**FAST, prefix_cache=False)) as server:
        done = replay(server.url, out, *trace, "--trace-speed", "20")
    check_sound(out)
    assert "prompt tokens from the prefix cache: 0 %" in done.out


def test_a_trace_that_cannot_be_read_names_the_line(tmp_path, trace):
    path = tmp_path / "trace.jsonl"
    path.write_text(path.read_text() + '\n{"timestamp": 1, "input_length": 3, "output_length": 2}')
    done = replay("http://127.0.0.1:9", tmp_path / "runs", *trace)
    assert done.code == 2
    assert "trace.jsonl, line 25: it came 2.299 s before the row above it" in done.err

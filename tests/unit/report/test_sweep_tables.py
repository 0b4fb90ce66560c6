"""Repeats in the console: one row a load, and what differs."""

from run_builder import point, run, steady_requests

from inferometer.metrics.summary import summarize
from inferometer.report.console import render_run

LOAD = {"max_concurrency": 1, "request_rate": None, "burstiness": 1.0, "closed": True}


def measured(*gaps_ms, load=LOAD, first=1, **sweep):
    tables = []
    for number, gap_ms in enumerate(gaps_ms, start=1):
        requests, chunks = steady_requests(40, gap_ms=gap_ms)
        own = {**load, "repeat": number, "seed": number}
        tables.append(point(requests, chunks, index=first + number - 1, load=own))
    return tables


def shown(*tables, **sweep):
    return render_run(summarize(run(*tables, spec={"sampling": {"ignore_eos": True}, "sweep": sweep})))


def test_repeats_are_one_row_with_intervals():
    other = {**LOAD, "max_concurrency": 8}
    text = shown(*measured(100, 100, 100), *measured(50, 50, 50, load=other, first=4))
    table = text[text.index("Load points") :].splitlines()
    assert table[1].split() == [
        "load", "n", "req/s", "out", "tok/s", "TTFT", "p50/p99", "ms", "TPOT", "p50/p99", "ms", "failed"
    ]  # fmt: skip
    first, second = table[2], table[3]
    assert first.split()[:4] == ["concurrency", "1", "3", "10.01"], "40 requests in 3.998 s"
    assert "\u00b10.00" in first
    assert "30.00 \u00b10.00 / n/a" in first, "120 requests carry no p99"
    assert second.split()[:3] == ["concurrency", "8", "3"]
    assert "differ" not in text
    assert "of the 95 % interval over n repeats" in text


def test_a_repeat_that_differs_is_named_with_its_load_point():
    text = " ".join(shown(*measured(100, 125, 100)).split())
    assert "concurrency 1: repeat 2 differs: req/s 8.0" in text
    assert "(load point 2)" in text
    assert "throughput of repeats" in text


def test_two_repeats_differ_from_each_other():
    text = " ".join(shown(*measured(100, 125)).split())
    assert "concurrency 1: repeats 1 and 2 differ: req/s 10.01 and 8.00; out tok/s 30.02 and 24.01" in text


def test_lengths_tell_rows_apart_and_repeats_load_points():
    longer = {**LOAD, "input_len": 64, "output_len": 3}
    short = {**LOAD, "input_len": 8, "output_len": 3}
    text = shown(*measured(100, 100, load=short), *measured(100, 100, load=longer, first=3))
    assert "  concurrency 1, in 8, out 3   2 " in text
    assert "  concurrency 1, in 64, out 3  2 " in text
    assert "concurrency 1, in 8, out 3, repeat 1" in text, "the client strip speaks of one load point"


def test_what_serves_has_columns():
    (table,) = measured(100)
    text = shown(table, nodes_served=2)
    header = next(line for line in text.splitlines() if line.startswith("  load "))
    assert "in tok/s/node  out tok/s/node" in header
    assert "/device" not in header
    (row,) = [line for line in text.splitlines() if line.startswith("  concurrency 1 ")][:1]
    assert row.split()[2:6] == ["10.01", "30.02", "40.02", "15.01"]

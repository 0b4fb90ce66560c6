"""Formats over time: Chrome's traces and OpenMetrics text; and the YAML report of llm-d."""

import re
from collections import defaultdict
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import yaml
from exported import HARDWARE, closed, files, record, source, strict

from inferometer.exchange.exporting.model import Asked, Source
from inferometer.metrics.summary import summarize
from inferometer.record.tables import RunRecord, Telemetry

_SAMPLE = re.compile(r"^(?P<name>[a-z_]+)(\{(?P<labels>.*)\})? (?P<value>\S+)( (?P<at>\S+))?$")


def trace(of: Source) -> list[dict[str, Any]]:
    return list(strict(files("chrome-trace", of)["trace.json"])["traceEvents"])


def test_slices_of_a_slot_lie_one_in_the_other_or_apart() -> None:
    events = trace(source(closed(count=5, failed=3)))
    by_slot = defaultdict(list)
    for event in events:
        assert event["ph"] in ("X", "C", "M")
        assert isinstance(event["pid"], int)
        if event["ph"] == "X":
            assert event["dur"] >= 0
            by_slot[event["pid"], event["tid"]].append((event["ts"], -event["dur"]))
    for spans in by_slot.values():
        open_until: list[float] = []
        for begin, minus in sorted(spans):
            while open_until and open_until[-1] <= begin + 1e-6:
                open_until.pop()
            assert not open_until or begin - minus <= open_until[-1] + 1e-6
            open_until.append(begin - minus)
    assert len(by_slot) == 4, "three refused ones of the same moment lie beside the first good one"


def test_a_request_is_a_slice_with_its_parts_in_microseconds() -> None:
    events = [event for event in trace(source(closed(count=2))) if event["ph"] == "X"]
    first = [event for event in events if event["ts"] < 90_000]
    assert [(event["name"], event["ts"], event["dur"]) for event in first] == [
        ("request 0", 0.0, 98_000.0), ("prefill", 0.0, 30_000.0), ("decode", 30_000.0, 60_000.0)
    ]  # fmt: skip
    assert first[0]["args"] == {"status": "ok", "input_tokens": 8, "output_tokens": 3}


def test_counters_of_a_trace_end_at_0_in_flight() -> None:
    levels = [e["args"]["requests"] for e in trace(source(closed(count=3))) if e["name"] == "in flight"]
    assert levels == [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]


def test_load_points_of_a_trace_are_processes_one_after_the_other() -> None:
    later = closed(2, 4, count=2)
    later.point.epoch_ns = 5_000_000_000
    events = trace(source(closed(1, 1, count=2), later))
    names = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    assert [name.split(" (")[0] for name in names.values()] == ["concurrency1", "concurrency4"]
    pid = next(p for p, name in names.items() if name.startswith("concurrency4"))
    assert min(e["ts"] for e in events if e["ph"] == "X" and e["pid"] == pid) == 5_000_000.0


def metrics(of: Source) -> tuple[list[str], dict[str, list[tuple[float, float]]]]:
    """Lines, and samples (moment, value) by series."""
    lines = files("openmetrics", of)["metrics.txt"].decode().splitlines()
    series: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for line in lines:
        if not line.startswith("#"):
            match = _SAMPLE.match(line)
            assert match, line
            series[f"{match['name']}{{{match['labels']}}}"].append(
                (float(match["at"] or 0), float(match["value"]))
            )
    return lines, series


def test_openmetrics_follows_its_grammar() -> None:
    lines, series = metrics(source(closed(count=30, failed=2), closed(2, 4, count=30)))
    assert lines[-1] == "# EOF"
    types = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(types) == len(set(types)), "a family stands once"
    units = {line.split()[2]: line.split()[3] for line in lines if line.startswith("# UNIT")}
    assert all(name.endswith(f"_{unit}") for name, unit in units.items())
    for samples in series.values():
        assert all(before[0] < after[0] for before, after in pairwise(samples)), "time rises in a series"


def test_openmetrics_counts_what_the_record_holds() -> None:
    _, series = metrics(source(closed(count=30, failed=2)))
    last = {name: samples[-1][1] for name, samples in series.items()}
    ended = {name: value for name, value in last.items() if name.startswith("inferometer_requests_total")}
    assert sorted(ended.values()) == [2.0, 30.0]
    assert next(v for n, v in last.items() if n.startswith("inferometer_output_tokens_total")) == 90.0
    buckets = [
        (n, v) for n, v in last.items() if n.startswith("inferometer_time_to_first_token_seconds_bucket")
    ]
    counts = [value for _, value in buckets]
    assert counts == sorted(counts)
    by_edge = {re.search(r'le="([^"]+)"', name)[1]: value for name, value in buckets}  # type: ignore[index]
    assert (by_edge["0.02"], by_edge["0.04"], by_edge["+Inf"]) == (0.0, 30.0, 30.0)
    total = next(v for n, v in last.items() if n.startswith("inferometer_time_to_first_token_seconds_sum"))
    assert total == pytest.approx(30 * 0.03)


def test_openmetrics_has_the_telemetry_with_base_units_in_the_names() -> None:
    plain = record(closed())
    sampled = Telemetry(
        point=np.array([1, 1, 1]),
        at_ns=np.array([10, 20, 20]) * 1_000_000_000,
        source=np.array(["client/0"] * 3, dtype=object),
        name=np.array(["loop_turn_max_s"] * 2 + ["rss_bytes"], dtype=object),
        value=np.array([0.5, 0.25, 4096.0]),
    )
    found = RunRecord(plain.path, plain.meta, plain.tables, sampled)
    _, series = metrics(Source(found, summarize(found), found.measured))
    turns = next(s for n, s in series.items() if n.startswith("inferometer_telemetry_loop_turn_max_seconds"))
    assert turns == [(1010.0, 0.5), (1020.0, 0.25)]
    assert any(n.startswith("inferometer_telemetry_rss_bytes") and 'source="client/0"' in n for n in series)


def test_llm_d_reports_our_numbers_in_seconds_with_the_units_of_its_schema() -> None:
    made = files("llm-d", source(closed(failed=2)))
    (name,) = made
    assert name == "benchmark_report_v0.2_concurrency1.yaml"
    report = yaml.safe_load(made[name])
    assert set(report) == {"version", "run", "scenario", "results"}
    found = report["results"]["request_performance"]["aggregate"]
    assert (found["requests"]["total"], found["requests"]["failures"]) == (22, 2)
    ttft = found["latency"]["time_to_first_token"]
    assert (ttft["units"], ttft["mean"], ttft["p99p9"]) == ("s", pytest.approx(0.03), pytest.approx(0.03))
    assert found["latency"]["time_per_output_token"]["units"] == "s/token"
    assert found["throughput"]["request_rate"]["units"] == "queries/s"
    load = report["scenario"]["load"]["standardized"]
    assert (load["concurrency"], load["input_seq_len"]) == (1, {"distribution": "fixed", "value": 8})
    assert report["run"]["keywords"] == ["INVALID: errors"]


def test_llm_d_names_accelerators_only_where_they_were_told() -> None:
    def stack(asked: Asked) -> Any:
        (content,) = files("llm-d", source(closed(), asked=asked)).values()
        return yaml.safe_load(content)["scenario"]["stack"][0]["standardized"]

    assert stack(Asked())["kind"] == "generic"
    told = stack(Asked(settings=HARDWARE))
    assert (told["kind"], told["accelerator"]["model"], told["accelerator"]["count"]) == (
        "inference_engine",
        "h100",
        4,
    )

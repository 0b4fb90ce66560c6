"""A text in the manner of MLPerf LoadGen's ``mlperf_log_summary.txt``. It is not an MLPerf result, and says so.

MLPerf's rules on accuracy, minimum duration, query counts and audit are not applied. Scenarios by name only: Server
where requests come at a rate, Offline where all are sent at once. A closed loop is neither, and is called so.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np

from inferometer.exchange.exporting.loads import unique_names
from inferometer.exchange.exporting.model import Made, Source
from inferometer.exchange.exporting.texts import safe
from inferometer.metrics.counts import count_requests
from inferometer.metrics.latency import Floats, PointData
from inferometer.metrics.views.statistics import linear, present
from inferometer.record.tables import PointTable

_RULE = "=" * 48
_PERCENTILES = (50.0, 90.0, 95.0, 97.0, 99.0, 99.9)
_WIDTH = 46


def mlperf_files(source: Source) -> list[Made]:
    """One text a load point."""
    return [
        Made(PurePosixPath(safe(name), "summary_not_mlperf.txt"), _summary(source, table).encode())
        for table, name in zip(source.tables, unique_names(source.tables), strict=True)
    ]


def mlperf_joined(source: Source, suffix: str) -> bytes:
    """All load points, one after the other."""
    del suffix
    return "\n".join(_summary(source, table) for table in source.tables).encode()


def _summary(source: Source, table: PointTable) -> str:
    return "\n".join([*_head(source, table), *_latencies(table), *_parameters(table)]) + "\n"


def _scenario(table: PointTable) -> str:
    rate = table.point.load.get("request_rate")
    if rate == "inf":
        return "Offline"
    if rate is not None or table.point.load.get("trace"):
        return "Server"
    return "closed loop (none of MLPerf's)"


def _head(source: Source, table: PointTable) -> list[str]:
    counts, values = count_requests(table), source.point(table).values
    return [
        _RULE,
        "This is NOT an MLPerf result: a summary in its manner",
        _RULE,
        *([f"Marks : {'; '.join(source.marks)}"] if source.marks else []),
        f"SUT name : {source.meta.model}",
        f"Scenario : {_scenario(table)}",
        "Mode     : PerformanceOnly",
        _line("Completed samples per second", values.get("request_throughput_per_s")),
        _line("Completed tokens per second", values.get("output_throughput_per_s")),
        f"Result is : {'INVALID' if source.invalid else 'not judged by the rules of MLPerf'}",
        _line("Completed samples", float(counts.ok)),
        _line("Failed samples", float(counts.failed)),
        "",
    ]


def _latencies(table: PointTable) -> Iterator[str]:
    data = PointData(table, "planned")
    sections = (
        ("Additional Stats (latency from the planned time, ns)", "latency", data.e2el_ms),
        ("First token latency (ns)", "first token latency", data.ttft_ms),
        ("Time per output token (ns)", "time to output token", data.tpot_ms),
    )
    for title, name, sample_ms in sections:
        found: Floats = present(sample_ms) * 1e6
        if not len(found):
            continue
        yield from (_RULE, title, _RULE)
        yield _line(f"Min {name} (ns)", float(found.min()))
        yield _line(f"Max {name} (ns)", float(found.max()))
        yield _line(f"Mean {name} (ns)", float(np.mean(found)))
        yield from (_line(f"{p:.2f} percentile {name} (ns)", linear(found, p)) for p in _PERCENTILES)
        yield ""


def _parameters(table: PointTable) -> list[str]:
    load = table.point.load
    asked = {
        "target_qps": load.get("request_rate"),
        "max_async_queries": load.get("max_concurrency"),
        "min_query_count": load.get("num_prompts"),
        "min_duration (s)": load.get("duration_s"),
        "schedule_rng_seed": load.get("seed"),
    }
    rows = [f"{name} : {value}" for name, value in asked.items() if value is not None]
    return [_RULE, "Test Parameters Used", _RULE, *rows]


def _line(name: str, value: float | None) -> str:
    return f"{name:<{_WIDTH}}: {'n/a' if value is None else f'{value:.2f}'.removesuffix('.00')}"

"""The artifact folder of ``aiperf profile`` (0.13), one a load point, as ``aiperf plot`` and its dashboard load it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from inferometer.exchange.exporting.loads import unique_names
from inferometer.exchange.exporting.model import Made, Source
from inferometer.exchange.exporting.texts import csv_bytes, json_bytes, json_lines, safe
from inferometer.metrics.latency import NS_PER_S
from inferometer.metrics.views.aiperf import HEADERS, aiperf_result, by_request
from inferometer.metrics.views.clocks import End, Frames, epoch_ns, epoch_s, first_known, timings
from inferometer.record.tables import PointTable

_STATISTICS = (
    "avg", "min", "max", "sum", "p1", "p5", "p10", "p25", "p50", "p75", "p90", "p95", "p99", "std"
)  # fmt: skip
_COUNTS = ("tokens", "requests")


def aiperf_files(source: Source) -> list[Made]:
    """``profile_export_aiperf.json`` and ``.csv``, and ``profile_export.jsonl`` with one request a line."""
    made: list[Made] = []
    several = len(source.tables) > 1
    for table, name in zip(source.tables, unique_names(source.tables), strict=True):
        result = aiperf_result(table, source.meta)
        folder = PurePosixPath(safe(name)) if several else PurePosixPath()
        made += [
            Made(folder / "profile_export_aiperf.json", json_bytes(_whole(source, table, result, name))),
            Made(folder / "profile_export_aiperf.csv", csv_bytes(_rows(result), source.asked.encoding)),
            Made(folder / "profile_export.jsonl", json_lines(_requests(source, table))),
        ]
    return made


def _whole(source: Source, table: PointTable, result: dict[str, Any], name: str) -> dict[str, Any]:
    begin_s = epoch_s(table, source.meta)
    end_ns = table.point.end_ns
    took_s = (
        None if end_ns is None or table.point.epoch_ns is None else (end_ns - table.point.epoch_ns) / NS_PER_S
    )
    last_s = None if begin_s is None or took_s is None else begin_s + took_s
    return {
        **result,
        "input_config": _configuration(source, table),
        "run_info": {
            "benchmark_id": source.meta.run_id,
            "trial": max(0, int(table.point.load.get("repeat") or 1) - 1),
            "run_label": source.marked(name),
            "variation_label": name,
        },
        "start_time": _utc(begin_s),
        "end_time": _utc(last_s),
        **source.flags(),
    }


def _configuration(source: Source, table: PointTable) -> dict[str, Any]:
    load, spec = table.point.load, source.meta.spec
    rate = load.get("request_rate")
    phase = {
        "name": "profiling",
        "kind": "profiling",
        "type": "concurrency" if rate is None else "poisson",
        "requests": table.point.dispatched,
        "concurrency": load.get("max_concurrency"),
        "rate": None if rate in (None, "inf") else rate,
    }
    prompts = {
        name: {"mean": float(length)}
        for name, length in (("isl", load.get("input_len")), ("osl", load.get("output_len")))
        if isinstance(length, int)
    }
    return {
        "models": {"items": [{"name": source.marked(source.meta.model)}]},
        "endpoint": {
            "urls": [url for url in [spec.get("endpoint", {}).get("url")] if url],
            "type": "chat",
            "streaming": bool(spec.get("sampling", {}).get("stream")),
            "use_server_token_count": True,
        },
        "datasets": [{"name": "main", "type": spec.get("workload", {}).get("dataset"), "prompts": prompts}],
        "phases": [{key: value for key, value in phase.items() if value is not None}],
    }


def _utc(unix_s: float | None) -> str | None:
    """ISO time without a zone, as it writes it."""
    if unix_s is None:
        return None
    return datetime.fromtimestamp(unix_s, timezone.utc).replace(tzinfo=None).isoformat()


def _rows(result: dict[str, Any]) -> list[list[Any]]:
    """Metrics with percentiles, a blank line, and those of one number."""
    metrics = {tag: found for tag, found in result.items() if tag in HEADERS}
    sampled = {tag: found for tag, found in metrics.items() if "p50" in found}
    single = {tag: found for tag, found in metrics.items() if tag not in sampled}
    return [
        ["Metric", *_STATISTICS],
        *(
            [_header(tag, of), *(_two(of.get(name)) for name in _STATISTICS)]
            for tag, of in sorted(sampled.items())
        ),
        [],
        ["Metric", "Value"],
        *([_header(tag, of), _two(of["avg"])] for tag, of in sorted(single.items())),
    ]


def _header(tag: str, metric: dict[str, Any]) -> str:
    unit = metric["unit"]
    return HEADERS[tag] if unit in ("count", "requests") else f"{HEADERS[tag]} ({unit})"


def _two(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _requests(source: Source, table: PointTable) -> Iterator[dict[str, Any]]:
    """Every request that was sent, in the order of the record; a failed one has an error and no metrics."""
    requests = timings(table, Frames.OUTPUT, End.FRAME)
    units = by_request(requests)
    edges = np.searchsorted(requests.gap_row, np.arange(1, len(requests.ttft_ms)))
    gaps = np.split(requests.gaps_ms, edges)
    start_ns = first_known(table.number("sent_ns"), table.number("connect_start_ns"))
    end_ns = first_known(table.number("end_ns"), start_ns)
    begin_ns = epoch_ns(table, source.meta) or 0
    place = -1
    for row, ok in enumerate(requests.data.ok.tolist()):
        place += ok
        if math.isnan(start_ns[row]):
            continue
        metadata = _metadata(table, row, (begin_ns + int(start_ns[row]), begin_ns + int(end_ns[row])))
        if not ok:
            yield {"metadata": metadata, "metrics": {}, "error": _error(table, row)}
            continue
        metrics = {
            tag: {"value": _value(float(values[place]), unit), "unit": unit}
            for tag, (unit, values) in units.items()
            if not math.isnan(values[place])
        }
        if len(gaps[place]):
            metrics["inter_chunk_latency"] = {"value": gaps[place].tolist(), "unit": "ms"}
        yield {"metadata": metadata, "metrics": metrics}


def _value(value: float, unit: str) -> float | int:
    return int(value) if unit in _COUNTS else value


def _metadata(table: PointTable, row: int, span_ns: tuple[int, int]) -> dict[str, Any]:
    session = table.text("session")[row]
    index = int(table.number("index")[row])
    return {
        "session_num": index,
        **({"conversation_id": session} if session else {}),
        "turn_index": int(table.number("turn")[row]),
        "request_start_ns": span_ns[0],
        "request_end_ns": span_ns[1],
        "worker_id": f"worker_{int(table.number('worker')[row])}",
        "record_processor_id": "inferometer",
        "benchmark_phase": "profiling",
        "phase_index": 0,
        "profiling_index": 0,
        "phase_name": "profiling",
        "phase_kind": "profiling",
        "was_cancelled": table.text("status")[row] in ("cancelled", "aborted"),
    }


def _error(table: PointTable, row: int) -> dict[str, Any]:
    code = float(table.number("http_status")[row])
    return {
        "code": None if math.isnan(code) else int(code),
        "type": table.text("status")[row],
        "message": table.text("error")[row] or table.text("status")[row],
    }

"""The benchmark report of llm-d (YAML, schema 0.2), one a load point.

Our own definitions: its schema leaves open what TPOT and ITL are, and says which tool made the report. A component
with accelerators is written where they were told (``--set hw=h100 --set tp=8``), else a generic one, which needs none.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import yaml

from inferometer.errors import UsageError
from inferometer.exchange.exporting.loads import asked_of, unique_names
from inferometer.exchange.exporting.model import Made, Source
from inferometer.exchange.exporting.texts import finite, safe, without_none
from inferometer.metrics.counts import count_requests
from inferometer.metrics.latency import NS_PER_S, Floats, PointData
from inferometer.metrics.views.clocks import epoch_s
from inferometer.metrics.views.statistics import linear, present, quotients
from inferometer.record.imported import ImportedPoint, ImportedStat
from inferometer.record.tables import PointTable

VERSION = "0.2"
_PERCENTILES = {
    "p0p1": 0.1, "p1": 1, "p5": 5, "p10": 10, "p25": 25, "p50": 50, "p75": 75, "p90": 90, "p95": 95, "p99": 99,
    "p99p9": 99.9,
}  # fmt: skip


def llm_d_files(source: Source) -> list[Made]:
    """``benchmark_report_v0.2_LOAD.yaml`` of every load point."""
    return [
        Made(
            PurePosixPath(f"benchmark_report_v{VERSION}_{safe(name)}.yaml"),
            _yaml(llm_d_report(source, table)),
        )
        for table, name in zip(source.tables, unique_names(source.tables), strict=True)
    ]


def llm_d_joined(source: Source, suffix: str) -> bytes:
    """One load point as one file.

    Raises:
        UsageError: there are several.
    """
    del suffix
    if len(source.tables) > 1:
        raise UsageError(
            f"a benchmark report of llm-d holds one load point, and there are {len(source.tables)}",
            "name a folder, or choose one with --points",
        )
    return _yaml(llm_d_report(source, source.tables[0]))


def llm_d_report(source: Source, table: PointTable) -> dict[str, Any]:
    """The report of a load point."""
    found = {
        "version": VERSION,
        "run": _run(source, table),
        "scenario": {"stack": [_stack(source)], "load": _load(source, table)},
        "results": {"request_performance": {"aggregate": _aggregate(source, table)}},
    }
    return dict(finite(without_none(found)))


def _yaml(report: dict[str, Any]) -> bytes:
    return yaml.safe_dump(report, sort_keys=False, allow_unicode=True).encode()


def _run(source: Source, table: PointTable) -> dict[str, Any]:
    begin_s, end_ns = epoch_s(table, source.meta), table.point.end_ns
    took_s = (
        None if end_ns is None or table.point.epoch_ns is None else (end_ns - table.point.epoch_ns) / NS_PER_S
    )
    description = "; ".join([part for part in (source.meta.label, *source.marks) if part])
    return {
        "uid": _hash([source.meta.run_id, table.point.index]),
        "eid": source.meta.run_id,
        "time": {
            "start": _moment(begin_s),
            "end": _moment(None if begin_s is None or took_s is None else begin_s + took_s),
            "duration": None if took_s is None else f"PT{took_s:.6f}S",
        },
        "description": description or None,
        "keywords": list(source.marks) or None,
    }


def _moment(unix_s: float | None) -> str | None:
    if unix_s is None:
        return None
    return datetime.fromtimestamp(unix_s, timezone.utc).isoformat().replace("+00:00", "Z")


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _stack(source: Source) -> dict[str, Any]:
    engine = source.setting("server_engine") or source.meta.server.get("server") or "unknown"
    version = source.setting("server_version") or "unknown"
    hardware, devices = source.setting("hw"), source.count("tp")
    standardized: dict[str, Any] = {"kind": "generic", "tool": str(engine), "tool_version": version}
    if hardware is not None and devices is not None:
        standardized |= {
            "kind": "inference_engine",
            "role": "replica",
            "replicas": 1,
            "model": {"name": source.meta.model},
            "accelerator": {
                "model": hardware,
                "count": devices,
                "parallelism": {"tp": devices, "ep": source.count("ep") or 1},
            },
        }
    else:
        standardized["model"] = {"name": source.meta.model}
    return {
        "metadata": {
            "label": "server",
            "cfg_id": _hash(standardized),
            "description": "; ".join(source.marks) or None,
        },
        "standardized": standardized,
        "native": {},
    }


def _load(source: Source, table: PointTable) -> dict[str, Any]:
    load = asked_of(table)
    rate = load.get("request_rate")
    workload = source.meta.spec.get("workload", {})
    data = PointData(table)
    inputs, outputs = _length(load.get("input_len"), data.input_tokens), _length(load.get("output_len"), None)
    return {
        "metadata": {"cfg_id": _hash(load), "description": source.marked("load point of inferometer")},
        "standardized": {
            "tool": "inferometer",
            "tool_version": str(source.meta.environment.get("inferometer", "unknown")),
            "parallelism": table.point.workers,
            "source": "random" if workload.get("dataset") == "random" else "sampled",
            "stage": source.tables.index(table),
            "input_seq_len": inputs,
            "output_seq_len": outputs,
            "rate_qps": rate if isinstance(rate, (int, float)) else None,
            "concurrency": load.get("max_concurrency"),
        },
        "native": {"config": load},
    }


def _length(asked: Any, counted: Floats | None) -> dict[str, Any] | None:
    if isinstance(asked, int):
        return {"distribution": "fixed", "value": asked}
    if counted is None:
        return None
    found = present(counted)
    return {"distribution": "other", "value": float(found.mean()) if len(found) else 0}


def _aggregate(source: Source, table: PointTable) -> dict[str, Any]:
    stated = source.stated(table)
    if stated is not None:
        return _as_stated(stated)
    data, counts = PointData(table), count_requests(table)
    values = source.point(table).values
    n = data.output_tokens
    latencies = {
        "time_to_first_token": ("s", data.ttft_ms / 1e3),
        "normalized_time_per_output_token": ("s/token", quotients(data.e2el_ms / 1e3, n)),
        "time_per_output_token": ("s/token", data.tpot_ms / 1e3),
        "inter_token_latency": ("s/token", data.itl_token_ms / 1e3),
        "request_latency": ("s", data.e2el_ms / 1e3),
    }
    return {
        "requests": {
            "total": counts.ok + counts.failed + counts.cut_off,
            "failures": counts.failed,
            "incomplete": counts.cut_off,
            "input_length": _statistics("count", data.input_tokens),
            "output_length": _statistics("count", n),
        },
        "latency": {name: _statistics(units, sample) for name, (units, sample) in latencies.items()},
        "throughput": _rates(values),
    }


def _rates(values: dict[str, float | None] | dict[str, float]) -> dict[str, Any]:
    named = {
        "input_token_rate": ("tokens/s", values.get("input_throughput_per_s")),
        "output_token_rate": ("tokens/s", values.get("output_throughput_per_s")),
        "total_token_rate": ("tokens/s", values.get("total_throughput_per_s")),
        "request_rate": ("queries/s", values.get("request_throughput_per_s")),
    }
    return {
        name: None if value is None else {"units": units, "mean": value}
        for name, (units, value) in named.items()
    }


def _statistics(units: str, sample: Floats) -> dict[str, Any] | None:
    found = present(np.asarray(sample, dtype=np.float64))
    if not len(found):
        return None
    return {
        "units": units,
        "mean": float(found.mean()),
        "stddev": float(found.std()),
        "min": float(found.min()),
        **{name: linear(found, p) for name, p in _PERCENTILES.items()},
        "max": float(found.max()),
    }


def _as_stated(stated: ImportedPoint) -> dict[str, Any]:
    """What another tool's summary says; its percentiles as it states them."""
    stats = stated.stats
    latency = {
        "time_to_first_token": _seconds(stats.get("ttft_ms"), "s"),
        "time_per_output_token": _seconds(stats.get("tpot_ms"), "s/token"),
        "inter_token_latency": _seconds(stats.get("itl_ms"), "s/token"),
        "request_latency": _seconds(stats.get("e2el_ms"), "s"),
    }
    known = [count for count in (stated.completed, stated.failed) if count is not None]
    return {
        "requests": {"total": sum(known), "failures": stated.failed} if known else None,
        "latency": latency,
        "throughput": _rates(stated.values),
    }


def _seconds(stat: ImportedStat | None, units: str) -> dict[str, Any] | None:
    if stat is None or stat.mean is None:
        return None
    short = {f"{p:g}": name for name, p in _PERCENTILES.items()}
    told = {short[p]: value / 1e3 for p, value in stat.percentiles.items() if p in short}
    ends = {"stddev": stat.std, "min": stat.min, "max": stat.max}
    return {
        "units": units,
        "mean": stat.mean / 1e3,
        **{name: None if value is None else value / 1e3 for name, value in ends.items()},
        **told,
    }

"""PyTorch's OSS benchmark database: a list of records, a metric each, as vLLM writes beside its own results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from inferometer.exchange.importing.formats import Format, Part
from inferometer.exchange.importing.found import Found, FoundPoint, number_of
from inferometer.exchange.importing.source import Source
from inferometer.exchange.importing.vllm import point_of


def sniff(source: Source) -> str | None:
    """A list of records with a benchmark and a metric."""
    content = source.content
    if not isinstance(content, list) or not content or not isinstance(content[0], dict):
        return None
    return "list" if {"benchmark", "metric"} <= set(content[0]) else None


def read(parts: Sequence[Part]) -> Found:
    """One load point for all records that differ in their metric alone."""
    groups: dict[str, list[tuple[Source, Mapping[str, Any]]]] = {}
    for part in parts:
        for record in part.source.json():
            about = [record.get("benchmark"), record.get("model"), (record["metric"].get("extra_info"))]
            groups.setdefault(json.dumps(about, sort_keys=True, default=str), []).append(
                (part.source, record)
            )
    first = next(iter(groups.values()))[0][1]
    model = first.get("model") or {}
    return Found(
        tool="pytorch",
        format="PyTorch OSS benchmark records",
        points=[_point(records) for records in groups.values()],
        model=str(model.get("name") or "unknown") if isinstance(model, dict) else str(model),
        notes=["the records do not say which tool measured"],
    )


def _point(records: Sequence[tuple[Source, Mapping[str, Any]]]) -> FoundPoint:
    source, first = records[0]
    metric, benchmark = first["metric"], first.get("benchmark") or {}
    args = (benchmark.get("extra_info") or {}).get("args") if isinstance(benchmark, dict) else None
    flat: dict[str, Any] = {**(args if isinstance(args, dict) else {}), **(metric.get("extra_info") or {})}
    many: dict[str, Any] = {}
    for _, record in records:
        values = [number_of(value) for value in record["metric"].get("benchmark_values") or ()]
        if len(values) == 1:
            flat[str(record["metric"]["name"])] = values[0]
        else:
            many[str(record["metric"]["name"])] = values
    point = point_of(source, flat)
    about = {"benchmark": benchmark, "model": first.get("model")}
    stated = {**point.reported.stated, **about, **({"benchmark_values": many} if many else {})}
    return FoundPoint(point.load, msgspec.structs.replace(point.reported, stated=stated), point.requests)


FORMAT = Format("pytorch", "records of PyTorch's benchmark database", sniff, read)

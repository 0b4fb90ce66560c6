"""AISBench: the table of metrics (CSV), the common ones (JSON), and the details of its requests (JSONL)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from inferometer.exchange.importing.cells import cells_to_stat, plain_cell
from inferometer.exchange.importing.formats import Format, Part
from inferometer.exchange.importing.found import (
    Found,
    FoundPoint,
    FoundRequest,
    int_of,
    load_of,
    number_of,
    quantity_of,
)
from inferometer.exchange.importing.source import Source
from inferometer.exchange.importing.vllm import whole_or_none
from inferometer.record.imported import ImportedPoint, ImportedStat

_ROWS = {
    "TTFT": ("ttft_ms", "to the first event of the stream, whatever it carries"),
    "TPOT": ("tpot_ms", "(E2EL - TTFT) / (n - 1), 0 for answers of one token counted in"),
    "ITL": ("itl_ms", "gaps between all events; N is the number of requests"),
    "E2EL": ("e2el_ms", "to the chunk with the usage"),
    "InputTokens": ("input_tokens", ""),
    "OutputTokens": ("output_tokens", ""),
}
_VALUES = {
    "Request Throughput": "request_throughput_per_s",
    "Input Token Throughput": "input_throughput_per_s",
    "Output Token Throughput": "output_throughput_per_s",
    "Total Token Throughput": "total_throughput_per_s",
    "Concurrency": "concurrency_mean",
}
_DEFINITIONS = {
    "concurrency_mean": "sum of the latencies / duration, not above the limit in the stable stage"
}
_DURATION_S = {"ms": 1e-3, "s": 1.0}


def sniff(source: Source) -> str | None:
    """One of its files."""
    table, content = source.table, source.content
    if table and table[0][:3] == ["Performance Parameters", "Stage", "Average"]:
        return "table"
    if isinstance(content, dict) and {"Benchmark Duration", "Total Requests"} <= set(content):
        return "common"
    objects = source.objects
    if (
        objects
        and _first_key(objects[0], ("ttft", "prefill_latency"))
        and _first_key(objects[0], ("start_time",))
    ):
        return "details.jsonl"
    return None


def _first_key(content: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in content), None)


def read(parts: Sequence[Part]) -> Found:
    """One load point a data set and stage; the files of a data set share their name."""
    groups: dict[str, dict[str, Source]] = {}
    for part in parts:
        stem = PurePosixPath(part.source.name).stem.removesuffix("_details")
        groups.setdefault(str(PurePosixPath(part.source.name).with_name(stem)), {})[part.kind] = part.source
    points = [point for name, kinds in groups.items() for point in _points(name, kinds)]
    folders = {PurePosixPath(name).parent.name for name in groups}
    model = folders.pop() if len(folders) == 1 else ""
    return Found(
        tool="aisbench",
        format="AISBench performance results",
        points=points,
        model=model or "unknown",
        notes=["it tries failed requests again and then counts from the last try"],
    )


def _points(name: str, kinds: Mapping[str, Source]) -> Iterator[FoundPoint]:
    common = kinds["common"].json() if "common" in kinds else {}
    rows = (kinds["table"].rows or []) if "table" in kinds else []
    details = (kinds["details.jsonl"].objects or []) if "details.jsonl" in kinds else []
    stages = list(dict.fromkeys([*(row.get("Stage", "total") for row in rows), *_stages(common)])) or [
        "total"
    ]
    for stage in stages:
        stats, left = _table([row for row in rows if row.get("Stage", "total") == stage])
        values, stated = _common(common, stage)
        requests = [_request(each) for each in details] if stage == "total" else []
        counts = {
            each: number_of(stated.get(each))
            for each in ("Total Requests", "Success Requests", "Failed Requests")
        }
        duration_s = stated.pop("Benchmark Duration (s)", None)
        reported = ImportedPoint(
            point=0,
            duration_s=duration_s,
            completed=int_of(counts["Success Requests"]),
            failed=int_of(counts["Failed Requests"]),
            values=values,
            stats=stats,
            stated={"data set": PurePosixPath(name).name, "stage": stage, **stated, **left},
            definitions={key: text for key, text in _DEFINITIONS.items() if key in values},
        )
        load = load_of(
            max_concurrency=whole_or_none(stated.get("Max Concurrency")),
            num_prompts=int_of(counts["Total Requests"]) or len(requests) or None,
        )
        if stage != "total":
            load["case"] = f"{stage} stage"
        yield FoundPoint(load, reported, requests)


def _stages(common: Mapping[str, Any]) -> list[str]:
    return [stage for value in common.values() if isinstance(value, dict) for stage in value]


def _table(rows: Sequence[Mapping[str, str]]) -> tuple[dict[str, ImportedStat], dict[str, Any]]:
    stats, left = {}, {}
    for row in rows:
        name = row.get("Performance Parameters", "")
        cells = {head: cell for head, cell in row.items() if head not in ("Performance Parameters", "Stage")}
        key, definition = _ROWS.get(name, ("", ""))
        found, rest = cells_to_stat(key, cells, definition=definition)
        if key and found is not None:
            stats[key] = found
            if rest:
                left[name] = rest
        else:
            left[name] = {head: plain_cell(cell) for head, cell in cells.items()}
    return stats, left


def _common(common: Mapping[str, Any], stage: str) -> tuple[dict[str, float], dict[str, Any]]:
    values, stated = {}, {}
    for name, value in common.items():
        cell = value.get(stage) if isinstance(value, dict) else value
        if cell is None:
            continue
        number, unit = quantity_of(str(cell))
        if number is None:
            stated[name] = cell
        elif name == "Benchmark Duration":
            stated["Benchmark Duration (s)"] = number * _DURATION_S.get(unit, 1.0)
        elif name in _VALUES:
            values[_VALUES[name]] = number
        else:
            stated[name] = number
    return values, stated


def _request(each: Mapping[str, Any]) -> FoundRequest:
    """A line of the details, times in seconds; ``time_points`` are those of all events, from the send on."""
    start_s, end_s = number_of(each.get("start_time")), number_of(each.get("end_time"))
    ttft = number_of(each.get("ttft", each.get("prefill_latency")))
    e2el = number_of(each.get("latency", each.get("e2el")))
    if e2el is None and start_s is not None and end_s is not None:
        e2el = end_s - start_s
    ok = bool(each.get("success", True))
    tokens = [number_of(each.get(name)) for name in ("input_tokens", "output_tokens")]
    return FoundRequest(
        start_s=start_s,
        ttft_s=ttft if ok else None,
        e2el_s=e2el if ok else None,
        input_tokens=int_of(tokens[0]),
        output_tokens=int_of(tokens[1]),
        status="ok" if ok else "http_error",
        error=None if ok else str(each.get("error_info") or "failed")[:500],
    )


FORMAT = Format("aisbench", "an AISBench performance result", sniff, read)

"""AIPerf (and GenAI-Perf, its ancestor): summary as JSON or CSV, and the records of the requests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from inferometer.exchange.importing.blocks import block_of, take_block, take_mean
from inferometer.exchange.importing.formats import Format, Part
from inferometer.exchange.importing.found import (
    Found,
    FoundPoint,
    FoundRequest,
    Taken,
    load_of,
    number_of,
    plain,
)
from inferometer.exchange.importing.source import Source
from inferometer.exchange.importing.vllm import whole_or_none
from inferometer.record.imported import ImportedPoint

_STATS = (
    ("ttft_ms", "time_to_first_token", ""),
    ("ttfat_ms", "time_to_first_output_token", ""),
    ("second_token_gap_ms", "time_to_second_token", ""),
    ("e2el_ms", "request_latency", ""),
    (
        "tpot_ms",
        "inter_token_latency",
        "what it calls ITL: (latency - TTFT) / (n - tokens of the first chunk)",
    ),
    ("itl_ms", "inter_chunk_latency", "gaps between chunks, also those that came in one read"),
    ("input_tokens", "input_sequence_length", ""),
    ("output_tokens", "output_sequence_length", ""),
    ("output_throughput_per_user_per_s", "output_token_throughput_per_user", ""),
)
_MEANS = (
    ("request_throughput_per_s", "request_throughput"),
    ("input_throughput_per_s", "input_token_throughput"),
    ("output_throughput_per_s", "output_token_throughput"),
    ("total_throughput_per_s", "total_token_throughput"),
    ("concurrency_mean", "effective_concurrency"),
    ("goodput_per_s", "goodput"),
    ("attainment", "good_request_fraction"),
)
_UNITS = {"ms": 1.0, "sec": 1e3, "s": 1e3, "us": 1e-3, "ns": 1e-6}
_PHASE = "profiling"
_UNIT_IN_NAME = re.compile(r"^(.*?)\s*\(([^()]*)\)$")


def sniff(source: Source) -> str | None:
    """Its JSON, its CSV, or a line a request."""
    content = source.content
    if isinstance(content, dict) and (
        {"request_throughput", "request_latency"} <= set(content)
        or {"input_config", "error_request_count"} <= set(content)  # where all have failed
    ):
        return "summary"
    objects = source.objects
    if (
        objects
        and {"metadata", "metrics"} <= set(objects[0])
        and "request_start_ns" in objects[0]["metadata"]
    ):
        return "records.jsonl"
    table = source.table
    return "table" if table and table[0][:4] == ["Metric", "avg", "min", "max"] else None


def read(parts: Sequence[Part]) -> Found:
    """One load point a folder, as AIPerf writes them; of several files of a kind in one folder, one each."""
    folders: dict[str, list[Part]] = {}
    for part in parts:
        folders.setdefault(str(PurePosixPath(part.source.name).parent), []).append(part)
    points: list[FoundPoint] = []
    contents: list[dict[str, Any]] = []
    twice = False
    for own in folders.values():
        of = {
            kind: [p.source for p in own if p.kind == kind] for kind in ("summary", "records.jsonl", "table")
        }
        summaries, records, tables = of["summary"], of["records.jsonl"], of["table"]
        if max(len(summaries), len(tables)) > 1 and records:
            raise records[0].broken("several AIPerf runs in one folder", "import one run at a time")
        found = [source.json() for source in summaries] or [_from_table(source) for source in tables]
        lines = [line for source in records for line in source.objects or () if _counts(line)]
        points += [_point(content, lines) for content in found or [{}]]
        contents += found
        twice |= bool(summaries and tables)
    first = contents[0] if contents else {}
    notes = ["the CSV repeats the JSON, rounded, and was not read a second time"] if twice else []
    return Found(
        tool="aiperf",
        format="AIPerf profile export",
        points=points,
        version=_text(first.get("aiperf_version")),
        model=_model(first) or _text((first.get("metadata") or {}).get("model")) or "unknown",
        created_utc=_text(first.get("start_time")),
        simulated=first.get("simulated") is True,
        notes=notes,
    )


def _counts(line: Mapping[str, Any]) -> bool:
    return str((line.get("metadata") or {}).get("benchmark_phase", _PHASE)) == _PHASE


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _model(content: Mapping[str, Any]) -> str | None:
    config = content.get("input_config") or {}
    items = (config.get("models") or {}).get("items") if isinstance(config.get("models"), dict) else None
    if items:
        return str(items[0].get("name"))
    names = (
        (config.get("endpoint") or {}).get("model_names")
        if isinstance(config.get("endpoint"), dict)
        else None
    )
    return str(names[0]) if names else None


def _from_table(source: Source) -> dict[str, Any]:
    """The CSV in the shape of the JSON; its cells are rounded to two decimals, and its names are those for people."""
    content: dict[str, Any] = {}
    header: list[str] = []
    for row in source.table or []:
        if row[0] == "Metric":
            header = row
            continue
        named = _UNIT_IN_NAME.match(row[0])
        title, unit = (named[1], named[2]) if named else (row[0], "")
        cells = {name: number_of(cell) for name, cell in zip(header[1:], row[1:], strict=False)}
        if "Value" in cells:
            cells["avg"] = cells.pop("Value")
        content[_slug(title)] = {"unit": unit, **{n: v for n, v in cells.items() if v is not None}}
    return content


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")


def _point(content: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> FoundPoint:
    taken = Taken(content)
    for key, name, definition in _STATS:
        block = taken.peek(name)
        if isinstance(block, dict):
            scale = _UNITS.get(str(block.get("unit")), 1.0) if key.endswith("_ms") else 1.0
            take_block(taken, key, name, scale, definition=definition)
    for key, name in _MEANS:
        take_mean(taken, key, name)
    duration_s = _single(taken, "benchmark_duration")
    completed = _single(taken, "completed_request_count", "request_count")
    failed = _single(taken, "error_request_count")
    if failed is None and completed is not None and _single(taken, "request_error_rate") == 0:
        failed = 0.0
    requests = [_request(line) for line in lines]
    if failed is None and requests:
        failed = float(sum(request.status != "ok" for request in requests))
    reported = ImportedPoint(
        point=0,
        duration_s=duration_s,
        completed=None if completed is None else int(completed),
        failed=None if failed is None else int(failed),
        values=taken.values,
        stats=taken.stats,
        stated=taken.rest(),
    )
    return FoundPoint(_load(content, len(requests) or completed), reported, requests)


def _single(taken: Taken, *names: str) -> float | None:
    """A metric with one number."""
    for name in names:
        block = taken.peek(name)
        if isinstance(block, dict):
            stat, rest = block_of(block)
            if stat is not None and stat.mean is not None:
                taken.keep(name, rest)
                return stat.mean
    return None


def _load(content: Mapping[str, Any], count: float | None) -> dict[str, Any]:
    """What was asked: of the first phase that has a load."""
    found: dict[str, Any] = {}
    for name, value in _walk(plain(content.get("input_config") or {})):
        if name in ("concurrency", "request_rate", "rate") and number_of(value):
            found.setdefault("request_rate" if name == "rate" else name, number_of(value))
    return load_of(
        max_concurrency=whole_or_none(found.get("concurrency")),
        request_rate=found.get("request_rate"),
        num_prompts=whole_or_none(count),
    )


def _walk(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield name, each
            yield from _walk(each)
    elif isinstance(value, list):
        for each in value:
            yield from _walk(each)


def _request(line: Mapping[str, Any]) -> FoundRequest:
    metadata, metrics = line["metadata"], line.get("metrics") or {}

    def of(name: str) -> float | None:
        metric = metrics.get(name) or {}
        value = number_of(metric.get("value"))
        return None if value is None else value * _UNITS.get(str(metric.get("unit")), 1.0)

    def seconds(name: str) -> float | None:
        value = of(name)
        return None if value is None else value / 1e3

    def whole(*names: str) -> int | None:
        value = next((found for found in map(of, names) if found is not None), None)
        return None if value is None else int(value)

    start_ns, end_ns = metadata.get("request_start_ns"), metadata.get("request_end_ns")
    chunks = metrics.get("inter_chunk_latency") or {}
    scale = _UNITS.get(str(chunks.get("unit")), 1.0) / 1e3
    error = line.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    http_status = code if isinstance(code, int) and 100 <= code <= 599 else None
    failed = "stream_error" if http_status in (None, 200) else "http_error"
    status = "cancelled" if metadata.get("was_cancelled") else failed if error else "ok"
    return FoundRequest(
        start_s=None if start_ns is None else (start_ns - _EPOCH_NS) / 1e9,
        ttft_s=seconds("time_to_first_token"),
        ttfat_s=seconds("time_to_first_output_token"),
        e2el_s=seconds("request_latency"),
        end_s=None if end_ns is None or start_ns is None else (end_ns - start_ns) / 1e9,
        gaps_s=[gap * scale for gap in chunks["value"]] if isinstance(chunks.get("value"), list) else None,
        input_tokens=whole("usage_prompt_tokens", "input_sequence_length"),
        output_tokens=whole("usage_completion_tokens", "output_sequence_length"),
        reasoning_tokens=whole("usage_reasoning_tokens", "reasoning_token_count"),
        cached_tokens=whole("usage_prompt_cache_read_tokens"),
        status=status,  # type: ignore[arg-type]
        http_status=http_status,
        error=None
        if error is None
        else str(error.get("message") if isinstance(error, dict) else error)[:500],
        session=_text(metadata.get("conversation_id")) if metadata.get("turn_index") else None,
        turn=int(metadata.get("turn_index") or 0),
    )


# taken off before the division, which keeps 16 digits: times stay exact
_EPOCH_NS = 1_700_000_000_000_000_000

FORMAT = Format("aiperf", "an AIPerf profile export", sniff, read)

"""vLLM: ``vllm bench serve`` results, with details or without, appended ones, PyTorch's beside them, sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from inferometer.exchange.importing.flat import requests_of, take_statistics
from inferometer.exchange.importing.formats import Format, Part
from inferometer.exchange.importing.found import Found, FoundPoint, Taken, load_of, number_of, total
from inferometer.exchange.importing.source import Source
from inferometer.record.imported import ImportedPoint

_KEYS = {"request_throughput", "output_throughput", "total_input_tokens", "completed"}
_METRICS = {
    "ttft_ms": ("ttft_ms", "to the first chunk with choices, also one without content"),
    "tpot_ms": ("tpot_ms", "(latency - TTFT) / (output tokens - 1)"),
    "itl_ms": ("itl_ms", "gaps between chunks with choices, also those that came in one read"),
    "e2el_ms": ("e2el_ms", "to the last chunk with choices"),
    "client_queue_time_ms": ("queue_wait_ms", ""),
}
_WINDOW = "over its own clock, from before the first task until all have ended, failed requests too"


def sniff(source: Source) -> str | None:
    """A result object, a line of several, or a list of them (``summary.json`` of a sweep)."""
    objects = _objects(source)
    if not objects or not all(set(each) >= _KEYS and "server_info" not in each for each in objects):
        return None
    if "total_throughput" in objects[0] or "input_throughput" in objects[0]:
        return None  # SGLang's, which went its own way from the same script
    return "sweep" if isinstance(source.content, list) else "jsonl"


def read(parts: Sequence[Part]) -> Found:
    """One load point per object; the summary of a sweep repeats its runs and is read only when it stands alone."""
    runs = [part for part in parts if part.kind != "sweep"] or list(parts)
    folders = {PurePosixPath(part.source.name).parent for part in runs}
    points, first = [], None
    for part in runs:
        for content in _objects(part.source) or []:
            first = first or content
            points.append(point_of(part.source, content))
            if len(folders) > 1:  # of a sweep, whose combinations may differ in what the load does not show
                points[-1].load["case"] = str(PurePosixPath(part.source.name).parent)
    notes = []
    if len(runs) < len(parts):
        notes.append("the sweep's summary repeats its runs and was not read a second time")
    if any(point.requests for point in points):
        notes.append("a chunk may be a role frame or one without content: the file does not say")
    first = first or {}
    return Found(
        tool="vllm",
        format="vllm bench serve JSON",
        points=points,
        model=str(first.get("model_id") or "unknown"),
        created_utc=created(first.get("date")),
        simulated=first.get("simulated") is True,
        stated={
            name: first[name]
            for name in ("backend", "endpoint_type", "tokenizer_id", "label")
            if name in first
        },
        notes=notes,
    )


def point_of(source: Source, content: dict[str, Any]) -> FoundPoint:
    """One result object."""
    taken = Taken(content)
    requests = requests_of(source, taken)
    completed, failed = taken.whole("completed"), taken.whole("failed")
    if failed is None and number_of(content.get("num_prompts")) is not None and completed is not None:
        failed = max(int(content["num_prompts"]) - completed, 0)
    duration_s = taken.number("duration")
    for key, names in (
        ("request_throughput_per_s", ("request_throughput",)),
        ("output_throughput_per_s", ("output_throughput",)),
        ("total_throughput_per_s", ("total_token_throughput",)),
        ("goodput_per_s", ("request_goodput", "request_goodput:")),
        ("peak_output_throughput_per_s", ("max_output_tokens_per_s",)),
        ("concurrency_peak", ("max_concurrent_requests",)),
    ):
        taken.value(key, *names)
    take_statistics(taken, _METRICS, completed)
    reported = ImportedPoint(
        point=0,
        duration_s=duration_s,
        completed=completed,
        failed=failed,
        values=taken.values,
        stats=taken.stats,
        stated=taken.rest(),
        definitions={key: _WINDOW for key in taken.values if key.endswith("_throughput_per_s")}
        | {
            "peak_output_throughput_per_s": "chunks, not tokens, in the busiest second",
            "concurrency_peak": "requests that were under way at any time of one second",
        },
    )
    load = load_of(
        max_concurrency=whole_or_none(content.get("max_concurrency")),
        request_rate=rate_of(content.get("request_rate"), content.get("max_concurrency")),
        num_prompts=whole_or_none(content.get("num_prompts")) or total((completed, failed)),
        burstiness=number_of(content.get("burstiness")) or 1.0,
        input_len=whole_or_none(content.get("random_input_len")),
        output_len=whole_or_none(content.get("random_output_len")),
    )
    return FoundPoint(load, reported, requests)


def whole_or_none(value: Any) -> int | None:
    """A whole number from 1 on; None for everything else."""
    number = number_of(value)
    return int(number) if number is not None and number >= 1 else None


def rate_of(rate: Any, limit: Any = None) -> float | None:
    """Requests per second; None for a closed loop, which an infinite rate with a limit is."""
    number = number_of(rate)
    if number is not None:
        return number if number > 0 else None
    endless = rate in ("inf", "Infinity", float("inf"))
    return float("inf") if endless and whole_or_none(limit) is None else None


def created(date: Any) -> str | None:
    """``20261122-050543`` as ISO 8601; the clock of that machine, whose zone nobody tells."""
    text = str(date or "")
    if len(text) != 15 or text[8] != "-" or not (text[:8] + text[9:]).isdecimal():
        return None
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}T{text[9:11]}:{text[11:13]}:{text[13:]}"


def _objects(source: Source) -> list[dict[str, Any]] | None:
    if isinstance(source.content, list):
        return source.content if all(isinstance(each, dict) for each in source.content) else None
    return source.objects


FORMAT = Format("vllm", "a vLLM bench result", sniff, read)

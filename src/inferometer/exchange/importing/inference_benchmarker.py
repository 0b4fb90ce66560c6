"""Hugging Face's inference-benchmarker: one JSON with a result for each rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferometer.exchange.importing.blocks import take_block
from inferometer.exchange.importing.formats import Format, Part
from inferometer.exchange.importing.found import Found, FoundPoint, Taken, load_of, number_of
from inferometer.exchange.importing.source import Source
from inferometer.exchange.importing.vllm import whole_or_none
from inferometer.record.imported import ImportedPoint

_STATS = (
    ("ttft_ms", "time_to_first_token_ms", "to the first chunk with content; reasoning does not stop it"),
    ("tpot_ms", "inter_token_latency_ms", "what it calls ITL: the mean gap of each request"),
    ("e2el_ms", "e2e_latency_ms", "to [DONE] or the end of the connection"),
)


def sniff(source: Source) -> str | None:
    """An object with results that have an executor."""
    content = source.content
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, list) or not results or not isinstance(results[0], dict):
        return None
    return "json" if {"executor_type", "token_throughput_secs"} <= set(results[0]) else None


def read(parts: Sequence[Part]) -> Found:
    """One load point a result; the warm-up is none."""
    points: list[FoundPoint] = []
    stated: dict[str, Any] = {}
    model, started = "unknown", None
    for part in parts:
        content = part.source.json()
        points += [_point(result) for result in content["results"] if result.get("id") != "warmup"]
        stated |= Taken(content).rest("results")
        warmups = [result for result in content["results"] if result.get("id") == "warmup"]
        stated |= {"warmup": warmups} if warmups else {}
        config = content.get("config") or {}
        model = str(config.get("model_name") or config.get("tokenizer") or model)
        started = started or content.get("start_time")
    return Found(
        tool="inference-benchmarker",
        format="inference-benchmarker JSON",
        points=points,
        model=model,
        created_utc=started if isinstance(started, str) else None,
        stated=stated,
        notes=["it counts tokens of every chunk by itself, so that merges over chunks are lost"],
    )


def _point(result: dict[str, Any]) -> FoundPoint:
    taken = Taken(result)
    completed, failed = taken.whole("successful_requests"), taken.whole("failed_requests")
    for key, name, definition in _STATS:
        take_block(taken, key, name, count=completed, definition=definition)
    taken.value("output_throughput_per_s", "token_throughput_secs")
    config = result.get("config") or {}
    asked = number_of(config.get("rate"))
    taken.value("request_throughput_per_s", "request_rate")
    reported = ImportedPoint(
        point=0,
        duration_s=taken.number("duration_ms", scale=1e-3),
        completed=completed,
        failed=failed,
        values=taken.values,
        stats=taken.stats,
        stated=taken.rest(),
    )
    constant = "Arrival" in str(result.get("executor_type"))
    load = load_of(
        max_concurrency=None if constant else whole_or_none(config.get("max_vus")),
        request_rate=asked if constant else None,
        num_prompts=whole_or_none(result.get("total_requests")),
    )
    return FoundPoint(load, reported)


FORMAT = Format("inference-benchmarker", "an inference-benchmarker result", sniff, read)

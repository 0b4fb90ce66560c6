"""Kubernetes' inference-perf: ``stage_N_lifecycle_metrics.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferometer.exchange.importing.blocks import take_block
from inferometer.exchange.importing.formats import Format, Part
from inferometer.exchange.importing.found import Found, FoundPoint, Taken, load_of, number_of
from inferometer.exchange.importing.source import Source
from inferometer.exchange.importing.vllm import whole_or_none
from inferometer.record.imported import ImportedPoint

_LATENCIES = (
    ("ttft_ms", "time_to_first_token", ""),
    ("tpot_ms", "time_per_output_token", "(last - first) / (times of tokens - 1)"),
    ("itl_ms", "inter_token_latency", "gaps between chunks, also those that came in one read"),
    ("e2el_ms", "request_latency", "to the end of the connection"),
)
_RATES = (
    ("request_throughput_per_s", "requests_per_sec"),
    ("input_throughput_per_s", "input_tokens_per_sec"),
    ("output_throughput_per_s", "output_tokens_per_sec"),
    ("total_throughput_per_s", "total_tokens_per_sec"),
)


def sniff(source: Source) -> str | None:
    """A stage, or the summary over all stages."""
    content = source.content
    if not isinstance(content, dict) or not {"load_summary", "successes", "failures"} <= set(content):
        return None
    return "stage" if "requested_rate" in content["load_summary"] else "summary"


def read(parts: Sequence[Part]) -> Found:
    """One load point a stage; the summary is read only when it stands alone."""
    chosen = [part for part in parts if part.kind == "stage"] or list(parts)
    skipped = len(chosen) < len(parts)
    points = sorted(
        (_point(part.source.json()) for part in chosen), key=lambda p: p.load["request_rate"] or 0.0
    )
    notes = ["the summary over all stages mixes their loads and was not read"] if skipped else []
    return Found(
        tool="inference-perf", format="inference-perf lifecycle metrics", points=points,
        notes=[*notes, "the files do not say which model answered"],
    )  # fmt: skip


def _point(content: dict[str, Any]) -> FoundPoint:
    outer = Taken(content)
    good, bad = Taken(outer.take("successes") or {}), content.get("failures") or {}
    completed = good.whole("count")
    latencies, rates = Taken(good.take("latency") or {}), Taken(good.take("throughput") or {})
    for key, name, definition in _LATENCIES:
        count = None if key == "itl_ms" else completed
        take_block(latencies, key, name, 1e3, count=count, definition=definition)
    for key, names in (("input_tokens", ("prompt_tokens", "prompt_len")), ("output_tokens", ("output_len",))):
        for name in names:
            take_block(good, key, name, count=completed)
    for key, name in _RATES:
        rates.value(key, name)
    load_summary = content["load_summary"]
    reported = ImportedPoint(
        point=0,
        completed=completed,
        failed=whole_or_none(bad.get("count")) or 0,
        values=rates.values,
        stats={**latencies.stats, **good.stats},
        stated={
            **outer.rest(),
            "successes": {**good.rest(), "latency": latencies.rest(), "throughput": rates.rest()},
        },
    )
    load = load_of(
        request_rate=number_of(load_summary.get("requested_rate")),
        max_concurrency=whole_or_none(load_summary.get("concurrency")),
        num_prompts=whole_or_none(load_summary.get("count")),
    )
    return FoundPoint(load, reported)


FORMAT = Format("inference-perf", "an inference-perf stage", sniff, read)

"""SGLang: lines of ``sglang.bench_serving``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferometer.exchange.importing.flat import requests_of, take_statistics
from inferometer.exchange.importing.formats import Format, Part
from inferometer.exchange.importing.found import Found, FoundPoint, Taken, load_of
from inferometer.exchange.importing.source import Source
from inferometer.exchange.importing.vllm import rate_of, whole_or_none
from inferometer.record.imported import ImportedPoint

_KEYS = {"backend", "request_throughput", "output_throughput", "completed", "duration"}
_OWN = {"input_throughput", "total_throughput", "mean_e2e_latency_ms", "total_output_tokens_retokenized"}
_METRICS = {
    "ttft_ms": ("ttft_ms", "to the first chunk with content or reasoning; tool calls do not stop it"),
    "tpot_ms": ("tpot_ms", "(latency - TTFT) / (output tokens - 1), the latency up to [DONE]"),
    "itl_ms": ("itl_ms", "gaps between chunks with content, also those that came in one read"),
    "e2e_latency_ms": ("e2el_ms", "to [DONE] or the end of the connection"),
}
_WINDOW = "over its own clock, the time to ask the server about itself included"


def sniff(source: Source) -> str | None:
    """A line with SGLang's keys; LMDeploy writes the same names, but as CSV."""
    objects = source.objects
    return "jsonl" if objects and all(set(each) >= _KEYS and _OWN & set(each) for each in objects) else None


def read(parts: Sequence[Part]) -> Found:
    """One load point a line."""
    contents = [(part.source, content) for part in parts for content in part.source.objects or []]
    first = contents[0][1]
    info = first.get("server_info")
    info = info if isinstance(info, dict) else {}
    return Found(
        tool="sglang",
        format="sglang.bench_serving JSONL",
        points=[point_of(source, content) for source, content in contents],
        version=None if info.get("version") is None else str(info["version"]),
        model=str(info.get("served_model_name") or info.get("model_path") or first.get("model") or "unknown"),
        simulated=first.get("simulated") is True,
        notes=["the file does not say how many requests failed"],
    )


def point_of(source: Source, content: dict[str, Any]) -> FoundPoint:
    """One line."""
    taken = Taken(content)
    requests = requests_of(source, taken)
    completed = taken.whole("completed")
    failed = sum(request.status != "ok" for request in requests) if requests else None
    duration_s = taken.number("duration")
    for key, name in (
        ("request_throughput_per_s", "request_throughput"),
        ("input_throughput_per_s", "input_throughput"),
        ("output_throughput_per_s", "output_throughput"),
        ("total_throughput_per_s", "total_throughput"),
        ("goodput_per_s", "request_goodput"),
        ("attainment", "slo_attainment"),
        ("concurrency_mean", "concurrency"),
        ("concurrency_peak", "max_concurrent_requests"),
        ("peak_output_throughput_per_s", "max_output_tokens_per_s"),
    ):
        taken.value(key, name)
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
        | {"concurrency_mean": "sum of the latencies / duration (Little)"},
    )
    limit = content.get("max_concurrency")
    load = load_of(
        max_concurrency=whole_or_none(limit),
        request_rate=rate_of(content.get("request_rate"), limit),
        num_prompts=len(requests) or completed,
        input_len=whole_or_none(content.get("random_input_len")),
        output_len=whole_or_none(content.get("random_output_len")),
    )
    return FoundPoint(load, reported, requests)


FORMAT = Format("sglang", "an SGLang bench_serving result", sniff, read)

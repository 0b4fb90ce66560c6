"""LLMPerf: ``*_summary.json`` and ``*_individual_responses.json``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from inferometer.exchange.importing.blocks import place_of
from inferometer.exchange.importing.formats import Format, Part
from inferometer.exchange.importing.found import Found, FoundPoint, FoundRequest, Taken, load_of, number_of
from inferometer.exchange.importing.source import Source
from inferometer.exchange.importing.vllm import whole_or_none
from inferometer.record.imported import ImportedPoint

_METRICS = {
    "ttft_s": ("ttft_ms", 1e3, "to the first chunk of any kind"),
    "end_to_end_latency_s": ("e2el_ms", 1e3, ""),
    "number_input_tokens": ("input_tokens", 1.0, ""),
    "number_output_tokens": ("output_tokens", 1.0, "chunks, where the server gives no count"),
}
_STATISTIC = re.compile(r"^results_(.+?)_(quantiles_p\d+|mean|min|max|stddev)$")


def sniff(source: Source) -> str | None:
    """A summary, or the list of responses."""
    content = source.content
    if isinstance(content, dict):
        return (
            "summary" if {"results_ttft_s_mean", "results_num_completed_requests"} <= set(content) else None
        )
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return (
            "responses"
            if {"ttft_s", "end_to_end_latency_s", "number_output_tokens"} <= set(content[0])
            else None
        )
    return None


def read(parts: Sequence[Part]) -> Found:
    """One load point a summary; responses join the summary whose name they share."""
    stems: dict[str, dict[str, Source]] = {}
    for part in parts:
        stem = re.sub(r"_(summary|individual_responses)$", "", PurePosixPath(part.source.name).stem)
        stems.setdefault(stem, {})[part.kind] = part.source
    points = [_point(kinds) for kinds in stems.values()]
    contents = [kinds["summary"].json() for kinds in stems.values() if "summary" in kinds]
    about = contents[0] if contents else {}
    return Found(
        tool="llmperf",
        format="LLMPerf results",
        points=points,
        version=None if about.get("version") is None else str(about["version"]),
        model=str(about.get("model") or "unknown"),
        notes=["its inter-token latency includes the TTFT and is kept as stated"],
    )


def _point(kinds: Mapping[str, Source]) -> FoundPoint:
    content = kinds["summary"].json() if "summary" in kinds else {}
    taken = Taken(content)
    completed, failed = taken.whole("results_num_completed_requests"), taken.whole("results_number_errors")
    names: dict[str, dict[str, str]] = {}
    for name in content:
        found = _STATISTIC.match(name)
        place = None if found is None else place_of(found[2])
        if found is not None and place is not None and found[1] in _METRICS:
            names.setdefault(found[1], {})[place] = name
    for metric, places in names.items():
        key, scale, definition = _METRICS[metric]
        taken.stat(key, places, scale=scale, count=completed, definition=definition)
    taken.value("output_throughput_per_s", "results_mean_output_throughput_token_per_s")
    taken.value("request_throughput_per_s", "results_num_completed_requests_per_min", scale=1.0 / 60.0)
    requests = [_request(each) for each in kinds["responses"].json()] if "responses" in kinds else []
    reported = ImportedPoint(
        point=0,
        completed=completed,
        failed=failed,
        values=taken.values,
        stats=taken.stats,
        stated=taken.rest(),
    )
    load = load_of(
        max_concurrency=whole_or_none(content.get("num_concurrent_requests")),
        num_prompts=whole_or_none(content.get("results_num_requests_started")) or len(requests) or None,
        input_len=whole_or_none(content.get("mean_input_tokens")),
        output_len=whole_or_none(content.get("mean_output_tokens")),
    )
    return FoundPoint(load, reported, requests)


def _request(each: Mapping[str, Any]) -> FoundRequest:
    failed = each.get("error_code") is not None
    tokens = {n: number_of(each.get(n)) for n in ("number_input_tokens", "number_output_tokens")}
    whole = {name: None if value is None else int(value) for name, value in tokens.items()}
    return FoundRequest(
        ttft_s=None if failed else number_of(each.get("ttft_s")),
        e2el_s=None if failed else number_of(each.get("end_to_end_latency_s")),
        input_tokens=whole["number_input_tokens"],
        output_tokens=whole["number_output_tokens"],
        status="http_error" if failed else "ok",
        http_status=each["error_code"] if failed and isinstance(each["error_code"], int) else None,
        error=str(each.get("error_msg") or each.get("error_code"))[:500] if failed else None,
    )


FORMAT = Format("llmperf", "an LLMPerf result", sniff, read)

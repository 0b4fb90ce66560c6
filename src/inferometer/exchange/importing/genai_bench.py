"""genai-bench: an experiment folder, one JSON a load beside ``experiment_metadata.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferometer.exchange.importing.blocks import take_block
from inferometer.exchange.importing.formats import Format, Part
from inferometer.exchange.importing.found import Found, FoundPoint, FoundRequest, Taken, load_of, number_of
from inferometer.exchange.importing.source import Source
from inferometer.exchange.importing.vllm import whole_or_none
from inferometer.record.imported import ImportedPoint

_STATS = (
    ("ttft_ms", "ttft", True, ""),
    ("tpot_ms", "tpot", True, "(latency - TTFT) / (n - 1), the latency up to [DONE]"),
    ("e2el_ms", "e2e_latency", True, "to [DONE] or the end of the connection"),
    ("input_tokens", "num_input_tokens", False, ""),
    ("output_tokens", "num_output_tokens", False, ""),
)
_WINDOW = "over the whole time of the run, also where requests at its ends were left out"


def sniff(source: Source) -> str | None:
    """A run of an experiment, or the experiment's description."""
    content = source.content
    if not isinstance(content, dict):
        return None
    if {"aggregated_metrics", "individual_request_metrics"} <= set(content):
        return "run"
    return "experiment" if {"benchmark_version", "api_backend", "traffic_scenario"} <= set(content) else None


def read(parts: Sequence[Part]) -> Found:
    """One load point a run, in the order of their load."""
    runs = [part.source.json() for part in parts if part.kind == "run"]
    if not runs:
        raise parts[0].source.broken("the experiment has no run", "did it come to its end?")
    about: dict[str, Any] = next((part.source.json() for part in parts if part.kind == "experiment"), {})
    runs.sort(key=lambda run: (str(run["aggregated_metrics"].get("scenario")), _load_value(run)))
    return Found(
        tool="genai-bench",
        format="genai-bench experiment",
        points=[_point(run) for run in runs],
        version=about.get("benchmark_version"),
        model=str(about.get("api_model_name") or about.get("model") or "unknown"),
        simulated=about.get("simulated") is True,
        stated=Taken(about).rest(),
        notes=["send times are not in the file: rates and concurrency are as stated"],
    )


def _load_value(run: Mapping[str, Any]) -> float:
    metrics = run["aggregated_metrics"]
    return number_of(metrics.get("num_concurrency") or metrics.get("batch_size")) or 0.0


def _point(run: Mapping[str, Any]) -> FoundPoint:
    to_ms = 1e3 if run.get("_time_unit", "s") == "s" else 1.0
    outer = Taken(run)
    taken = Taken(outer.take("aggregated_metrics"))
    count = taken.whole("num_completed_requests")
    statistics = Taken(taken.take("stats") or {})
    for key, name, is_time, definition in _STATS:
        take_block(statistics, key, name, to_ms if is_time else 1.0, count=count, definition=definition)
    for key, name in (
        ("request_throughput_per_s", "requests_per_second"),
        ("output_throughput_per_s", "mean_output_throughput_tokens_per_s"),
        ("input_throughput_per_s", "mean_input_throughput_tokens_per_s"),
        ("total_throughput_per_s", "mean_total_tokens_throughput_tokens_per_s"),
    ):
        taken.value(key, name)
    listed = outer.take("individual_request_metrics") or []
    metrics = run["aggregated_metrics"]
    reported = ImportedPoint(
        point=0,
        duration_s=taken.number("run_duration"),
        completed=count,
        failed=taken.whole("num_error_requests"),
        values=taken.values,
        stats=statistics.stats,
        stated={**outer.rest(), **taken.rest(), "stats": statistics.rest()},
        definitions=dict.fromkeys(taken.values, _WINDOW),
    )
    by_rate = str(metrics.get("iteration_type")) == "request_rate"
    load = load_of(
        max_concurrency=None if by_rate else whole_or_none(metrics.get("num_concurrency")),
        request_rate=number_of(metrics.get("request_rate")) if by_rate else None,
        num_prompts=whole_or_none(metrics.get("num_requests")),
    )
    return FoundPoint(load, reported, [_request(each, to_ms / 1e3) for each in listed])


def _request(each: Mapping[str, Any], to_s: float) -> FoundRequest:
    def seconds(name: str) -> float | None:
        value = number_of(each.get(name))
        return None if value is None else value * to_s

    def whole(name: str) -> int | None:
        value = number_of(each.get(name))
        return None if value is None else int(value)

    failed = each.get("error_code") not in (None, 200)
    return FoundRequest(
        ttft_s=seconds("ttft"),
        e2el_s=seconds("e2e_latency"),
        input_tokens=whole("num_input_tokens"),
        output_tokens=whole("num_output_tokens"),
        reasoning_tokens=whole("num_reasoning_tokens"),
        status="http_error" if failed else "ok",
        http_status=each["error_code"] if isinstance(each.get("error_code"), int) else None,
        error=str(each.get("error_message") or each.get("error_code"))[:500] if failed else None,
    )


FORMAT = Format("genai-bench", "a genai-bench experiment", sniff, read)

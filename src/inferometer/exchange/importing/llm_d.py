"""llm-d's benchmark report, YAML or JSON, versions 0.1 and 0.2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferometer.exchange.importing.blocks import block_of, take_block
from inferometer.exchange.importing.formats import Format, Part
from inferometer.exchange.importing.found import Found, FoundPoint, Taken, load_of, number_of, plain, utc_of
from inferometer.exchange.importing.source import Source
from inferometer.exchange.importing.vllm import whole_or_none
from inferometer.record.imported import ImportedPoint

_LATENCIES = (
    ("ttft_ms", "time_to_first_token"),
    ("tpot_ms", "time_per_output_token"),
    ("itl_ms", "inter_token_latency"),
    ("e2el_ms", "request_latency"),
)
_RATES = (
    ("request_throughput_per_s", ("requests_per_sec", "requests_rate", "request_rate")),
    ("output_throughput_per_s", ("output_tokens_per_sec", "output_token_rate")),
    ("input_throughput_per_s", ("input_tokens_per_sec", "input_token_rate")),
    ("total_throughput_per_s", ("total_tokens_per_sec", "total_token_rate")),
)
_SECONDS = {"ms": 1.0, "s": 1e3, "us": 1e-3, "ms/token": 1.0, "s/token": 1e3}


def sniff(source: Source) -> str | None:
    """A report: a version, a scenario, and metrics or results."""
    head = source.head
    if "version" not in head or "scenario" not in head or not ("metrics" in head or "results" in head):
        return None
    return "report" if _content(source) is not None else None


def _content(source: Source) -> dict[str, Any] | None:
    content = source.content if source.content is not None else source.yaml
    if not isinstance(content, dict) or not {"version", "scenario"} <= set(content):
        return None
    return (
        content
        if isinstance(content.get("metrics"), dict) or isinstance(content.get("results"), dict)
        else None
    )


def read(parts: Sequence[Part]) -> Found:
    """One load point a report."""
    contents = [content for part in parts if (content := _content(part.source)) is not None]
    first = contents[0]
    load = (first.get("scenario") or {}).get("load") or {}
    tool = load.get("name") or (load.get("standardized") or {}).get("tool")
    return Found(
        tool="llm-d",
        format=f"llm-d benchmark report {first['version']}",
        points=[_point(content) for content in contents],
        model=_model(first),
        created_utc=_started(first),
        simulated="simulated" in str((first.get("run") or {}).get("description", "")),
        notes=[f"measured with {tool}, by whose definitions the figures are"] if tool else [],
    )


def _model(content: Mapping[str, Any]) -> str:
    scenario = content.get("scenario") or {}
    model = scenario.get("model") or {}
    if isinstance(model, dict) and model.get("name"):
        return str(model["name"])
    for each in scenario.get("stack") or ():
        found = ((each.get("standardized") or {}).get("model") or {}) if isinstance(each, dict) else {}
        if found.get("name"):
            return str(found["name"])
    return "unknown"


def _started(content: Mapping[str, Any]) -> str | None:
    run_time = (content.get("run") or {}).get("time") or {}
    start = run_time.get("start") or ((content.get("metrics") or {}).get("time") or {}).get("start")
    return utc_of(number_of(start)) or (None if start is None else str(start))


def _point(content: dict[str, Any]) -> FoundPoint:
    outer = Taken(plain(content))
    path = (
        ("metrics",)
        if isinstance(content.get("metrics"), dict)
        else ("results", "request_performance", "aggregate")
    )
    metrics: Any = plain(content)
    for name in path:
        metrics = metrics.get(name) or {}
    inner = Taken(metrics)
    requests, latency, rates = (
        Taken(inner.take(name) or {}) for name in ("requests", "latency", "throughput")
    )
    total, failed = requests.whole("total"), requests.whole("failures")
    completed = None if total is None else total - (failed or 0)
    for key, name in _LATENCIES:
        block = latency.peek(name)
        if isinstance(block, dict):
            count = None if key == "itl_ms" else completed
            take_block(latency, key, name, _SECONDS.get(str(block.get("units")), 1.0), count=count)
    take_block(requests, "input_tokens", "input_length", count=completed)
    take_block(requests, "output_tokens", "output_length", count=completed)
    for key, names in _RATES:
        _take_rate(rates, key, names)
    standard = ((content.get("scenario") or {}).get("load") or {}).get("standardized") or {}
    time = inner.peek("time") or {}
    reported = ImportedPoint(
        point=0,
        duration_s=number_of(time.get("duration")),
        completed=completed,
        failed=failed,
        values=rates.values,
        stats={**latency.stats, **requests.stats},
        stated={
            **outer.rest(path[0]),
            "/".join(path): {
                **inner.rest(), "requests": {**requests.rest(), "total": total}, "latency": latency.rest(),
                "throughput": rates.rest(),
            },
            **({"results": _beside(content["results"])} if len(path) > 1 else {}),
        },
    )  # fmt: skip
    load = load_of(
        max_concurrency=whole_or_none(standard.get("concurrency")),
        request_rate=number_of(standard.get("rate_qps")),
        num_prompts=total,
        input_len=whole_or_none((standard.get("input_seq_len") or {}).get("value")),
        output_len=whole_or_none((standard.get("output_seq_len") or {}).get("value")),
    )
    return FoundPoint(load, reported)


def _beside(results: Mapping[str, Any]) -> dict[str, Any]:
    """Results but the aggregate, which was taken apart."""
    performance = {
        name: value
        for name, value in (results.get("request_performance") or {}).items()
        if name != "aggregate"
    }
    left = {name: value for name, value in results.items() if name != "request_performance"}
    return dict(plain({**left, "request_performance": performance}))


def _take_rate(rates: Taken, key: str, names: Sequence[str]) -> None:
    if rates.value(key, *names) is not None:
        return
    for name in names:
        block = rates.peek(name)
        if isinstance(block, dict):
            stat, _ = block_of(block)
            if stat is not None and stat.mean is not None:
                rates.values[key] = stat.mean  # the whole block stays: it may have a spread over time
                return


FORMAT = Format("llm-d", "an llm-d benchmark report", sniff, read)

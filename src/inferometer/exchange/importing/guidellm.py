"""GuideLLM: ``benchmarks.json``, version 2 and the one before it, the same as YAML, and its CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inferometer.exchange.importing.blocks import take_block, take_mean
from inferometer.exchange.importing.formats import Format, Part
from inferometer.exchange.importing.found import (
    Found,
    FoundPoint,
    FoundRequest,
    Taken,
    load_of,
    number_of,
    utc_of,
)
from inferometer.exchange.importing.guidellm_csv import (
    ITL,
    is_table,
    model_of,
    point_of,
    start_of,
    table_rows,
)
from inferometer.exchange.importing.source import Source
from inferometer.exchange.importing.vllm import whole_or_none
from inferometer.record.imported import ImportedPoint

_STATS = (
    ("ttft_ms", "time_to_first_token_ms", 1.0, ""),
    ("ttfat_ms", "time_to_first_output_token_ms", 1.0, ""),
    (
        "tpot_ms",
        "inter_token_latency_ms",
        1.0,
        ITL,
    ),
    ("e2el_ms", "request_latency", 1e3, "to the end of the connection"),
    ("input_tokens", "prompt_token_count", 1.0, ""),
    ("output_tokens", "output_token_count", 1.0, ""),
)
_MEANS = (
    ("request_throughput_per_s", "requests_per_second"),
    ("input_throughput_per_s", "prompt_tokens_per_second"),
    ("output_throughput_per_s", "output_tokens_per_second"),
    ("total_throughput_per_s", "tokens_per_second"),
    ("concurrency_mean", "request_concurrency"),
)
_TPOT = "its TPOT includes the TTFT and is kept as stated; its ITL is what is called TPOT here"
_STATUSES = ("successful", "errored", "incomplete")


def sniff(source: Source) -> str | None:
    """An object with benchmarks that hold metrics by status."""
    if is_table(source):
        return "table"
    content = _content(source)
    benchmarks = content.get("benchmarks") if isinstance(content, dict) else None
    if not isinstance(benchmarks, list) or not benchmarks or not isinstance(benchmarks[0], dict):
        return None
    metrics = benchmarks[0].get("metrics")
    return "json" if isinstance(metrics, dict) and "requests_per_second" in metrics else None


def _content(source: Source) -> Any:
    """Of JSON or of YAML."""
    return source.yaml if source.content is None and source.head.startswith("benchmarks:") else source.content


def read(parts: Sequence[Part]) -> Found:
    """One load point a benchmark; a table repeats the JSON of its name, and is read where it stands alone."""
    tables = [part for part in parts if part.kind == "table"]
    parts = [part for part in parts if part.kind != "table"]
    if not parts:
        return _of_tables([part.source for part in tables])
    points: list[FoundPoint] = []
    stated: dict[str, Any] = {}
    model, version = "unknown", None
    for part in parts:
        content = _content(part.source)
        metadata = content.get("metadata") or {}
        version = version or metadata.get("guidellm_version")
        for benchmark in content["benchmarks"]:
            points.append(_point(benchmark))
            config = benchmark.get("config") or {}
            model = (config.get("backend") or {}).get("model") or model
        left = Taken(content).rest("benchmarks")
        stated = {**stated, **left}
    started = number_of(_first_time(parts))
    return Found(
        tool="guidellm",
        format="GuideLLM benchmarks.json",
        points=points,
        version=None if version is None else str(version),
        model=str(model),
        created_utc=utc_of(started),
        simulated=any(bool((_content(part.source).get("metadata") or {}).get("simulated")) for part in parts),
        stated=stated,
        notes=[_TPOT, *(["the CSV repeats the JSON and was not read a second time"] if tables else [])],
    )


def _of_tables(sources: Sequence[Source]) -> Found:
    rows = [row for source in sources for row in table_rows(source)]
    return Found(
        tool="guidellm",
        format="GuideLLM benchmarks.csv",
        points=[point_of(row) for row in rows],
        model=next(filter(None, map(model_of, rows)), "unknown"),
        created_utc=start_of(rows[0]),
        notes=[_TPOT],
    )


def _first_time(parts: Sequence[Part]) -> Any:
    return _content(parts[0].source)["benchmarks"][0].get("start_time")


def _point(benchmark: dict[str, Any]) -> FoundPoint:
    outer = Taken(benchmark)
    metrics = Taken(outer.take("metrics"))
    good = Taken(
        {n: v["successful"] for n, v in metrics.rest().items() if isinstance(v, dict) and "successful" in v}
    )
    for key, name, scale, definition in _STATS:
        take_block(good, key, name, scale, definition=definition)
    for key, name in _MEANS:
        take_mean(good, key, name)
    left = _put_back(metrics.rest(), good.rest())
    totals = benchmark["metrics"].get("request_totals") or {}
    requests = list(_requests(outer.take("requests") or {}))
    strategy = (benchmark.get("config") or {}).get("strategy") or {}
    rate = number_of(strategy.get("rate"))
    load = load_of(
        max_concurrency=None
        if rate
        else whole_or_none(strategy.get("max_concurrency") or strategy.get("streams")),
        request_rate=rate or (float("inf") if strategy.get("type_") == "throughput" else None),
        num_prompts=whole_or_none(totals.get("total")),
    )
    reported = ImportedPoint(
        point=0,
        duration_s=outer.number("duration"),
        completed=whole_or_none(totals.get("successful")) or 0,
        failed=int(number_of(totals.get("errored")) or 0),
        values=good.values,
        stats=good.stats,
        stated={**outer.rest(), "metrics": left},
        definitions={"output_throughput_per_s": "mean of the rates over time, as tokens came"},
    )
    return FoundPoint(load, reported, requests)


def _put_back(metrics: dict[str, Any], good: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics with what is left of their successful part."""
    left = {}
    for name, value in metrics.items():
        if not isinstance(value, dict) or "successful" not in value:
            left[name] = value
            continue
        others = {status: part for status, part in value.items() if status != "successful"}
        left[name] = {**({"successful": good[name]} if name in good else {}), **others}
    return left


def _requests(listed: Mapping[str, Any]) -> Iterator[FoundRequest]:
    for status in _STATUSES:
        for each in listed.get(status) or ():
            yield _request(each, status)


def _request(each: Mapping[str, Any], status: str) -> FoundRequest:
    info = each.get("info") or {}
    timings = info.get("timings") or {}
    start_s = number_of(each.get("request_start_time"))
    last_s, over_s = (number_of(timings.get(name)) for name in ("last_token_iteration", "resolve_end"))
    ttft_ms = number_of(each.get("time_to_first_token_ms"))
    answer_ms = number_of(each.get("time_to_first_output_token_ms"))
    latency_s = number_of(each.get("request_latency"))
    if latency_s is None and start_s is not None and over_s is not None:
        latency_s = max(over_s - start_s, 0.0)  # of a failed one
    tokens = {name: number_of(each.get(name)) for name in ("prompt_tokens", "output_tokens", "cached_tokens")}
    whole = {name: None if value is None else int(value) for name, value in tokens.items()}
    return FoundRequest(
        start_s=start_s,
        ttft_s=None if ttft_ms is None else ttft_ms / 1e3,
        ttfat_s=None if answer_ms is None else answer_ms / 1e3,
        e2el_s=None
        if status != "successful"
        else latency_s
        if last_s is None or start_s is None
        else last_s - start_s,
        end_s=latency_s,
        input_tokens=whole["prompt_tokens"],
        output_tokens=whole["output_tokens"],
        cached_tokens=whole["cached_tokens"],
        status={"successful": "ok", "errored": "stream_error"}.get(status, "cancelled"),  # type: ignore[arg-type]
        error=None if status == "successful" else str(info.get("error") or status)[:500],
        response_id=each.get("response_id"),
    )


FORMAT = Format("guidellm", "a GuideLLM benchmarks file", sniff, read)

"""GuideLLM's ``benchmarks.csv``: a row a benchmark below three rows of headers, statistics of successful requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferometer.exchange.importing.found import FoundPoint, Taken, load_of, number_of
from inferometer.exchange.importing.source import Source, json_of
from inferometer.exchange.importing.vllm import whole_or_none
from inferometer.record.imported import ImportedPoint

ITL = "what it calls ITL: (last - first) / (n - 1), weighted by n - 1"
_HEADERS = 3
_PERCENTILES = ("0.1", "1", "5", "10", "25", "50", "75", "90", "95", "99", "99.9")
_STATS = (
    ("ttft_ms", "Time to First Token, Successful ms", 1.0, ""),
    ("ttfat_ms", "Time to First Output Token, Successful ms", 1.0, ""),
    ("tpot_ms", "Inter Token Latency, Successful ms", 1.0, ITL),
    ("e2el_ms", "Request Latency, Successful Sec", 1e3, "to the end of the connection"),
    ("input_tokens", "Token Metrics, Successful Input Tokens", 1.0, ""),
    ("output_tokens", "Token Metrics, Successful Output Tokens", 1.0, ""),
)
_MEANS = (
    ("request_throughput_per_s", "Server Throughput, Successful Requests/Sec"),
    ("input_throughput_per_s", "Token Throughput, Successful Input Tokens/Sec"),
    ("output_throughput_per_s", "Token Throughput, Successful Output Tokens/Sec"),
    ("total_throughput_per_s", "Token Throughput, Successful Total Tokens/Sec"),
    ("concurrency_mean", "Server Throughput, Successful Concurrency"),
)


def is_table(source: Source) -> bool:
    """Whether it is such a file."""
    table = source.table
    return bool(table) and len(table or ()) > _HEADERS and (table or [])[0][:1] == ["Run Info"]


def table_rows(source: Source) -> list[dict[str, str]]:
    """Its rows, cells by the three headers of their column."""
    rows = source.table or []
    names = [", ".join(filter(None, parts)) for parts in zip(*rows[:_HEADERS], strict=True)]
    return [dict(zip(names, row, strict=False)) for row in rows[_HEADERS:]]


def model_of(row: Mapping[str, str]) -> str | None:
    """The model of its backend."""
    told = json_of(row.get("Run Info, Backend") or "{}")
    return str(told["model"]) if told.get("model") else None


def start_of(row: Mapping[str, str]) -> str | None:
    """When it began, by the clock of that machine."""
    return row.get("Timings, Start Time") or None


def point_of(row: Mapping[str, str]) -> FoundPoint:
    """One load point."""
    taken = Taken({name: cell for name, cell in row.items() if cell})
    completed = taken.whole("Request Counts, Successful")
    failed = taken.whole("Request Counts, Errored")
    for key, name, scale, definition in _STATS:
        _take(taken, key, name, scale, definition=definition, count=completed)
    for key, name in _MEANS:
        taken.value(key, f"{name}, Mean")
    reported = ImportedPoint(
        point=0,
        duration_s=taken.number("Timings, Duration, Sec"),
        completed=completed,
        failed=failed,
        values=taken.values,
        stats=taken.stats,
        stated={
            name: value if (n := number_of(value)) is None else n for name, value in taken.rest().items()
        },
        definitions={"output_throughput_per_s": "mean of the rates over time, as tokens came"},
    )
    return FoundPoint(_load(row), reported)


def _take(taken: Taken, key: str, name: str, scale: float, **more: Any) -> None:
    """Mean, median, deviation, and the list of percentiles, of which the median's own is the other column's."""
    listed = _numbers(str(taken.peek(f"{name}, Percentiles") or ""))
    places = {"mean": f"{name}, Mean", "std": f"{name}, Std Dev", "50": f"{name}, Median"}
    taken.stat(key, places, scale=scale, **more)
    if key in taken.stats and len(listed) == len(_PERCENTILES):
        percentiles = taken.stats[key].percentiles
        for place, value in zip(_PERCENTILES, listed, strict=True):
            if value is not None:
                percentiles.setdefault(place, value * scale)


def _numbers(text: str) -> Sequence[float | None]:
    return [number_of(part) for part in text.strip("[]").split(",")]


def _load(row: Mapping[str, str]) -> dict[str, Any]:
    """Of the name of the strategy: ``synchronous``, ``concurrent@4``, ``constant@77.88``, ``throughput@512``."""
    kind, _, told = row.get("Benchmark, Strategy", "").partition("@")
    limit = (
        1 if kind == "synchronous" else whole_or_none(told) if kind in ("concurrent", "throughput") else None
    )
    rate = float("inf") if kind == "throughput" else number_of(told) if limit is None else None
    return load_of(
        max_concurrency=limit,
        request_rate=rate,
        num_prompts=whole_or_none(row.get("Request Counts, Total")),
    )

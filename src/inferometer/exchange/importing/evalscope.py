"""EvalScope perf: summary and percentiles of three generations, its arguments, and its database of requests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec

from inferometer.exchange.importing.blocks import place_of
from inferometer.exchange.importing.evalscope_db import read_database
from inferometer.exchange.importing.formats import Format, Part
from inferometer.exchange.importing.found import (
    Found,
    FoundPoint,
    FoundRequest,
    Taken,
    load_of,
    number_of,
    plain,
    stat_of,
)
from inferometer.exchange.importing.source import Source
from inferometer.exchange.importing.vllm import whole_or_none
from inferometer.record.imported import ImportedPoint, ImportedStat

# By our key: what the three generations call it, and to our unit.
_DURATION = ("Test Duration (s)", "Time taken for tests (s)")
_CONCURRENCY = ("Concurrency", "Number of concurrency")
_RATE = ("Request Rate (req/s)", "Request rate (req/s)")
_TOTAL = ("Total Requests", "Total requests", "Expected number of requests")
_OK = ("Success Requests", "Succeed requests")
_FAILED = ("Failed Requests", "Failed requests")
_VALUES = (
    ("request_throughput_per_s", ("Req Throughput (req/s)", "Request throughput (req/s)", "Average QPS")),
    (
        "output_throughput_per_s",
        ("Output Throughput (tok/s)", "Output token throughput (tok/s)", "Throughput(average tokens/s)"),
    ),
    ("total_throughput_per_s", ("Total Throughput (tok/s)", "Total token throughput (tok/s)")),
)
_MEANS = (
    ("ttft_ms", (("Avg TTFT (ms)", 1.0), ("Average time to first token (s)", 1e3))),
    ("tpot_ms", (("Avg TPOT (ms)", 1.0), ("Average time per output token (s)", 1e3))),
    ("itl_ms", (("Avg ITL (ms)", 1.0), ("Average inter-token latency (s)", 1e3))),
    ("e2el_ms", (("Avg Latency (s)", 1e3), ("Average latency (s)", 1e3))),
    ("input_tokens", (("Avg Input Tokens", 1.0), ("Average input tokens per request", 1.0))),
    ("output_tokens", (("Avg Output Tokens", 1.0), ("Average output tokens per request", 1.0))),
)
_COLUMNS = {
    "ttft": "ttft_ms", "itl": "itl_ms", "tpot": "tpot_ms", "latency": "e2el_ms",
    "input tokens": "input_tokens", "output tokens": "output_tokens",
}  # fmt: skip
_DEFINITIONS = {
    "ttft_ms": "to the first chunk with choices, also one without content",
    "tpot_ms": "(latency - TTFT) / (n - 1), 0 for answers of one token counted in",
    "itl_ms": "gaps between chunks, also those that came in one read",
    "e2el_ms": "to the chunk with the usage",
}
_PICK = "its percentiles are the value at position int(n p), not interpolated"
_IN_NAME = re.compile(r"^(.*?)\s*\((ms|s|tok/s|tokens/s)\)$")


def sniff(source: Source) -> str | None:
    """One of its files."""
    if source.is_sqlite:
        return "database" if read_database(source) is not None else None
    content = source.content
    if isinstance(content, dict):
        if any(name in content for name in _OK) and any(name in content for name in _DURATION):
            return "summary"
        if {"parallel", "number", "api"} <= set(content):
            return "arguments"
    return "percentiles" if _percentile_rows(content) else None


def read(parts: Sequence[Part]) -> Found:
    """One load point a folder (``parallel_X_number_Y``)."""
    groups: dict[str, dict[str, Source]] = {}
    for part in parts:
        kinds = groups.setdefault(str(PurePosixPath(part.source.name).parent), {})
        if part.kind in kinds:
            raise part.source.broken(
                f"a second {part.kind} beside {kinds[part.kind].name}", "import one result folder at a time"
            )
        kinds[part.kind] = part.source
    notes: dict[str, None] = {}
    points, arguments = [], {}
    for kinds in groups.values():
        if "arguments" in kinds:
            arguments = kinds["arguments"].json()
        if set(kinds) - {"arguments"}:
            points.append(_point(kinds, arguments, notes))
    points.sort(key=lambda point: point.load["max_concurrency"] or 0)
    return Found(
        tool="evalscope",
        format="EvalScope perf results",
        points=points,
        model=str(arguments.get("model") or "unknown"),
        simulated=arguments.get("simulated") is True,
        stated=plain(arguments),
        notes=[*notes, _PICK],
    )


def _point(kinds: Mapping[str, Source], arguments: Mapping[str, Any], notes: dict[str, None]) -> FoundPoint:
    taken = Taken(kinds["summary"].json() if "summary" in kinds else {})
    rows = _percentile_rows(kinds["percentiles"].content) if "percentiles" in kinds else {}
    requests: list[FoundRequest] = []
    if "database" in kinds:
        found = read_database(kinds["database"])
        assert found is not None  # the sniffer has seen it
        requests = found.requests
        notes |= dict.fromkeys(found.notes)
    return point_of(taken, rows, arguments, requests)


def point_of(
    taken: Taken,
    rows: Mapping[str, Mapping[str, float]],
    arguments: Mapping[str, Any],
    requests: list[FoundRequest],
) -> FoundPoint:
    """One load point.

    Args:
        taken: the summary.
        rows: percentiles by column.
        arguments: of the command line.
        requests: of the database.
    """
    completed, failed, total = taken.whole(*_OK), taken.whole(*_FAILED), taken.whole(*_TOTAL)
    limit, rate = taken.peek(*_CONCURRENCY), number_of(taken.peek(*_RATE))
    duration_s = taken.number(*_DURATION)
    for key, names in _VALUES:
        taken.value(key, *names)
    _take_means(taken, completed)
    left: dict[str, Any] = dict(_take_percentiles(taken, rows, completed))
    if arguments.get("stream") is False and "ttft_ms" in taken.stats:
        left["ttft_ms, which is the latency as nothing was streamed"] = plain(
            msgspec.to_builtins(taken.stats.pop("ttft_ms"))
        )
    reported = ImportedPoint(
        point=0,
        duration_s=duration_s,
        completed=completed,
        failed=failed,
        values=taken.values,
        stats=taken.stats,
        stated={**taken.rest(), **({"percentiles": left} if left else {}), **_counted(total)},
    )
    open_loop = bool(arguments.get("open_loop")) or not whole_or_none(limit)
    load = load_of(
        max_concurrency=None if open_loop else whole_or_none(limit),
        request_rate=rate if rate is not None and rate > 0 else None,
        num_prompts=total or len(requests) or None,
    )
    return FoundPoint(load, reported, requests)


def _counted(total: int | None) -> dict[str, Any]:
    return {} if total is None else {"Total Requests": total}


def _take_means(taken: Taken, completed: int | None) -> None:
    for key, names in _MEANS:
        for name, scale in names:
            mean = taken.number(name, scale=scale)
            if mean is not None:
                count = None if key == "itl_ms" else completed
                taken.stats[key] = ImportedStat(mean=mean, count=count, definition=_DEFINITIONS.get(key, ""))
                break


def _take_percentiles(
    taken: Taken, rows: Mapping[str, Mapping[str, float]], completed: int | None
) -> dict[str, dict[str, float]]:
    """Add percentiles to the statistics by our keys; those of metrics without a word of ours are given back."""
    left = {}
    for column, places in rows.items():
        named = _IN_NAME.match(column)
        name, unit = (named[1], named[2]) if named else (column, "")
        key = _COLUMNS.get(name.strip().lower())
        if key is None:
            left[column] = dict(places)
            continue
        scale = 1e3 if unit == "s" else 1.0
        known = taken.stats.get(key)
        count = None if key == "itl_ms" else completed
        found = stat_of(
            {p: v * scale for p, v in places.items()}, count=count, definition=_DEFINITIONS.get(key, "")
        )
        if found is not None:
            mean = found.mean if known is None else known.mean
            taken.stats[key] = msgspec.structs.replace(found, mean=mean)
    return left


def _cells(row: Any) -> Iterator[tuple[str, str, Any]]:
    """Column, percentile and value of each cell of a row: one percentile of all metrics, or all of one metric."""
    if not isinstance(row, dict):
        return
    place, metric = row.get("Percentiles", row.get("Percentile")), row.get("Metric")
    for name, value in row.items():
        if place is not None and not name.startswith("Percentile"):
            yield name, str(place), value
        elif place is None and metric is not None and name != "Metric":
            yield str(metric), name, value


def _lists(content: Any) -> Iterator[tuple[str, str, Any]]:
    """The same of columns that are lists."""
    places = content.get("Percentiles", content.get("Percentile")) if isinstance(content, dict) else None
    if not isinstance(places, list):
        return
    for name, values in content.items():
        if isinstance(values, list) and not name.startswith("Percentile"):
            yield from ((name, str(place), value) for place, value in zip(places, values, strict=False))


def _percentile_rows(content: Any) -> dict[str, dict[str, float]]:
    """Percentiles by column, of a list of rows, of columns with lists, or of rows a metric; empty for none of them."""
    rows = (
        [cell for row in content for cell in _cells(row)]
        if isinstance(content, list)
        else list(_lists(content))
    )
    found: dict[str, dict[str, float]] = {}
    for name, written, value in rows:
        place, number = place_of(written), number_of(value)
        if place is not None and number is not None:
            found.setdefault(name, {})[place] = number
    return found


FORMAT = Format("evalscope", "an EvalScope perf result", sniff, read)

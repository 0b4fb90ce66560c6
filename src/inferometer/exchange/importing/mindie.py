"""MindIE Benchmark: ``result_perf_*.csv``, whose rows have no names, and ``result_common_*.csv``; both generations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from inferometer.exchange.importing.cells import cells_to_stat, plain_cell
from inferometer.exchange.importing.formats import Format, Part
from inferometer.exchange.importing.found import Found, FoundPoint, load_of, quantity_of
from inferometer.exchange.importing.source import Source
from inferometer.exchange.importing.vllm import whole_or_none
from inferometer.record.imported import ImportedPoint, ImportedStat

_ROWS = ("average", "max", "min", "P75", "P90", "SLO_P90", "P99", "N")
_METRICS = {
    "FirstTokenTime": ("ttft_ms", "to the first chunk of the stream"),
    "DecodeTime": ("itl_ms", "gaps between chunks, pooled; N is the number of requests"),
    "GenerateTime": ("e2el_ms", ""),
    "InputTokens": ("input_tokens", ""),
    "GeneratedTokens": ("output_tokens", ""),
}
_VALUES = {
    "Throughput": "request_throughput_per_s",
    "OutputGenerateSpeed": "output_throughput_per_s",
    "GenerateSpeed": "output_throughput_per_s",  # before mid-2025
    "InputGenerateSpeed": "input_throughput_per_s",
    "TotalGenerateSpeed": "total_throughput_per_s",
}
_COUNT = re.compile(r"^\s*(\d+)\s*[(\[]")
_POOLED = "its average of DecodeTime is over all gaps: one long stall moves it far"


def sniff(source: Source) -> str | None:
    """One of its two tables."""
    table = source.table
    if not table:
        return None
    header = {cell.strip() for cell in table[0]}
    if {"FirstTokenTime", "GenerateTime"} <= header:
        return "perf"
    if {"TimeElapsed", "Concurrency", "ModelName"} <= header:
        return "common"
    first = {row[0].strip() for row in table}
    if {"FirstTokenTime", "GenerateTime"} <= first:
        return "perf rows"  # turned over, with names: as people copy them from the console
    return "common rows" if {"TimeElapsed", "Concurrency"} <= first else None


def read(parts: Sequence[Part]) -> Found:
    """One load point for each pair of tables, in the order of their names, which end in a time."""
    perfs = [part for part in parts if part.kind.startswith("perf")]
    commons = [part for part in parts if part.kind.startswith("common")]
    if perfs and commons and len(perfs) != len(commons):
        raise parts[0].source.broken(
            f"{len(perfs)} result_perf and {len(commons)} result_common files do not pair",
            "import one run at a time",
        )
    points: list[FoundPoint] = []
    about: dict[str, str] = {}
    for place in range(max(len(perfs), len(commons))):
        common = _common(commons[place]) if place < len(commons) else {}
        about = about or common
        points.append(_point(perfs[place] if place < len(perfs) else None, common))
    date = about.get("CurrentTime", "").strip()
    return Found(
        tool="mindie",
        format="MindIE Benchmark CSV",
        points=points,
        model=about.get("ModelName", "").strip() or "unknown",
        created_utc=date.replace(" ", "T") if re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", date) else None,
        notes=[_POOLED],
    )


def _common(part: Part) -> dict[str, str]:
    table = part.source.table or []
    if part.kind == "common rows":
        return {row[0].strip(): row[1] for row in table if len(row) > 1}
    if len(table) < 2:
        raise part.source.broken("a header and no row", "was the file cut?")
    return {name.strip(): cell for name, cell in zip(table[0], table[1], strict=False)}


def _columns(part: Part) -> dict[str, dict[str, str]]:
    """Cells by metric and statistic."""
    table = part.source.table or []
    if part.kind == "perf rows":
        header = [cell.strip() for cell in table[0]]
        return {row[0].strip(): dict(zip(header[1:], row[1:], strict=False)) for row in table[1:]}
    header, rows = [cell.strip() for cell in table[0]], table[1:]
    labelled = "" in header[:1] or header[0].lower() in ("metric", "statistic")
    if labelled:
        names = [row[0].strip() for row in rows]
    elif len(rows) == len(_ROWS):
        names = list(_ROWS)
    else:
        raise part.source.broken(
            f"{len(rows)} rows without names, where MindIE writes {len(_ROWS)} ({', '.join(_ROWS)})",
            "was the file cut, or changed by hand?",
        )
    return {
        metric: {name: row[place] for name, row in zip(names, rows, strict=True) if place < len(row)}
        for place, metric in enumerate(header)
        if metric and not (labelled and place == 0)
    }


def _point(perf: Part | None, common: Mapping[str, str]) -> FoundPoint:
    stats: dict[str, ImportedStat] = {}
    stated: dict[str, Any] = {}
    for metric, cells in (_columns(perf) if perf is not None else {}).items():
        key, definition = _METRICS.get(metric, ("", ""))
        found, rest = cells_to_stat(key, cells, definition=definition)
        if key and found is not None:
            stats[key] = found
            if rest:
                stated[metric] = rest
        else:
            stated[metric] = {name: plain_cell(cell) for name, cell in cells.items()}
    values = {}
    for name, cell in common.items():
        number, _ = quantity_of(cell)
        if name in _VALUES and number is not None:
            values[_VALUES[name]] = number
        elif name != "TimeElapsed":
            stated[name] = plain_cell(cell)
    elapsed, _ = quantity_of(common.get("TimeElapsed", ""))
    counts = {name: _COUNT.match(common.get(name, "")) for name in ("Returned", "Failed", "Total")}
    whole = {name: None if found is None else int(found[1]) for name, found in counts.items()}
    limit = whole_or_none(quantity_of(common.get("Concurrency", ""))[0])
    load = load_of(max_concurrency=limit, num_prompts=whole["Total"])
    count = next((stat.count for stat in stats.values() if stat.count), None)
    reported = ImportedPoint(
        point=0,
        duration_s=elapsed,
        completed=count if whole["Returned"] is None else whole["Returned"],
        failed=whole["Failed"],
        values=values,
        stats=stats,
        stated=stated,
    )
    return FoundPoint(load, reported)


FORMAT = Format("mindie", "a MindIE Benchmark result", sniff, read)

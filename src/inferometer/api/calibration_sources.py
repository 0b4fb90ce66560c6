"""What a calibration reads: run folders with what they know of their engine, step records, and tables."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from inferometer.client.engine_counters import CACHE_CONFIG
from inferometer.client.exposition import name_and_labels
from inferometer.errors import DataError, UsageError
from inferometer.record.store import read_run
from inferometer.record.tables import PointTable, RunRecord
from inferometer.simulator.calibration.evidence import Observed, observed_of
from inferometer.simulator.calibration.table import Point
from inferometer.simulator.instance.limits import EngineLimits

_COLUMNS: Final = {
    "concurrency": ("concurrency", "max_concurrency", "clients"),
    "input_tokens": ("input_tokens", "input_len", "input", "isl", "mean_input_tokens"),
    "output_tokens": ("output_tokens", "output_len", "output", "osl", "mean_output_tokens"),
}
_LATENCIES: Final = ("ttft", "tpot")
_UNITS: Final = {"s": 1.0, "ms": 1e-3}


class RunFacts(NamedTuple):
    """What a run says of the engine that it measured; None = it does not say.

    Attributes:
        engine: its name.
        model: what it serves.
        kv_tokens: that its KV cache holds, of one instance.
        block_tokens: of a block of it.
        max_num_seqs, max_model_len: limits.
        source: where ``kv_tokens`` comes from.
    """

    engine: str | None = None
    model: str = ""
    kv_tokens: int | None = None
    block_tokens: int | None = None
    max_num_seqs: int | None = None
    max_model_len: int | None = None
    source: str = ""


def read_runs(folders: Sequence[Path]) -> list[RunRecord]:
    """Closed runs of one model.

    Raises:
        RunFolderError: not a run folder, or one that was not closed.
        UsageError: runs of different models, or one without a measured load point.
    """
    records = [read_run(folder) for folder in folders]
    models = {record.meta.model: record.path.name for record in records}
    if len(models) > 1:
        named = "; ".join(f"{model} in {name}" for model, name in models.items())
        raise UsageError(
            f"the runs are of {len(models)} models: {named}",
            "calibrate each model by itself, one profile each",
        )
    for record in records:
        if not record.measured:
            raise UsageError(f"run {record.path.name} has no measured load point", "name another run")
    return records


def run_facts(record: RunRecord) -> RunFacts:
    """What a run says of its engine: the record of an engine that it started, else the engine's own metrics."""
    meta = record.meta
    told: Mapping[str, Any] = meta.engine.facts if meta.engine is not None else {}
    block = _whole(told.get("kv_block_tokens"))
    kv_tokens, source = _whole(told.get("kv_tokens")), "the engine's own words"
    if kv_tokens is None and told.get("kv_blocks") and block:
        kv_tokens = (_whole(told.get("kv_blocks")) or 0) * block
    if kv_tokens is None:
        kv_tokens, block, source = _of_metrics(record.measured, block)
    length = _whole(told.get("max_model_len")) or _whole(meta.server.get("max_model_len"))
    return RunFacts(
        engine=None if meta.engine is None else meta.engine.name,
        model=meta.model,
        kv_tokens=kv_tokens,
        block_tokens=block,
        max_num_seqs=_whole(told.get("max_num_seqs")),
        max_model_len=length,
        source=source if kv_tokens else "",
    )


def _of_metrics(tables: Sequence[PointTable], block: int | None) -> tuple[int | None, int | None, str]:
    """Tokens and block of the KV cache of the first server that says them in its metrics."""
    for table in tables:
        for reading in (*table.point.counters_before, *table.point.counters_after):
            for series in reading.values:
                name, labels = name_and_labels(series)
                if not name.startswith(CACHE_CONFIG):
                    continue
                blocks = _whole(labels.get("num_gpu_blocks") or labels.get("num_pages"))
                size = _whole(labels.get("block_size") or labels.get("page_size"))
                if blocks and size:
                    return blocks * size, size, f"{name} of {reading.source}"
    return None, block, ""


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = int(float(value))
    except ValueError:
        return None
    return number if number > 0 else None


def with_facts(limits: EngineLimits, facts: RunFacts, kv_tokens: int | None) -> EngineLimits:
    """Limits as a run's engine had them, with the KV cache that is known of it."""
    block = facts.block_tokens or limits.block_tokens
    tokens = kv_tokens or facts.kv_tokens
    blocks = limits.kv_blocks * limits.block_tokens // block if tokens is None else max(1, tokens // block)
    length = facts.max_model_len or limits.max_model_len
    seqs = facts.max_num_seqs or limits.max_num_seqs
    if limits.scheduler == "chunked":
        seqs = min(seqs, limits.max_num_batched_tokens)
    return msgspec.structs.replace(
        limits,
        block_tokens=block,
        kv_blocks=blocks,
        max_model_len=min(length, blocks * block),
        max_num_seqs=seqs,
    )


def observed(record: RunRecord, limits: EngineLimits, most: int) -> Iterator[Observed]:
    """The load points of a run, of each its share of the requests that may count."""
    tables = record.measured
    for table in tables:
        name = record.path.name + ("" if len(tables) == 1 else f", load point {table.point.index}")
        yield from observed_of(table, name, limits, max(1, most // len(tables)))


def run_warnings(record: RunRecord) -> list[str]:
    """What of a run speaks against calibrating from it."""
    found = []
    verdict = (record.meta.verdict or {}).get("word")
    if verdict == "INVALID":
        failed = ", ".join((record.meta.verdict or {}).get("failed", [])) or "see its report"
        found.append(f"{record.path.name} is INVALID ({failed}): what it measured may not be the engine's")
    if record.meta.simulated:
        found.append(f"{record.path.name} measured a simulated engine, so the profile is one of it")
    if record.meta.state not in ("complete", "recovered"):
        found.append(f"{record.path.name} was {record.meta.state}: only what it had measured counts")
    return found


def read_points(path: Path) -> list[Point]:
    """Load points of a CSV with concurrency, input and output tokens, and mean TTFT and TPOT in s or ms.

    Raises:
        UsageError: the file cannot be read, or lacks a column.
        DataError: a value that is no number; names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"table {path} cannot be read: {reason}", "give a CSV file with a header") from error
    if not rows:
        raise UsageError(f"table {path} has no rows", "give one row a load point")
    names = {_plain(name): name for name in rows[0] if name}
    columns = {field: _column(names, field, path) for field in _COLUMNS}
    latencies = {f"{name}_s": _latency(names, name, path) for name in _LATENCIES}
    return [
        _point(row, columns, latencies, f"table {path} line {line}") for line, row in enumerate(rows, start=2)
    ]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _column(names: Mapping[str, str], field: str, path: Path) -> str:
    for name in _COLUMNS[field]:
        if name in names:
            return names[name]
    raise UsageError(
        f"table {path} has no column {field}; its columns are {', '.join(names)}",
        "name them concurrency,input_tokens,output_tokens,ttft_ms,tpot_ms",
    )


def _latency(names: Mapping[str, str], name: str, path: Path) -> tuple[str, float] | None:
    for unit, factor in _UNITS.items():
        for known in (f"{name}_{unit}", f"mean_{name}_{unit}", f"{name}_mean_{unit}", f"{name}_{unit}_mean"):
            if known in names:
                return names[known], factor
    if name in names:
        raise UsageError(
            f"column {names[name]} of table {path} does not say its unit", f"name it {name}_ms or {name}_s"
        )
    return None


def _point(
    row: Mapping[str, str],
    columns: Mapping[str, str],
    latencies: Mapping[str, tuple[str, float] | None],
    where: str,
) -> Point:
    def number(column: str) -> float | None:
        text = (row[column] or "").strip()
        try:
            value = float(text) if text else None
        except ValueError:
            value = math.nan
        if value is None or math.isfinite(value):
            return value
        raise DataError(f"{where}: {column}={text!r} is no number", "leave it empty if unknown")

    counts = {field: number(column) for field, column in columns.items()}
    missing = [field for field, value in counts.items() if value is None]
    if missing:
        raise DataError(f"{where} has no {', '.join(missing)}", "every load point needs them")
    times = {
        field: None if place is None or (value := number(place[0])) is None else value * place[1]
        for field, place in latencies.items()
    }
    try:
        return Point(
            concurrency=round(counts["concurrency"] or 0),
            input_tokens=round(counts["input_tokens"] or 0),
            output_tokens=round(counts["output_tokens"] or 0),
            **times,
        )
    except UsageError as error:
        raise DataError(f"{where}: {error.message}", error.next_step) from error

"""Our own tables (``inferometer report --csv``), of a run whose folder is not at hand."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.exchange.importing.flat import take_statistics
from inferometer.exchange.importing.formats import Format, Part
from inferometer.exchange.importing.found import Found, FoundPoint, Taken, load_of, number_of
from inferometer.exchange.importing.source import Source
from inferometer.exchange.importing.vllm import rate_of, whole_or_none
from inferometer.record.imported import ImportedPoint

_KEYS = {"load", "ok_requests", "failed_requests", "request_throughput_per_s", "verdict"}
_METRICS = {key: (key, "") for key in ("ttft_ms", "tpot_ms", "itl_ms", "e2el_ms")}
_VALUES = (
    "request_throughput_per_s", "input_throughput_per_s", "output_throughput_per_s", "total_throughput_per_s",
    "steady_output_throughput_per_s", "input_throughput_per_node_per_s", "output_throughput_per_node_per_s",
    "output_throughput_per_device_per_s", "goodput_per_s", "attainment", "cached_share", "concurrency_mean",
)  # fmt: skip


def sniff(source: Source) -> str | None:
    """A CSV with our columns."""
    table = source.table
    return "table" if table and {cell.strip() for cell in table[0]} >= _KEYS else None


def read(parts: Sequence[Part]) -> Found:
    """One load point a row, which may be the mean of repeats."""
    rows = [row for part in parts for row in part.source.rows or []]
    verdicts = sorted({row["verdict"] for row in rows if row.get("verdict")})
    return Found(
        tool="inferometer",
        format="inferometer table",
        points=[_point(row) for row in rows],
        model=next((row["model"] for row in rows if row.get("model")), "unknown"),
        simulated=any(row.get("simulated") == "yes" for row in rows),
        notes=[f"verdict of the run that the table was made of: {', '.join(verdicts)}"] if verdicts else [],
    )


def _point(row: dict[str, str]) -> FoundPoint:
    taken = Taken(row)
    completed, failed = taken.whole("ok_requests"), taken.whole("failed_requests")
    for key in _VALUES:
        taken.value(key, key)
    take_statistics(taken, _METRICS, completed)
    stated = {name: value if (n := number_of(value)) is None else n for name, value in taken.rest().items()}
    reported = ImportedPoint(
        point=0, completed=completed, failed=failed, values=taken.values, stats=taken.stats, stated=stated
    )
    limit = row.get("max_concurrency")
    load = load_of(
        max_concurrency=whole_or_none(limit),
        request_rate=rate_of(row.get("request_rate") or None, limit),
        num_prompts=whole_or_none(row.get("num_prompts")),
        input_len=whole_or_none(row.get("input_len")),
        output_len=whole_or_none(row.get("output_len")),
    )
    return FoundPoint(load, reported)


FORMAT = Format("inferometer", "a table of ours", sniff, read)

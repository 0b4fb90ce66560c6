"""Runs that the tests of tables share, and ways to look into a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from run_builder import point, request, run, steady_requests

from inferometer.metrics.summary import RunSummary, summarize
from inferometer.record.tables import PointTable, RunRecord
from inferometer.report.tables import STYLES, Table, TableReport, build, markdown

FIXED: dict[str, Any] = {"sampling": {"ignore_eos": True}}


def closed(
    index: int, concurrency: int, count: int = 20, failed: int = 0, gap_ms: float = 100.0, **load: Any
) -> PointTable:
    """``count`` good requests: TTFT 30 ms, then two more tokens, each after 30 ms; and some refused ones."""
    requests, chunks = steady_requests(count, gap_ms=gap_ms)
    refused = [
        request(count + i, planned=0, sent=0, end=4, status="http_error", http_status=503, streamed=False)
        for i in range(failed)
    ]
    asked = {
        "index": index, "repeat": 1, "max_concurrency": concurrency, "request_rate": None, "closed": True,
        "input_len": 8, "output_len": 3, "num_prompts": count + failed,
    }  # fmt: skip
    return point([*requests, *refused], chunks, index=index, load=asked | load)


def opened(index: int, rate: float | str, count: int = 20, **load: Any) -> PointTable:
    """The same requests, due at a rate."""
    asked = {"max_concurrency": None, "request_rate": rate, "closed": False}
    return closed(index, 0, count, **(asked | load))


def measured(*tables: PointTable, **meta: Any) -> tuple[RunRecord, RunSummary]:
    spec = FIXED | meta.pop("spec", {})
    record = run(*tables, spec=spec, **meta)
    return record, summarize(record)


def made(style: str, *runs: tuple[RunRecord, RunSummary], nodes: int | None = None) -> TableReport:
    return build(runs, STYLES[style], nodes)


def values(table: Table, row: int = 0) -> dict[str, Any]:
    """A row by heading; floats to a few digits."""
    cells = zip(table.columns, table.rows[row], strict=True)
    return {c.heading: round(v.value, 4) if isinstance(v.value, float) else v.value for c, v in cells}


def headings(table: Table) -> list[str]:
    """Of the style itself, without those that every table has."""
    own = ("failed", "simulated", "verdict")
    return [column.heading for column in table.columns if column.heading not in own]


def markdown_table(report: TableReport) -> Sequence[str]:
    return [line for line in markdown(report).splitlines() if line.startswith("|")]

"""Runs to export, and their files as data."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from run_builder import point, request, run, steady_requests

from inferometer.exchange.exporting.formats import FORMATS
from inferometer.exchange.exporting.model import Asked, Source
from inferometer.metrics.summary import summarize
from inferometer.record.tables import PointTable, RunRecord
from inferometer.record.types import Sitting

SAMPLES = Path(__file__).parents[2] / "data" / "exchange"
HARDWARE = {"hw": "h100", "tp": "4"}
_SPEC: dict[str, Any] = {"sampling": {"ignore_eos": True}, "endpoint": {"url": "http://h:8000"}}


def closed(
    index: int = 1, concurrency: int | None = 1, count: int = 20, failed: int = 0, **load: Any
) -> PointTable:
    """``count`` good requests: TTFT 30 ms, then two more tokens, each after 30 ms; and some refused ones."""
    requests, chunks = steady_requests(count)
    refused = [
        request(
            count + i,
            planned=0,
            sent=0,
            end=4,
            status="http_error",
            http_status=503,
            error="busy",
            streamed=False,
        )
        for i in range(failed)
    ]
    asked = {
        "index": index, "repeat": 1, "max_concurrency": concurrency, "request_rate": None, "closed": True,
        "input_len": 8, "output_len": 3, "num_prompts": count + failed, "burstiness": 1.0,
    }  # fmt: skip
    return point([*requests, *refused], chunks, index=index, load=asked | load, end_ns=3_000_000_000)


def record(*tables: PointTable, **meta: Any) -> RunRecord:
    """A run whose clock began at Unix second 1,000."""
    anchors = [{"monotonic_ns": 0, "realtime_ns": 1_000_000_000_000}]
    sittings = [Sitting(began_utc="2026-11-20T21:30:05Z", anchors=anchors)]
    return run(*tables, spec=_SPEC | meta.pop("spec", {}), sittings=sittings, **meta)


def source(*tables: PointTable, asked: Asked | None = None, **meta: Any) -> Source:
    found = record(*tables, **meta)
    return Source(found, summarize(found), found.measured, asked or Asked())


def files(form: str, of: Source) -> dict[str, bytes]:
    """The files of a format, by path."""
    return {str(made.path): made.content for made in FORMATS[form].make(of)}


def strict(content: bytes) -> Any:
    """JSON, with an error for NaN and infinity."""

    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} in JSON")

    return json.loads(content, parse_constant=refuse)


def rows(content: bytes, encoding: str = "utf-8") -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(encoding))))


def sample(name: str) -> Any:
    """A real file of the tool, as it wrote it."""
    return json.loads((SAMPLES / name).read_text(encoding="utf-8"))

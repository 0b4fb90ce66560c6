"""Closed runs, built by hand: records and chunks in, the columns that the metrics room reads out. Times in ms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from inferometer.record.tables import PointTable, RunRecord
from inferometer.record.types import ChunkKind, ClientHealth, PointRecord, RequestRecord, RunMeta

TEXT = ("status", "error", "finish_reason", "session", "model", "prompt", "output", "response_id")


class Chunk(NamedTuple):
    request: int
    at_ms: float
    kind: ChunkKind = ChunkKind.CONTENT
    tokens: float | None = 1
    read: int = 0
    lag_ms: float | None = 0.01


def ns(ms: float | None) -> int | None:
    return None if ms is None else round(ms * 1e6)


def request(index: int, **fields: Any) -> RequestRecord:
    """A record from fields whose times are written in ms (``sent=1.5``); planned at 0 and ok unless told."""
    times = ("planned", "queued", "connect_start", "connect_end", "sent", "first_byte", "first_token",
             "first_answer", "last_token", "end")  # fmt: skip
    row: dict[str, Any] = {"status": "ok", "streamed": True, "planned_ns": 0, "point": 1}
    for name, value in fields.items():
        if name in times:
            row[f"{name}_ns"] = ns(value)
        else:
            row[name] = value
    return RequestRecord(index=index, **row)


def point(requests: Sequence[RequestRecord], chunks: Sequence[Chunk] = (), **fields: Any) -> PointTable:
    """A load point of these requests; a closed loop of 1 with a sound client unless told."""
    health = ClientHealth(
        receive_clock="kernel", cpu_s=0.1, wall_s=1.0, run_queue_wait_s=0.0, clock_error_ns=300
    )
    row: dict[str, Any] = {
        "index": 1,
        "kind": "measure",
        "load": {"max_concurrency": 1, "request_rate": None, "burstiness": 1.0, "closed": True},
        "planned_requests": len(requests),
        "dispatched": len(requests),
        "epoch_ns": 0,
        "stop_reason": "complete",
        "health": [health],
    }
    return PointTable(
        point=PointRecord(**(row | fields)), requests=request_columns(requests), chunks=chunk_columns(chunks)
    )


def request_columns(requests: Sequence[RequestRecord]) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = {}
    for name in RequestRecord.__struct_fields__:
        values = [getattr(r, name) for r in requests]
        if name in TEXT:
            columns[name] = np.array([*values, None], dtype=object)[:-1]
        else:
            columns[name] = np.array([np.nan if v is None else float(v) for v in values])
    return columns


def chunk_columns(chunks: Sequence[Chunk]) -> dict[str, np.ndarray]:
    ordered = sorted(chunks, key=lambda c: c.request)
    missing = [np.nan] * len(ordered)
    return {
        "request": np.array([float(c.request) for c in ordered]),
        "recv_ns": np.array([c.at_ms * 1e6 for c in ordered]),
        "tokens": np.array([np.nan if c.tokens is None else float(c.tokens) for c in ordered]),
        "chars": np.array(missing),
        "kind": np.array([float(c.kind) for c in ordered]),
        "read": np.array([float(c.read) for c in ordered]),
        "lag_ns": np.array([np.nan if c.lag_ms is None else c.lag_ms * 1e6 for c in ordered]),
    }


def run(
    *tables: PointTable, path: Path = Path("runs/x"), spec: dict[str, Any] | None = None, **meta: Any
) -> RunRecord:
    """A complete run of these load points."""
    fields: dict[str, Any] = {
        "run_id": "20261120-2130-m-a1b2",
        "state": "complete",
        "simulated": False,
        "created_utc": "2026-11-20T21:30:05Z",
        "model": "qwen2.5-7b",
        "spec": spec or {},
        "points": [t.point for t in tables],
    }
    return RunRecord(path=path, meta=RunMeta(**(fields | meta)), tables=tables)


def tiny() -> PointTable:
    """Four requests, worked out by hand in the tests.

    0: role frame, reasoning, two chunks in one read, usage and the end. 1: one token. 2: failed. 3: waited for a
    permit, and its chunks do not say how many tokens they carry.
    """
    role, reasoning, other = ChunkKind.ROLE, ChunkKind.REASONING, ChunkKind.OTHER
    requests = [
        request(0, planned=0, connect_start=0.2, connect_end=0.7, sent=1, first_byte=5, first_token=11,
                first_answer=21, last_token=41, end=43, input_tokens_server=10, output_tokens_server=6,
                output_tokens_client=5, output_tokens_target=6, finish_reason="length"),
        request(1, planned=10, sent=10, first_token=30, first_answer=30, last_token=30, end=31,
                input_tokens_server=20, output_tokens_server=1, output_tokens_client=1, output_tokens_target=1,
                finish_reason="stop"),
        request(2, planned=20, sent=20, end=25, status="http_error", http_status=503, error="busy 17",
                streamed=False),
        request(3, planned=20, queued=24, sent=25, first_token=45, first_answer=45, last_token=55, end=56,
                input_tokens_client=30, output_tokens_client=3, output_tokens_target=3, finish_reason="length"),
    ]  # fmt: skip
    chunks = [
        Chunk(0, 5, role, None, read=0, lag_ms=None),
        Chunk(0, 11, reasoning, 1, read=1, lag_ms=0.25),
        Chunk(0, 21, tokens=2, read=2, lag_ms=None),
        Chunk(0, 21, tokens=1, read=2, lag_ms=None),
        Chunk(0, 41, tokens=2, read=3, lag_ms=0.75),
        Chunk(0, 41.5, other, None, read=4, lag_ms=None),
        Chunk(0, 42, ChunkKind.USAGE, None, read=5, lag_ms=None),
        Chunk(0, 42, ChunkKind.DONE, None, read=5, lag_ms=None),
        Chunk(1, 30, tokens=1, read=0, lag_ms=None),
        Chunk(2, 25, ChunkKind.ERROR, None, read=0, lag_ms=None),
        Chunk(3, 45, tokens=None, read=0, lag_ms=None),
        Chunk(3, 55, tokens=None, read=1, lag_ms=None),
    ]
    return point(requests, chunks)


def steady_requests(
    count: int, *, gap_ms: float = 100.0, tokens: int = 3
) -> tuple[list[RequestRecord], list[Chunk]]:
    """``count`` faultless requests, one after another: TTFT 30 ms, then a token every 30 ms, 2 ms to turn round."""
    requests, chunks = [], []
    for i in range(count):
        t = i * gap_ms
        last = t + 30.0 * tokens
        requests.append(
            request(i, planned=t, sent=t, first_token=t + 30, first_answer=t + 30, last_token=last, end=t + gap_ms - 2,
                    input_tokens_server=8, output_tokens_server=tokens, output_tokens_target=tokens,
                    cached_tokens=0, finish_reason="length")
        )  # fmt: skip
        chunks += [Chunk(i, t + 30.0 * (k + 1), read=k) for k in range(tokens)]
    return requests, chunks

"""Chunks by the million are no work for Python: no loop runs over them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
from run_builder import point, request, request_columns

from inferometer.metrics.summary import summarize_point
from inferometer.record.tables import PointTable
from inferometer.spec import Measure


@contextmanager
def lines_of_python() -> Iterator[list[int]]:
    """How many lines are executed meanwhile; each turn of a loop is one more, however fast the machine is."""
    lines, before = [0], sys.gettrace()

    def count(frame: FrameType, event: str, argument: object) -> Any:
        lines[0] += event == "line"
        return count

    sys.settrace(count)
    try:
        yield lines
    finally:
        sys.settrace(before)


def test_many_chunks_are_summarized_by_array_arithmetic() -> None:
    requests, per_request = 2000, 300
    tokens = {
        "input_tokens_server": 8,
        "output_tokens_server": per_request,
        "output_tokens_target": per_request,
    }
    one = request(0, planned=0, sent=0, first_token=20, first_answer=20, last_token=319, end=320, **tokens)
    columns = {name: np.repeat(column, requests) for name, column in request_columns([one]).items()}
    columns["index"] = np.arange(requests, dtype=float)
    total = requests * per_request
    step = np.tile(np.arange(per_request, dtype=float), requests)
    chunks = {
        "request": np.repeat(np.arange(requests, dtype=float), per_request),
        "recv_ns": (20 + step) * 1e6,
        "tokens": np.ones(total),
        "chars": np.ones(total),
        "kind": np.zeros(total),
        "read": step,
        "lag_ns": np.full(total, 5000.0),
    }
    table = PointTable(point=point([one]).point, requests=columns, chunks=chunks)
    with lines_of_python() as lines:
        summary = summarize_point(table, Measure())
    assert sum(lines) < total / 2, "a loop over the chunks"
    assert summary.stats["itl_ms"].count == summary.stats["itl_token_ms"].count == total - requests
    assert summary.stats["itl_ms"].percentiles["p99"] == 1.0

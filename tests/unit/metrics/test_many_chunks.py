"""Six million chunks take seconds; a tenth of them keeps the test quick and still catches a Python loop."""

import time

import numpy as np
from run_builder import point, request, request_columns

from inferometer.metrics.summary import summarize_point
from inferometer.record.tables import PointTable
from inferometer.spec import Measure


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
    started = time.process_time()
    summary = summarize_point(table, Measure())
    assert time.process_time() - started < 5.0
    assert summary.stats["itl_ms"].count == summary.stats["itl_token_ms"].count == total - requests
    assert summary.stats["itl_ms"].percentiles["p99"] == 1.0

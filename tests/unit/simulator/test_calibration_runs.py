"""A load point of a run folder becomes a load and its times."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.errors import UsageError
from inferometer.record.tables import PointTable
from inferometer.record.types import PointRecord
from inferometer.simulator.calibration.runs import run_times

NAN = np.nan


def table(**changed: list[float]) -> PointTable:
    columns = {
        "sent_ns": [1e9, 0.0, NAN],
        "first_token_ns": [2e9, 0.5e9, NAN],
        "last_token_ns": [4e9, NAN, NAN],
        "input_tokens_server": [NAN, 30.0, 10.0],
        "input_tokens_client": [20.0, 31.0, 10.0],
        "input_tokens_target": [NAN, NAN, NAN],
        "output_tokens_server": [7.0, NAN, 10.0],
        "output_tokens_client": [NAN, NAN, NAN],
        "output_tokens_target": [NAN, 9.0, NAN],
    }
    rows = {name: np.array(values) for name, values in (columns | changed).items()}
    return PointTable(point=POINT, requests=rows, chunks={})


POINT = PointRecord(index=0, kind="measure", load={}, epoch_ns=1)


def test_requests_come_in_the_order_they_were_sent() -> None:
    run = run_times(table())
    assert [(job.prompt_tokens, job.output_tokens, job.arrival_ns) for job in run.load.jobs] == [
        (30, 9, 0),
        (20, 7, 1_000_000_000),
    ]
    assert run.times.ttft_s().tolist() == [0.5, 1.0]
    assert np.isnan(run.times.last_s[0])
    assert run.times.last_s[1] == 4.0


def test_a_point_without_counts_is_refused() -> None:
    unknown = {f"output_tokens_{source}": [NAN] * 3 for source in ("server", "client", "target")}
    with pytest.raises(UsageError, match="counts of its input and output tokens"):
        run_times(table(**unknown))

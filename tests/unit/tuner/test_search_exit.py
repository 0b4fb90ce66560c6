"""What a search tells a script: its exit code, and the answer in a few names."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from services import batch_engine, closed

from inferometer.api.found import Answer, answer_data
from inferometer.api.searching import exit_code_of
from inferometer.metrics.capacity import Capacity
from inferometer.metrics.targets import MaxBatchResult
from inferometer.tuner.ledger import Bounds
from inferometer.tuner.peak import PeakOptions, find_peak


def batch(**other: Any) -> MaxBatchResult:
    fields: dict[str, Any] = {
        "input_tokens": 8, "output_tokens": 4, "low": 1, "high": 64, "limit_ms": 20.0, "statistic": "mean TPOT",
        "batch": 12, "best": None, "at_least": 12, "at_most": 12, "limited_by": "", "sure": True, "why": [],
        "doubts": [], "rounds": [],
    }  # fmt: skip
    return MaxBatchResult(**(fields | other))


@pytest.mark.parametrize(
    ("cases", "code"),
    [
        ([batch()], 0),
        ([batch(sure=False)], 5),
        ([batch(batch=64, sure=False)], 0),  # the end of the range surely meets the limit
        ([batch(batch=None)], 3),
        ([batch(batch=None, sure=False)], 5),
        ([batch(), batch(batch=None)], 0),
        ([batch(), batch(sure=False)], 5),
    ],
)
def test_the_exit_code_of_largest_batches(cases: list[MaxBatchResult], code: int) -> None:
    assert exit_code_of(Answer("max-batch", "max-concurrency", cases)) == code


@pytest.mark.parametrize(
    ("status", "load", "code"),
    [("found", 9.0, 0), ("at least", 9.0, 0), ("bracketed", 9.0, 0), ("bracketed", None, 5), ("unsure", 9.0, 5),
     ("client", 9.0, 5), ("none", None, 3)],
)  # fmt: skip
def test_the_exit_code_of_a_largest_load(status: Any, load: float | None, code: int) -> None:
    found = Capacity(variable="request-rate", status=status, load=load)
    assert exit_code_of(Answer("slo", "request-rate", found)) == code


def test_a_peak_that_is_not_sure_does_not_end_with_0() -> None:
    service = closed(batch_engine(32))
    sure = find_peak(service, PeakOptions(Bounds(1.0, 512.0, whole=True)))
    rising = find_peak(service, PeakOptions(Bounds(1.0, 8.0, whole=True)))
    assert [
        exit_code_of(Answer("peak-throughput", "max-concurrency", found)) for found in (sure, rising)
    ] == [0, 5]


def test_a_script_gets_the_answer_without_its_evidence() -> None:
    found = find_peak(closed(batch_engine(32)), PeakOptions(Bounds(1.0, 512.0, whole=True)))
    data = answer_data(Answer("peak-throughput", "max-concurrency", found))
    assert (data["target"], data["load"], data["sure"]) == ("peak-throughput", found.load, True)
    assert not {"probes", "curve"} & data.keys()
    cases = answer_data(Answer("max-batch", "max-concurrency", [batch()]))["cases"]
    assert (cases[0]["batch"], "rounds" in cases[0]) == (12, False)
    assert msgspec.json.encode(data)

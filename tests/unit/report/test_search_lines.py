"""The largest good load as text."""

from __future__ import annotations

from typing import Any

import pytest

from inferometer.metrics.capacity import Capacity, Outcome, Probe, Reading
from inferometer.report.search import capacity_lines, probe_line


def reading(slo: str = "p99_ttft<=500ms", **other: Any) -> Reading:
    fields: dict[str, Any] = {
        "slo": slo, "measured": 400.0, "low": 380.0, "high": 420.0, "limit": 500.0, "unit": "ms", "values": 1000,
        "beyond": 2, "enough": True, "met": "met", "margin": 0.25, "error": 0.05,
    }  # fmt: skip
    return Reading(**(fields | other))


def failures(values: int, failed: int = 0) -> Reading:
    share = failed / values
    return reading(
        "failed<=0.1%",
        measured=share,
        low=0.0,
        high=0.01,
        limit=0.001,
        unit="share",
        values=values,
        beyond=failed,
    )


def probe(load: float, *readings: Reading, outcome: Outcome = "met") -> Probe:
    counted = {"repeat": 1, "index": 1, "requests": 1000, "arrivals": 1000}
    return Probe(load=load, **counted, duration_s=80.0, outcome=outcome, readings=list(readings))


def capacity(**other: Any) -> Capacity:
    fields: dict[str, Any] = {
        "variable": "request-rate", "status": "found", "load": 12.42, "low": 11.93, "high": 12.81,
        "limited_by": "p99_ttft<=500ms", "probes": [probe(12.0, reading())],
    }  # fmt: skip
    return Capacity(**(fields | other))


def test_the_answer_is_one_sentence() -> None:
    assert capacity_lines(capacity())[0] == "max rate 12.4 req/s (95 % CI 11.9 to 12.8), limited by p99_ttft"


def test_a_limit_is_told_in_full_where_the_same_is_limited_twice() -> None:
    both = [probe(12.0, reading(), reading("p99_ttft<400ms", limit=400.0))]
    assert capacity_lines(capacity(probes=both))[0].endswith("limited by p99_ttft<=500ms")


@pytest.mark.parametrize(
    ("load", "shown"),
    [(0.01234, "0.0123"), (9.876, "9.88"), (999.6, "1,000"), (1234.5, "1,234"), (12345.0, "12,345")],
)
def test_rates_have_three_digits_and_no_exponent(load: float, shown: str) -> None:
    found = capacity(load=load, low=None, high=None)
    assert capacity_lines(found)[0] == f"max rate {shown} req/s, limited by p99_ttft"


def test_a_concurrency_is_a_whole_number() -> None:
    found = capacity(variable="max-concurrency", load=1200.0, low=1180.0, high=1210.0)
    assert capacity_lines(found)[0].startswith("max concurrency 1,200 in flight (95 % CI 1,180 to 1,210)")
    assert probe_line(found.probes[0], "max-concurrency").startswith("probe 1  concurrency 12: met")


def test_what_few_requests_without_a_failure_show_is_said() -> None:
    few = capacity(probes=[probe(12.0, failures(500)), probe(20.0, failures(9000), outcome="not met")])
    text = " ".join(line.strip() for line in capacity_lines(few))
    assert "none of 500 requests failed at loads up to there" in text
    assert "no more than 0.6 % fail (95 %)" in text  # 1 - 0.05 ** (1 / 500)
    many = capacity(probes=[probe(12.0, failures(3000))])
    assert "failed at loads" not in "\n".join(capacity_lines(many))
    some = capacity(probes=[probe(12.0, failures(500, failed=1))])
    assert "failed at loads" not in "\n".join(capacity_lines(some))


def test_load_points_that_the_client_spoilt_are_counted() -> None:
    found = capacity(probes=[probe(12.0, reading()), probe(14.0, outcome="client")])
    assert "  1 load point says nothing about the server: the client was the limit" in capacity_lines(found)

"""The peak and the knee as text."""

from __future__ import annotations

from typing import Any

from inferometer.metrics.targets import CurvePoint, KneeResult, PeakResult
from inferometer.report.targets import knee_lines, peak_lines

CURVE = [
    CurvePoint(load=32.0, repeats=1, state="ok", throughput=1000.0, low=990.0, high=1010.0, latency_ms=500.0),
    CurvePoint(
        load=64.0, repeats=2, state="ok", throughput=1200.0, low=1195.0, high=1205.0, latency_ms=800.0
    ),
    CurvePoint(load=128.0, repeats=1, state="failed", throughput=None, low=None, high=None, latency_ms=None),
]


def peak(**other: Any) -> PeakResult:
    fields: dict[str, Any] = {
        "objective": "output-throughput", "unit": "tok/s", "load": 64.0, "throughput": 1200.0, "low": 1195.0,
        "high": 1205.0, "requests_per_s": 20.0, "latency_ms": 3000.0, "tolerance": 0.01, "peak_load": 64.0,
        "peak_throughput": 1200.0, "reached": True, "decline": None, "least_load": 20.0,
        "limited_by": "the server", "sure": True, "why": ["because"], "doubts": [], "curve": CURVE, "probes": [],
    }  # fmt: skip
    return PeakResult(**(fields | other))


def knee(**other: Any) -> KneeResult:
    fields: dict[str, Any] = {
        "objective": "output-throughput", "unit": "tok/s", "latency": "e2el", "load": 32.0, "low": 24.0, "high": 40.0,
        "throughput": 1000.0, "latency_ms": 500.0, "power": 2000.0, "gain_below": 0.8, "gain_above": 0.3,
        "bend": True, "limited_by": "latency", "sure": True, "why": [], "doubts": [], "curve": CURVE, "probes": [],
    }  # fmt: skip
    return KneeResult(**(fields | other))


def test_a_peak_is_told_with_its_interval_its_reasons_and_its_curve() -> None:
    assert peak_lines(peak(), "concurrency") == [
        "peak output throughput 1,200.00 tok/s (95 % CI 1,195.00 to 1,205.00) at concurrency 64",
        "  limited by the server",
        "  because",
        "  there 20.00 req/s, mean E2EL from the send 3,000.00 ms: 60.0 in flight",
        "",
        "concurrency  repeats     tok/s               95 % CI  mean E2EL ms  tok/s per s of E2EL",
        "         32        1  1,000.00    990.00 to 1,010.00        500.00             2,000.00",
        "         64        2  1,200.00  1,195.00 to 1,205.00        800.00             1,500.00  <- answer",
        "        128        1       n/a                   n/a           n/a                  n/a  failed",
    ]


def test_a_peak_that_was_not_reached_is_called_the_highest() -> None:
    lines = peak_lines(peak(reached=False, sure=False, doubts=["it still rises"]), "concurrency")

    assert lines[0].startswith("highest output throughput 1,200.00 tok/s")
    assert lines[0].endswith("at concurrency 64, not sure")
    assert "  not sure: it still rises" in lines


def test_without_a_load_there_is_no_peak_and_no_knee() -> None:
    assert peak_lines(peak(load=None, doubts=["nothing"]), "rate") == [
        "no peak: the server",
        "  not sure: nothing",
    ]
    assert knee_lines(knee(load=None, doubts=["nothing"]), "rate") == [
        "no knee: latency",
        "  not sure: nothing",
    ]


def test_a_knee_is_told_with_its_range() -> None:
    lines = knee_lines(knee(), "request rate")

    assert lines[0] == "knee at request rate 32 (between 24 and 40)"
    assert lines[1] == (
        "  there 1,000.00 tok/s at a mean E2EL of 500.00 ms: the most throughput per latency, 2,000.00 tok/s per s"
    )


def test_a_curve_without_a_bend_has_no_knee_but_a_best_load() -> None:
    lines = knee_lines(knee(bend=False, low=None, high=None, sure=False, doubts=["no bend"]), "concurrency")

    assert lines[0] == "no knee found: the best load is concurrency 32, at an end of what was measured"

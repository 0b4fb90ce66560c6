"""The peak and the knee of a curve as text: the answer in one line, what it rests on, and the curve."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.targets import CurvePoint, KneeResult, PeakResult
from inferometer.report.text import ABSENT, number, table


def peak_lines(result: PeakResult, load: str) -> list[str]:
    """The peak of throughput.

    Args:
        result: what was found.
        load: what the load is called, such as "concurrency" or "request rate".
    """
    if result.load is None:
        return [f"no peak: {result.limited_by}", *_not_sure(result.doubts)]
    name = result.objective.replace("-", " ")
    interval = "" if result.low is None else f" (95 % CI {number(result.low)} to {number(result.high)})"
    word = "peak" if result.reached else "highest"
    sure = "" if result.sure else ", not sure"
    lines = [
        f"{word} {name} {number(result.throughput)} {result.unit}{interval} at {load} {result.load:g}{sure}",
        f"  limited by {result.limited_by}",
        *(f"  {text}" for text in result.why),
    ]
    if result.requests_per_s is not None and result.latency_ms is not None:
        in_flight = result.requests_per_s * result.latency_ms / 1e3
        lines.append(
            f"  there {number(result.requests_per_s)} req/s, mean E2EL from the send {number(result.latency_ms)} ms: "
            f"{number(in_flight, 1)} in flight"
        )
    return [
        *lines,
        *_not_sure(result.doubts),
        "",
        *_curve(result.curve, load, result.unit, "E2EL", result.load),
    ]


def knee_lines(result: KneeResult, load: str) -> list[str]:
    """The knee.

    Args:
        result: what was found.
        load: what the load is called.
    """
    latency = result.latency.upper()
    if result.load is None:
        return [f"no knee: {result.limited_by}", *_not_sure(result.doubts)]
    if not result.bend:
        first = f"no knee found: the best load is {load} {result.load:g}, at an end of what was measured"
    else:
        sure = "" if result.sure else ", not sure"
        first = f"knee at {load} {result.load:g} (between {result.low:.3g} and {result.high:.3g}){sure}"
    lines = [
        first,
        f"  there {number(result.throughput)} {result.unit} at a mean {latency} of {number(result.latency_ms)} ms: "
        f"the most throughput per latency, {number(result.power)} {result.unit} per s",
        f"  limited by {result.limited_by}",
        *(f"  {text}" for text in result.why),
    ]
    return [
        *lines,
        *_not_sure(result.doubts),
        "",
        *_curve(result.curve, load, result.unit, latency, result.load),
    ]


def _not_sure(doubts: Sequence[str]) -> list[str]:
    return [f"  not sure: {text}" for text in doubts]


def _curve(points: Sequence[CurvePoint], load: str, unit: str, latency: str, answer: float) -> list[str]:
    header = [load, "repeats", unit, "95 % CI", f"mean {latency} ms", f"{unit} per s of {latency}", ""]
    rows = []
    for point in points:
        interval = ABSENT if point.low is None else f"{number(point.low)} to {number(point.high)}"
        power = point.throughput / point.latency_ms * 1e3 if point.throughput and point.latency_ms else None
        remark = "<- answer" if point.load == answer else "" if point.state == "ok" else point.state
        cells = [number(point.throughput), interval, number(point.latency_ms), number(power), remark]
        rows.append([f"{point.load:g}", str(point.repeats), *cells])
    return table(header, rows, ">>>>>><")

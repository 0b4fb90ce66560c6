"""The steady window of each load point beside its ramp-up, its drain and the whole of it."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.steady import FEWEST_LIVES, PRECISION, Phase, Rate, Steady
from inferometer.metrics.summary import PointSummary
from inferometer.report.text import ABSENT, count, number, percent, table

_HEADER = ("load", "from-to s", "req/s", "out tok/s", "95 %", "whole run", "ramp", "tail", "needs")


def steady_lines(points: Sequence[PointSummary], titles: Sequence[str]) -> list[str]:
    """A row for each load point that has a steady window, and what is to be said of them; empty when none has one.

    The verdict says why a load point has none.

    Args:
        points: the load points.
        titles: what they are called, in the same order.
    """
    named = list(zip(titles, points, strict=True))
    shown = [(title, point, point.steady) for title, point in named if point.steady and point.steady.window]
    if not shown:
        return []
    rows = [_row(title, point, steady) for title, point, steady in shown]
    lines = table(_HEADER, rows, "<" + ">" * (len(_HEADER) - 1))
    return [*lines, *_notes(named, [steady for _, _, steady in shown])]


def _row(title: str, point: PointSummary, steady: Steady) -> list[str]:
    window = steady.window
    span = f"{window.start_s:,.1f}-{window.end_s:,.1f}" if window else ABSENT
    phases = {phase.name: phase for phase in steady.phases}
    return [
        title,
        span,
        number(_per_s(steady.request_throughput)),
        number(_per_s(steady.output_throughput)),
        _width(steady.output_throughput),
        number(point.values["output_throughput_per_s"]),
        _phase(phases.get("ramp")),
        _phase(phases.get("tail")),
        ABSENT if steady.needs_requests is None else count(steady.needs_requests),
    ]


def _notes(named: Sequence[tuple[str, PointSummary]], shown: Sequence[Steady]) -> list[str]:
    notes = [
        "whole run, ramp, tail: output tokens per s (share of the requests); "
        f"needs: more requests for +-{PRECISION * 100:g} %"
    ]
    if any(steady.lives < FEWEST_LIVES for steady in shown):
        notes.append(
            f"{ABSENT}: an interval takes a window {FEWEST_LIVES} times as long as its requests; needs: more for that"
        )
    drifting = [
        f"{steady.drift.change * 100.0:+.1f} % at {title}"
        for title, point in named
        if (steady := point.steady) is not None and steady.drifts and steady.drift is not None
    ]
    notes += [f"drift from beginning to end of the window: {', '.join(drifting)}"] if drifting else []
    notes += [
        f"{title}: full load but another level of throughput: {point.steady.left_out}"
        for title, point in named
        if point.steady is not None and point.steady.left_out
    ]
    without = [title for title, point in named if point.steady is None or point.steady.window is None]
    return notes + ([f"no steady window: {', '.join(without)}"] if without else [])


def _per_s(rate: Rate | None) -> float | None:
    return None if rate is None else rate.per_s


def _width(rate: Rate | None) -> str:
    precision = None if rate is None else rate.precision
    if precision is None:
        return ABSENT
    return f"+-{percent(precision)}" if precision >= 0.001 else "+-<0.1 %"


def _phase(phase: Phase | None) -> str:
    """Its output rate, and which share of the load point's requests was in it."""
    if phase is None:
        return ABSENT
    return f"{number(phase.output_tokens_per_s, 0)} ({percent(phase.share)})"

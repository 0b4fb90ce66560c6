"""Finding the steady window of a load point: after the ramp-up, before the drain, with no change of level inside.

Two steps. First the load itself says when it was held: a closed loop while every permit was in use, after the first
requests had all had time to make room for others; an open one while requests kept arriving, after the longest of the
first had had time to end. Then change points in the arrival of tokens, and in what was in flight, say for how long of
that the service kept its level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from inferometer.metrics import curves
from inferometer.metrics.changepoints import level_changes, segments, trend
from inferometer.metrics.concurrency import Window, held_ns, holders, plateau, spans
from inferometer.metrics.latency import NS_PER_S, Floats, PointData
from inferometer.record.tables import PointTable

BINS = 200
"""Parts of a window whose rates are looked at."""
_SHORTEST_LEVEL = BINS // 10
_SAME_LEVEL = 0.03
_KEPT = 0.7
_EXCESS = 0.05
FEWEST_ENDED = 8
"""Answers that have to end in a window."""
_AT_LEVEL = 0.985
_FEW_LIVES = 5.0
_SETTLED_PERCENTILE = 95.0


class Found(NamedTuple):
    """The steady window, or why there is none and what to do about it.

    ``left_out``: times at full load that are not in the window, as throughput had another level there.
    """

    window: Window | None
    reason: str = ""
    next_step: str = ""
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class _Held:
    """When the load was held, and in what words."""

    window: Window
    closed: bool
    settled_ns: float


def find_window(data: PointData, output: curves.Curve) -> Found:
    """The steady window of a load point; never without a reason when there is none.

    Args:
        data: the load point.
        output: its output tokens by arrival, or its chunks where tokens are not known.
    """
    if int(data.ok.sum()) < FEWEST_ENDED:
        ok = int(data.ok.sum())
        return _too_short(f"{ok} answer{'s' if ok != 1 else ''}")
    held = _held(data)
    if isinstance(held, Found):
        return held
    growth = None if held.closed else _growth(data.table, held.window)
    if growth is not None:
        return growth
    start_ns, end_ns = held.settled_ns, held.window.end_ns
    kept = (end_ns - start_ns) / (held.window.end_ns - held.window.start_ns)
    if not kept > 0.25:
        return _too_short(
            f"{_span(held.window)} at full load, of which {(1.0 - max(kept, 0.0)) * 100.0:.0f} % had to pass until "
            "the first requests had made room for others"
        )
    found = _level(data, output, Window(start_ns, end_ns))
    if found.window is None:
        return found
    ended = data.end_ns[(data.end_ns >= found.window.start_ns) & (data.end_ns < found.window.end_ns)]
    return found if len(ended) >= FEWEST_ENDED else _too_short(f"{len(ended)} answers ended at full load")


def bin_edges(window: Window) -> Floats:
    """Edges of the equal parts of a window whose rates are looked at."""
    return np.linspace(window.start_ns, window.end_ns, BINS + 1)


def life_bins(data: PointData, window: Window) -> float:
    """How long a token's request is under way, in bins of the window: over so many bins its rates are correlated.

    The mean over tokens' time, not over requests: long requests weigh by their length, sum of squares / sum.
    """
    start_ns, end_ns = spans(data.table)
    inside = (end_ns > window.start_ns) & (start_ns < window.end_ns)
    took = (end_ns - start_ns)[inside]
    if not len(took) or not took.sum() > 0:
        return 0.0
    return float((took @ took) / took.sum()) / (window.end_ns - window.start_ns) * BINS


def _held(data: PointData) -> _Held | Found:
    """When the load was held, by what was asked."""
    load = data.table.point.load
    if 0.0 < held_ns(data.table).start_ns >= float(np.nanmax(data.table.number("sent_ns"))):
        return _too_short("a ramp up to the last request")
    rate, limit = load.get("request_rate"), load.get("max_concurrency")
    if load.get("trace") or (rate is not None and math.isfinite(float(rate))):
        return _held_open(data)
    return _sent_at_once() if limit is None else _held_closed(data, int(limit))


def _held_closed(data: PointData, asked: int) -> _Held | Found:
    window = plateau(data.table, asked)
    if window is None:
        return _too_short(
            f"{len(data.table.number('index')):,} requests do not outlast the first {asked:,} in flight"
        )
    start_ns, end_ns, _ = holders(data.table)
    window = _at_level(start_ns, end_ns, window)
    after = np.sort(end_ns[end_ns > window.start_ns])
    # By then as many have ended as were in flight: what began together has mixed with what began later.
    renewed = float(after[asked - 1]) if len(after) >= asked else math.inf
    return _Held(window, True, renewed)


def _at_level(start_ns: Floats, end_ns: Floats, window: Window) -> Window:
    """Without the time in which what is in flight still grew to the level of the second half, or fell from it."""
    edges = bin_edges(window)
    held = curves.in_flight(start_ns, end_ns, edges)
    there = np.flatnonzero(held >= _AT_LEVEL * float(np.median(held[BINS // 2 :])))
    return Window(float(edges[there[0]]), float(edges[there[-1] + 1]))


def _held_open(data: PointData) -> _Held | Found:
    start_ns, end_ns = spans(data.table)
    held = held_ns(data.table)
    window = Window(max(float(start_ns.min()), held.start_ns), min(float(start_ns.max()), held.end_ns))
    if not window.end_ns > window.start_ns:
        return _sent_at_once()
    # In flight at t = rate x mean of min(latency, t): once t is its p95, it stays within about a per cent.
    settled = float(np.percentile(end_ns - start_ns, _SETTLED_PERCENTILE))
    return _Held(window, False, window.start_ns + settled)


def _growth(table: PointTable, window: Window) -> Found | None:
    """Why there is no window: requests in flight grew for as long as requests arrived."""
    start_ns, end_ns = spans(table)
    middle = Window(window.start_ns + 0.25 * (window.end_ns - window.start_ns), window.end_ns)
    waiting = curves.in_flight(start_ns, end_ns, bin_edges(middle))
    line = trend(waiting, BINS // 5)
    if line is None or line.low <= 0.0:
        return None
    seconds = (middle.end_ns - middle.start_ns) / NS_PER_S
    offered = float(((start_ns >= middle.start_ns) & (start_ns < middle.end_ns)).sum()) / seconds
    growth = line.change * float(waiting.mean()) / seconds
    if growth < _EXCESS * offered:
        return None
    carried = _carried_per_s(table.number("end_ns")[table.text("status") == "ok"])
    grew = f"in flight grew until the end, from {waiting[:10].mean():,.0f} to {waiting[-10:].mean():,.0f}"
    if carried is None or carried > (1.0 - _EXCESS) * offered:
        return _too_short(f"{grew}, though the service carried what was offered")
    return Found(
        None,
        f"{grew}: {_short(offered)} req/s were offered, the service carried about {_short(carried)}",
        f"offer less, such as --request-rate {_short(0.9 * carried, 2)}",
    )


def _short(value: float, digits: int = 3) -> str:
    """Some digits of a rate, never with an exponent."""
    return f"{float(f'{value:.{digits}g}'):.10g}"


def _carried_per_s(end_ns: Floats) -> float | None:
    """Requests that succeeded per second, the first and the last tenth left out; None when they ended together."""
    ended = np.sort(end_ns)
    first, last = len(ended) // 10, len(ended) - 1 - len(ended) // 10
    took_ns = float(ended[last] - ended[first])
    return (last - first) / took_ns * NS_PER_S if took_ns > 0.0 else None


def _level(data: PointData, output: curves.Curve, window: Window) -> Found:
    """The longest time of one level in a window."""
    edges = bin_edges(window)
    rates = output.rates(edges)
    life = life_bins(data, window)
    changes = level_changes(rates, _SHORTEST_LEVEL, round(life))
    first, last = _longest_level(rates, changes)
    if last - first < _KEPT * BINS:
        parts = [float(rates[a:b].mean()) for a, b in segments(BINS, changes)]
        between = f"between {min(parts):,.0f} and {max(parts):,.0f} tok/s"
        if life * _FEW_LIVES > BINS:
            return _too_short(
                f"{_span(window)} at full load is {BINS / life:.2g} times as long as a request: waves of requests "
                f"that begin and end together moved the throughput {between}"
            )
        return Found(
            None,
            f"throughput never settled: it changed its level {len(changes)} times in {_span(window)}, {between}",
            "see what changed at the server (throttling, other load, caches), or measure for longer",
        )
    inside = float(rates[first:last].mean())
    others = [
        f"{edges[a] / NS_PER_S:,.1f}-{edges[b] / NS_PER_S:,.1f} s at {rates[a:b].mean() / inside - 1.0:+.1%}"
        for a, b in ((0, first), (last, BINS))
        if b > a
    ]
    return Found(Window(float(edges[first]), float(edges[last])), left_out=", ".join(others))


def _longest_level(rates: Floats, changes: list[int]) -> tuple[int, int]:
    """First bin and the one after the last of the longest row of segments that are the same for practical purposes."""
    parts = segments(len(rates), changes)
    best = (0, 0)
    for first in range(len(parts)):
        for last in range(first, len(parts)):
            start, end = parts[first][0], parts[last][1]
            levels = np.array([rates[a:b].mean() for a, b in parts[first : last + 1]])
            mean = float(rates[start:end].mean())
            if np.abs(levels - mean).max() <= _SAME_LEVEL * abs(mean) and end - start > best[1] - best[0]:
                best = (start, end)
    return best


def _too_short(why: str) -> Found:
    return Found(
        None, f"too short: {why}", "give more --num-prompts, at least five times the requests in flight"
    )


def _sent_at_once() -> Found:
    return Found(
        None,
        "all requests were sent at once: what was in flight only fell",
        "give --max-concurrency or a --request-rate to measure a load that is held",
    )


def _span(window: Window) -> str:
    return f"{(window.end_ns - window.start_ns) / NS_PER_S:,.3g} s"

"""The steady window of a load point: rates and latencies while the load was held, without ramp-up and drain.

What a service does under a held load is neither the filling of its batch nor the emptying: a whole-run rate mixes all
three, and the shorter the run the more. Here tokens count by when they arrived, so that a request which began in the
ramp, or ends in the drain, gives the window exactly what it brought in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal
from weakref import WeakKeyDictionary

import msgspec
import numpy as np

from inferometer.metrics import curves
from inferometer.metrics.bootstrap import Interval, block_interval, block_length
from inferometer.metrics.changepoints import Trend, trend
from inferometer.metrics.concurrency import Window, spans
from inferometer.metrics.latency import NS_PER_S, Bools, Floats, PointData
from inferometer.metrics.percentiles import Stat, stat
from inferometer.metrics.steady_window import (
    BINS,
    FEWEST_ENDED,
    Found,
    bin_edges,
    find_window,
    life_bins,
)
from inferometer.spec import derive_seed
from inferometer.spec.fields import window_s

DRIFT_LIMIT = 0.03
"""Change over the window, as share of the mean, that is a drift when it is certain as well."""
PRECISION = 0.02
"""Half width of the interval, as share of the rate, that ``needs_requests`` aims at."""
FEWEST_LIVES = 3
"""How many times as long as its answers a window has to be for an interval."""
_ENOUGH_LIVES = 5.0
_LIVES_PER_BLOCK = 2.0
_PERCENTILES = (50.0, 90.0, 95.0, 99.0)


class Span(msgspec.Struct, frozen=True):
    """A time of the load point, in seconds from its epoch."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """How long it is."""
        return self.end_s - self.start_s


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """Something per second inside the window; ``interval`` is None where it cannot be known."""

    per_s: float
    interval: Interval | None

    @property
    def precision(self) -> float | None:
        """Half width of the interval as share of the rate."""
        return self.interval.half_width / self.per_s if self.interval and self.per_s > 0 else None


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """One of the three times of a load point.

    Attributes:
        name: "ramp" from the first send, "steady", or "tail" until the last end.
        share: of the successful requests, 0 to 1, each counted by the share of its time that lies in it.
        requests_per_s: successful requests per second, counted likewise.
        output_tokens_per_s: by arrival; None when tokens are not known.
    """

    name: Literal["ramp", "steady", "tail"]
    span: Span
    share: float
    requests_per_s: float
    output_tokens_per_s: float | None


class Steady(msgspec.Struct, frozen=True, kw_only=True):
    """The steady window of a load point, or why there is none.

    Attributes:
        window: when it was; None without one. ``reason`` and ``next_step`` are then set.
        by_hand: whether the user said when it was.
        left_out: times at full load before or after it in which throughput had another level; empty without any.
        requests: successful ones, each by the share of its time from send to end that lies inside.
        lives: the window's length in lives of a request (mean over the time under way, so long ones weigh more).
        output_throughput: output tokens per second, by arrival; None when tokens are not known.
        input_throughput: prompt tokens per second, of each request by that share.
        total_throughput: both.
        request_throughput: requests per second, by that share.
        stats: ``ttft_ms`` and ``tpot_ms`` of requests sent inside, ``e2el_ms`` of those wholly inside (which long
            ones are less often: with a window of few lives it is too low).
        drift: the line through the rate of output tokens; None when it cannot be known.
        needs_requests: how many more requests at this load bring the output rate to +-2 %, or to an interval at all
            where the window is too short for one; 0 when there are enough, None without a window.
        phases: ramp, steady and tail; those of no length are left out.
    """

    window: Span | None
    reason: str = ""
    next_step: str = ""
    by_hand: bool = False
    left_out: str = ""
    requests: float = 0.0
    lives: float = 0.0
    output_throughput: Rate | None = None
    input_throughput: Rate | None = None
    total_throughput: Rate | None = None
    request_throughput: Rate | None = None
    stats: dict[str, Stat] = {}
    drift: Trend | None = None
    needs_requests: int | None = None
    phases: list[Phase] = []

    @property
    def drifts(self) -> bool:
        """Whether the rate changed over the window by more than 3 %, and not by chance."""
        return self.drift is not None and self.drift.certain and abs(self.drift.change) > DRIFT_LIMIT


_KNOWN: WeakKeyDictionary[PointData, Steady] = WeakKeyDictionary()


def steady_of(data: PointData) -> Steady:
    """The steady window of a load point, found or as ``data.steady_window`` says; computed once for each ``data``."""
    if data not in _KNOWN:
        _KNOWN[data] = _steady(data)
    return _KNOWN[data]


def rate(name: str) -> Callable[[PointData], float | None]:
    """The steady twin of a throughput ("request", "input", "output", "total"), as a function of the load point."""

    def of_point(data: PointData) -> float | None:
        found: Rate | None = getattr(steady_of(data), f"{name}_throughput")
        return None if found is None else found.per_s

    return of_point


def _steady(data: PointData) -> Steady:
    if data.steady_window == "off":
        return Steady(window=None, reason="not looked for: --steady-window off")
    output = curves.output_curve(data)
    by_hand = data.steady_window != "auto"
    marks = output or curves.chunk_curve(data)
    found = _given(data) if by_hand else find_window(data, marks)
    if found.window is None:
        return Steady(window=None, reason=found.reason, next_step=found.next_step, by_hand=by_hand)
    inside = _inside(data, output, marks, found.window)
    return msgspec.structs.replace(inside, by_hand=by_hand, left_out=found.left_out)


def _given(data: PointData) -> Found:
    """The window that the user gave, as far as the load point went on."""
    start_s, end_s = window_s(data.steady_window)
    start_ns, end_ns = spans(data.table)
    if not len(start_ns):
        return Found(None, "no request was sent", "see what failed")
    last_ns = float(end_ns.max())
    window = Window(start_s * NS_PER_S, min(end_s * NS_PER_S, last_ns))
    ended = int(_between(data.end_ns, window).sum())
    if ended >= FEWEST_ENDED:
        return Found(window)
    return Found(
        None,
        f"{ended} answers ended in --steady-window {data.steady_window}: the load point took "
        f"{last_ns / NS_PER_S:,.3g} s",
        f"give a window in which at least {FEWEST_ENDED} answers end, or auto",
    )


def _inside(data: PointData, output: curves.Curve | None, marks: curves.Curve, window: Window) -> Steady:
    edges, lives = bin_edges(window), BINS / max(life_bins(data, window), 1e-9)
    prompts = curves.input_curve(data)
    answers = curves.request_curve(data)
    out = None if output is None else output.rates(edges)
    read = None if prompts is None else prompts.rates(edges)
    made = _rate(marks.rates(edges), lives, data)
    inside = float(np.diff(answers.by(np.array(window)))[0])
    return Steady(
        window=Span(window.start_ns / NS_PER_S, window.end_ns / NS_PER_S),
        requests=inside,
        lives=lives,
        output_throughput=None if out is None else made,
        input_throughput=None if read is None else _rate(read, lives, data),
        total_throughput=None if out is None or read is None else _rate(out + read, lives, data),
        request_throughput=_rate(answers.rates(edges), lives, data),
        stats=_stats(data, window),
        drift=trend(marks.rates(edges), round(BINS / lives)),
        needs_requests=_needs(made, inside, lives),
        phases=_phases(data, output, answers, window),
    )


def _rate(rates: Floats, lives: float, data: PointData) -> Rate:
    """The mean rate of the bins, with the interval of blocks that are as long as two requests live."""
    interval = None
    if lives >= FEWEST_LIVES:
        block = max(block_length(rates), math.ceil(_LIVES_PER_BLOCK * BINS / lives))
        seed = derive_seed(data.table.point.index, "bootstrap")
        interval = block_interval(rates, np.mean, seed=seed, block=min(block, BINS // 4))
    return Rate(per_s=float(rates.mean()), interval=interval)


def _needs(made: Rate, requests: float, lives: float) -> int:
    """Requests that are missing; the width of an interval falls with the root of their number."""
    precision = made.precision
    if precision is None:
        return math.ceil(requests * max(_ENOUGH_LIVES / lives - 1.0, 0.0))
    return math.ceil(requests * max((precision / PRECISION) ** 2 - 1.0, 0.0))


def _stats(data: PointData, window: Window) -> dict[str, Stat]:
    began = _between(data.column("sent_ns"), window)
    samples = {
        "ttft_ms": data.ttft_ms[began],
        "tpot_ms": data.tpot_ms[began],
        "e2el_ms": data.e2el_ms[began & _between(data.end_ns, window)],
    }
    found = {key: stat(values, _PERCENTILES) for key, values in samples.items()}
    return {key: summary for key, summary in found.items() if summary is not None}


def _phases(
    data: PointData, output: curves.Curve | None, answers: curves.Curve, window: Window
) -> list[Phase]:
    first_ns = min(float(np.nanmin(data.column("sent_ns"))), window.start_ns)
    last_ns = max(float(np.nanmax(data.end_ns)), window.end_ns)
    names: tuple[Literal["ramp", "steady", "tail"], ...] = ("ramp", "steady", "tail")
    starts = (first_ns, *window)
    spans_ns = [Window(*pair) for pair in zip(starts, (*window, last_ns), strict=True)]
    whole = max(int(data.ok.sum()), 1)
    return [
        Phase(
            name=name,
            span=Span(span.start_ns / NS_PER_S, span.end_ns / NS_PER_S),
            share=float(np.diff(answers.by(np.array(span)))[0]) / whole,
            requests_per_s=_per_s(answers, span),
            output_tokens_per_s=None if output is None else _per_s(output, span),
        )
        for name, span in zip(names, spans_ns, strict=True)
        if span.end_ns > span.start_ns
    ]


def _per_s(amounts: curves.Curve, span: Window) -> float:
    return float(amounts.rates(np.array(span))[0])


def _between(moments_ns: Floats, window: Window) -> Bools:
    """Which moments are in the window, its end left out."""
    return np.asarray((moments_ns >= window.start_ns) & (moments_ns < window.end_ns), dtype=bool)

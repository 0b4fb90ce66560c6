"""Plots of a residual page: inline SVG whose colours are the page's variables, drawn without any library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MOST_POINTS: Final = 500
_WIDTH, _HEIGHT = 360, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 12, 40
_TICK_STEPS: Final = (1.0, 2.0, 5.0)
_FEWEST_TICKS: Final = 3


class Series(NamedTuple):
    """Points of one kind: ``circle`` or ``triangle``, in the colour of ``kind``."""

    kind: str
    x: Floats
    y: Floats
    shape: str = "circle"


class Whisker(NamedTuple):
    """The middle of some errors and where 90 % of them lie, as shares."""

    label: str
    values: int
    low: float
    middle: float
    high: float


class _Axis:
    """From values to pixels, linear or logarithmic."""

    def __init__(self, low: float, high: float, begin: float, end: float, *, log: bool = False) -> None:
        self.low, self.high, self.begin, self.end, self.log = low, high, begin, end, log

    def at(self, value: float) -> float:
        """The pixel of a value, drawn in to the frame."""
        low, high = (np.log(self.low), np.log(self.high)) if self.log else (self.low, self.high)
        place = ((np.log(value) if self.log else value) - low) / (high - low)
        return round(float(self.begin + np.clip(place, 0, 1) * (self.end - self.begin)), 1)

    def ticks(self) -> list[float]:
        """Round values in the range: decades, with 2 and 5 where there are few; or, where even, some five steps."""
        if self.log:
            decades = range(int(np.floor(np.log10(self.low))), int(np.ceil(np.log10(self.high))) + 1)
            fine = self.high / self.low < 300
            values = [step * 10.0**d for d in decades for step in (_TICK_STEPS if fine else (1.0,))]
            found = [value for value in values if self.low <= value <= self.high]
            if len(found) >= _FEWEST_TICKS:
                return found
        rough = (self.high - self.low) / 5
        size = 10.0 ** np.floor(np.log10(rough))
        step = size * next((each for each in (*_TICK_STEPS, 10.0) if each * size >= rough), 10.0)
        first = np.ceil(self.low / step)
        return [float(step * number) for number in np.arange(first, np.floor(self.high / step) + 1)]


def scatter(series: Sequence[Series], label: str, unit: str) -> str:
    """Predicted over measured, both logarithmic, with the line of equals and a band of 10 %."""
    values = np.concatenate([np.concatenate([each.x, each.y]) for each in series])
    values = values[np.isfinite(values) & (values > 0)]
    low, high = float(values.min()) / 1.15, float(values.max()) * 1.15
    across = _Axis(low, high, _LEFT, _WIDTH - _RIGHT, log=True)
    up = _Axis(low, high, _HEIGHT - _BOTTOM, _TOP, log=True)
    corners = [
        (low, low * 1.1),
        (high / 1.1, high),
        (high, high),
        (high, high / 1.1),
        (low * 1.1, low),
        (low, low),
    ]
    band = " ".join(f"{across.at(x)},{up.at(y)}" for x, y in corners)
    parts = [
        f'<polygon class="band" points="{band}"/>',
        *_frame(across, up, f"measured 实测 ({unit})", f"predicted 预测 ({unit})"),
        f'<path class="equal" d="M{across.at(low)},{up.at(low)}L{across.at(high)},{up.at(high)}"/>',
        *(mark for each in series for mark in _marks(each, across, up)),
    ]
    return _svg(parts, label)


def over_order(
    series: Sequence[Series], blocks: Sequence[tuple[float, float]], label: str, reach: float
) -> str:
    """Errors (shares) over the order of arrival; every other block of time is shaded.

    Args:
        series: errors.
        blocks: first and last place of each block.
        label: for those who cannot see it.
        reach: largest error that is drawn; beyond it points lie on the frame.
    """
    last = max((float(each.x.max()) for each in series if len(each.x)), default=1.0)
    across = _Axis(0.0, max(last, 1.0), _LEFT, _WIDTH - _RIGHT)
    up = _Axis(-reach, reach, _HEIGHT - _BOTTOM, _TOP)
    shades = [
        f'<rect class="block" x="{across.at(begin)}" y="{_TOP}" '
        f'width="{max(0.0, across.at(end) - across.at(begin)):.1f}" height="{_HEIGHT - _TOP - _BOTTOM}"/>'
        for begin, end in blocks[1::2]
    ]
    zero = f'<path class="equal" d="M{_LEFT},{up.at(0.0)}H{_WIDTH - _RIGHT}"/>'
    marks = [mark for each in series for mark in _marks(each, across, up)]
    frame = _frame(across, up, "requests in order of arrival 按到达顺序的请求", "error 误差", shares=True)
    return _svg([*shades, *frame, zero, *marks], label)


def whiskers(rows: Sequence[Whisker], label: str) -> str:
    """For each configuration the median error and the middle 90 %."""
    reach = max(0.02, *(max(abs(row.low), abs(row.high)) for row in rows)) * 1.05
    height = 34 * len(rows) + 30
    across = _Axis(-reach, reach, 14, _WIDTH - 14)
    parts = [f'<path class="equal" d="M{across.at(0.0)},0V{height - 22}"/>']
    for tick in across.ticks():
        x = across.at(tick)
        parts.append(f'<path class="grid" d="M{x},0V{height - 22}"/>')
        parts.append(f'<text x="{x}" y="{height - 6}" text-anchor="middle">{_share(tick)}</text>')
    for place, row in enumerate(rows):
        y = 34 * place + 24
        parts.append(f'<text class="row" x="14" y="{y - 9}">{escape(row.label)} (n={row.values})</text>')
        parts.append(f'<path class="whisker" d="M{across.at(row.low)},{y}H{across.at(row.high)}"/>')
        parts.append(f'<circle class="middle" cx="{across.at(row.middle)}" cy="{y}" r="4.5"/>')
    return _svg(parts, label, height)


def thinned(count: int, most: int = MOST_POINTS) -> NDArray[np.int64]:
    """Places of at most ``most`` of so many values, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(np.int64))


def _frame(across: _Axis, up: _Axis, x_title: str, y_title: str, *, shares: bool = False) -> Iterator[str]:
    bottom = _HEIGHT - _BOTTOM
    for tick in across.ticks():
        x = across.at(tick)
        yield f'<path class="grid" d="M{x},{_TOP}V{bottom}"/>'
        yield f'<text x="{x}" y="{bottom + 14}" text-anchor="middle">{_plain(tick)}</text>'
    for tick in up.ticks():
        y = up.at(tick)
        yield f'<path class="grid" d="M{_LEFT},{y}H{_WIDTH - _RIGHT}"/>'
        written = _share(tick) if shares else _plain(tick)
        yield f'<text x="{_LEFT - 5}" y="{y + 4}" text-anchor="end">{written}</text>'
    yield f'<rect class="frame" x="{_LEFT}" y="{_TOP}" width="{_WIDTH - _LEFT - _RIGHT}" height="{bottom - _TOP}"/>'
    yield f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{x_title}</text>'
    middle = (_TOP + bottom) / 2
    yield f'<text transform="translate(12,{middle}) rotate(-90)" text-anchor="middle">{y_title}</text>'


def _share(value: float) -> str:
    return "0" if abs(value) < 1e-12 else f"{value * 100:+.3g}%"


def _plain(value: float) -> str:
    return "0" if abs(value) < 1e-12 else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _marks(series: Series, across: _Axis, up: _Axis) -> Iterator[str]:
    known = np.flatnonzero(np.isfinite(series.x) & np.isfinite(series.y))
    if across.log:
        known = known[(series.x[known] > 0) & (series.y[known] > 0)]
    points = [(across.at(series.x[place]), up.at(series.y[place])) for place in known]
    if series.shape == "circle":
        circles = "".join(f"M{x - 2.4:.1f},{y}a2.4,2.4 0 1 0 4.8,0a2.4,2.4 0 1 0 -4.8,0" for x, y in points)
        yield f'<path class="{series.kind}" d="{circles}"/>'
    else:
        triangles = "".join(f"M{x},{y - 3.4:.1f}l3.2,5.6h-6.4z" for x, y in points)
        yield f'<path class="{series.kind}" d="{triangles}"/>'


def _svg(parts: Sequence[str], label: str, height: int = _HEIGHT) -> str:
    inside = "".join(parts)
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(label)}">{inside}</svg>'

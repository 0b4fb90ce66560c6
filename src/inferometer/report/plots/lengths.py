"""Heat maps over lengths of prompt and answer: which shapes can be served how fast."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from inferometer.metrics.latency import Floats
from inferometer.metrics.percentiles import samples_needed
from inferometer.report.plots.loads import Load
from inferometer.report.plots.model import Axis, Heat
from inferometer.report.plots.place import Place
from inferometer.report.plots.sizes import evenly
from inferometer.report.plots.terms import (
    METRIC_NAMES,
    OUTPUT_RATE,
    REQUESTS,
    joined,
    load_words,
    percentile_of,
)
from inferometer.report.words import Words
from inferometer.spec import load_title

_INPUT, _OUTPUT = Words("input tokens", "输入 token"), Words("output tokens", "输出 token")
_LOG_SPAN = 8.0
_MOST_CELLS = 8  # along an axis, of lengths that are not a few fixed ones
_PER_CELL = 40  # requests, twice what a median takes
_VARIES = 1.5  # 90th / 10th percentile of a length
_MOST_LOADS = 3
_FEWEST = samples_needed(50)


class _Colour(NamedTuple):
    """What the colour of a map means."""

    stem: str
    key: str
    axis: Axis
    low_is_good: bool


_OF_LOADS = (
    _Colour("ttft", "ttft_ms.p50", Axis(percentile_of(METRIC_NAMES["ttft"], "p50"), "ms"), True),
    _Colour("e2el", "e2el_ms.p50", Axis(percentile_of(METRIC_NAMES["e2el"], "p50"), "ms"), True),
    _Colour("throughput", "output_throughput_per_s", Axis(OUTPUT_RATE, "tok/s"), False),
)
_SPEED = Axis(Words("median output speed of a request", "单请求输出速度中位数"), "tok/s")


def lengths_of_loads(loads: Sequence[Load]) -> tuple[Heat, ...]:
    """For loads that were measured with several lengths of both: TTFT, E2EL and throughput of each pair.

    Where the load varies too, for the lightest, the heaviest, and one in between.
    """
    groups: dict[tuple[object, ...], list[Load]] = {}
    for load in loads:
        if load.row.load.get("input_len") and load.row.load.get("output_len"):
            groups.setdefault((load.kind, repr(load.value), *load.family[3:]), []).append(load)
    varied = [
        group for group in groups.values() if _several(group, "input_len") and _several(group, "output_len")
    ]
    shown = [varied[place] for place in evenly(len(varied), _MOST_LOADS)]
    left_out = len(varied) - len(shown)
    found = (
        _heat_of_loads(group, colour, f"-{number}" if len(shown) > 1 else "", left_out)
        for number, group in enumerate(shown, start=1)
        for colour in _OF_LOADS
    )
    return tuple(heat for heat in found if heat is not None)


def _several(loads: Sequence[Load], field: str) -> bool:
    return len({load.row.load[field] for load in loads}) > 1


def _heat_of_loads(loads: Sequence[Load], colour: _Colour, suffix: str, left_out: int) -> Heat | None:
    inputs = sorted({int(load.row.load["input_len"]) for load in loads})
    outputs = sorted({int(load.row.load["output_len"]) for load in loads})
    values = np.full((len(outputs), len(inputs)), np.nan)
    counts = np.zeros_like(values)
    for load in loads:
        cell = outputs.index(int(load.row.load["output_len"])), inputs.index(int(load.row.load["input_len"]))
        figure = load.figure(colour.key)
        counts[cell] += load.requests
        values[cell] = np.nan if figure is None else figure.value
    if np.isnan(values).all():
        return None
    at = load_words(load_title(loads[0].row.load))
    more = Words(f"{left_out} loads in between are not drawn.", f"其间 {left_out} 个负载未画出。")
    return Heat(
        key=f"lengths_{colour.stem}{suffix}",
        title=_question(colour.axis, at),
        x=_axis(_INPUT, inputs),
        y=_axis(_OUTPUT, outputs),
        value=colour.axis,
        x_edges=edges_between(np.array(inputs, dtype=np.float64)),
        y_edges=edges_between(np.array(outputs, dtype=np.float64)),
        values=values,
        counts=counts,
        n=int(counts.sum()),
        of=REQUESTS,
        low_is_good=colour.low_is_good,
        note=more if left_out else None,
    )


def lengths_of_point(place: Place) -> tuple[Heat, ...]:
    """For a load point whose requests differ in both lengths: median TTFT, E2EL and speed of the requests in each cell.

    A cell with fewer requests than a median takes stays empty.
    """
    return tuple(_heats_of_point(place))


def _heats_of_point(place: Place) -> Iterator[Heat]:
    data = place.data
    known = np.flatnonzero((data.input_tokens > 0) & (data.output_tokens > 0))
    inputs, outputs = data.input_tokens[known], data.output_tokens[known]
    if len(known) < 4 * _FEWEST or not (_varies(inputs) and _varies(outputs)):
        return
    x_edges, y_edges = length_edges(inputs), length_edges(outputs)
    e2el_ms = data.e2el_ms[known]
    speed = outputs / np.where(e2el_ms > 0, e2el_ms, np.nan) * 1e3
    maps = (
        (_OF_LOADS[0], data.ttft_ms[known]),
        (_OF_LOADS[1], e2el_ms),
        (_Colour("speed", "", _SPEED, False), speed),
    )
    few = Words(
        f"A cell with fewer than {_FEWEST} requests stays empty.", f"少于 {_FEWEST} 个请求的格子留空。"
    )
    for colour, each in maps:
        values, counts = medians((inputs, outputs, each), x_edges, y_edges)
        if np.isnan(values).all():
            continue
        yield Heat(
            key=place.key(f"lengths_{colour.stem}"),
            title=_question(colour.axis),
            x=_axis(_INPUT, x_edges),
            y=_axis(_OUTPUT, y_edges),
            value=colour.axis,
            x_edges=x_edges,
            y_edges=y_edges,
            values=values,
            counts=counts,
            n=int(counts.sum()),
            of=REQUESTS,
            low_is_good=colour.low_is_good,
            note=joined(few),
        )


def _question(value: Axis, at: Words | None = None) -> Words:
    where = Words("", "") if at is None else Words(f" ({at.en})", f"（{at.zh}）")
    return Words(
        f"How does {value.name.en} depend on the lengths?{where.en}",
        f"{value.name.zh} 与长度有何关系？{where.zh}",
    )


def _varies(lengths: Floats) -> bool:
    low, high = np.percentile(lengths, (10, 90))
    return bool(high > _VARIES * low)


def _axis(name: Words, lengths: Sequence[int] | Floats) -> Axis:
    wide = lengths[0] > 0 and lengths[-1] / lengths[0] >= _LOG_SPAN
    return Axis(name, "tokens", "log" if wide else "linear")


def edges_between(lengths: Floats) -> Floats:
    """Edges of cells around each of some lengths, half-way to its neighbours in their ratio."""
    if len(lengths) == 1:
        return np.array([0.9, 1.1]) * float(lengths[0])
    inner = np.sqrt(lengths[:-1] * lengths[1:])
    return np.concatenate(([lengths[0] ** 2 / inner[0]], inner, [lengths[-1] ** 2 / inner[-1]]))


def length_edges(lengths: Floats) -> Floats:
    """Edges of cells along one length: around each of a few fixed ones, else of parts with as many requests each."""
    fixed = np.unique(lengths)
    if len(fixed) <= _MOST_CELLS:
        return edges_between(fixed)
    cells = min(max(int(np.sqrt(len(lengths) / _PER_CELL)), 2), _MOST_CELLS)
    return np.unique(np.quantile(lengths, np.linspace(0.0, 1.0, cells + 1)))


def medians(
    columns: tuple[Floats, Floats, Floats], x_edges: Floats, y_edges: Floats
) -> tuple[Floats, Floats]:
    """Median and count of a value in each cell (rows along y); NaN where a cell has fewer than a median takes.

    Args:
        columns: x, y and value of each request; those without a value count nowhere.
        x_edges: of the columns of cells.
        y_edges: of their rows.
    """
    x, y, value = columns
    known = ~np.isnan(value)
    shape = len(y_edges) - 1, len(x_edges) - 1
    across = np.clip(np.searchsorted(x_edges, x[known], side="right") - 1, 0, shape[1] - 1)
    up = np.clip(np.searchsorted(y_edges, y[known], side="right") - 1, 0, shape[0] - 1)
    cell = up * shape[1] + across
    order = np.argsort(cell, kind="stable")
    counts = np.bincount(cell, minlength=shape[0] * shape[1])
    found = np.full(len(counts), np.nan)
    for place, own in enumerate(np.split(value[known][order], np.cumsum(counts)[:-1])):
        if len(own) >= _FEWEST:
            found[place] = np.median(own)
    return found.reshape(shape), counts.reshape(shape).astype(np.float64)

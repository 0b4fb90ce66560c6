"""What longer prompts and fuller batches cost: TTFT against input length, TPOT against requests in flight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from inferometer.metrics.concurrency import spans
from inferometer.metrics.curves import in_flight_during
from inferometer.metrics.latency import Floats, PointData
from inferometer.report.plots.fits import FORMULA, Line, theil_sen
from inferometer.report.plots.loads import Load
from inferometer.report.plots.model import Axis, Chart, Series
from inferometer.report.plots.sizes import SCATTER_POINTS, evenly, scale_of
from inferometer.report.plots.terms import METRIC_NAMES, REQUESTS, joined, load_words
from inferometer.report.words import Words
from inferometer.spec import load_title

_MOST_LOADS = 12
_FIT_PLACES = 25
_FIT = Words("fit", "拟合")


class Cloud(NamedTuple):
    """Some requests of a load, as many as can be seen.

    Attributes:
        load: that they were sent at; those of equal ``at`` were sent at the same load, if with other lengths.
        inputs, ttft_ms: prompt tokens, and the time to the first token.
        in_flight, tpot_ms: requests in flight while it decoded, itself among them, and its time per output token.
        requests: how many there were.
    """

    at: Words
    inputs: Floats
    ttft_ms: Floats
    in_flight: Floats
    tpot_ms: Floats
    requests: int


def cloud_of(load: Load, points: Sequence[PointData]) -> Cloud:
    """The requests of a load, of all its repeats."""
    parts = [_part(data) for data in points]
    inputs, ttft_ms, in_flight, tpot_ms = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    kept = evenly(len(inputs), SCATTER_POINTS)
    return Cloud(
        load_words(load_title(load.row.load)),
        inputs[kept],
        ttft_ms[kept],
        in_flight[kept],
        tpot_ms[kept],
        len(inputs),
    )


def _part(data: PointData) -> tuple[Floats, Floats, Floats, Floats]:
    first, last = data.column("first_token_ns"), data.column("last_token_ns")
    company = in_flight_during(*spans(data.table), first, last)
    return data.input_tokens, data.ttft_ms, company, data.tpot_ms


def scatters(clouds: Sequence[Cloud]) -> tuple[Chart, ...]:
    """Both pictures, of the loads in their order; none whose x hardly differs."""
    found = (_ttft(clouds), _tpot(clouds))
    return tuple(chart for chart in found if chart is not None)


def _ttft(clouds: Sequence[Cloud]) -> Chart | None:
    """Points of all loads; the line is that of the lightest one with different lengths, where the queue is shortest."""
    columns = _merged([(cloud.at, cloud.inputs, cloud.ttft_ms) for cloud in clouds])
    fits = [(name, line) for name, x, y in columns if (line := theil_sen(x, y)) is not None]
    if not fits:
        return None
    at, line = fits[0]
    fitted = Words(f"fit at {at.en}", f"{at.zh} 的拟合")
    axes = Axis(Words("input tokens", "输入 token"), "tokens"), Axis(METRIC_NAMES["ttft"], "ms")
    title = Words("What does a longer prompt cost?", "更长的提示要多少代价？")
    return _chart("ttft_over_input", title, axes, columns, (fitted, line))


def _tpot(clouds: Sequence[Cloud]) -> Chart | None:
    """Points of all loads, as many of each in the line, so that a long load point does not outweigh the others."""
    columns = [(cloud.at, cloud.in_flight, cloud.tpot_ms) for cloud in clouds]
    fewest = SCATTER_POINTS // max(len(columns), 1)
    taken = [(x[evenly(len(x), fewest)], y[evenly(len(y), fewest)]) for _, x, y in columns if len(x)]
    if not taken:
        return None
    line = theil_sen(np.concatenate([x for x, _ in taken]), np.concatenate([y for _, y in taken]))
    if line is None:
        return None
    axes = (
        Axis(Words("requests in flight while it decoded", "解码期间的在途请求数"), ""),
        Axis(METRIC_NAMES["tpot"], "ms"),
    )
    title = Words("How does TPOT grow with the requests in flight?", "TPOT 如何随在途请求数增长？")
    return _chart("tpot_over_in_flight", title, axes, columns, (_FIT, line))


Columns = tuple[Words, Floats, Floats]


def _merged(columns: Sequence[Columns]) -> list[Columns]:
    """Those of the same load and other lengths put together."""
    found: dict[Words, list[tuple[Floats, Floats]]] = {}
    for name, x, y in columns:
        found.setdefault(name, []).append((x, y))
    return [
        (name, np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts]))
        for name, parts in found.items()
    ]


def _chart(
    key: str, title: Words, axes: tuple[Axis, Axis], columns: Sequence[Columns], fit: tuple[Words, Line]
) -> Chart:
    present = [(name, x[known], y[known]) for name, x, y in columns if (known := ~np.isnan(x + y)).any()]
    shown = [present[place] for place in evenly(len(present), _MOST_LOADS)]
    each = SCATTER_POINTS // len(shown)
    series = [
        Series(
            name=name,
            x=x[evenly(len(x), each)],
            y=y[evenly(len(y), each)],
            draw="points",
            shade=place / (len(shown) - 1) if len(shown) > 1 else None,
            n=len(x),
        )
        for place, (name, x, y) in enumerate(shown)
    ]
    name, line = fit
    at = np.linspace(line.first, line.last, _FIT_PLACES)
    middle = line.at(at)
    scale = scale_of([*(y for _, _, y in shown), middle])
    least = min(float(y.min()) for _, _, y in shown) if scale == "log" else 0.0
    told = f"{line.level:,.4g} ms + {line.slope:,.4g} ms x"
    series.append(
        Series(
            name=name,
            x=at,
            y=middle,
            low=np.maximum(middle + line.below, least),
            high=middle + line.above,
            role="second",
            n=line.points,
        )
    )
    drawn = sum(len(each.x) for each in series[:-1])
    return Chart(
        key=key,
        title=title,
        x=axes[0],
        y=Axis(axes[1].name, axes[1].unit, scale),
        series=tuple(series),
        n=sum(len(x) for _, x, _ in present),
        of=REQUESTS,
        note=joined(
            Words(f"y = {told}.", f"y = {told}。"),
            FORMULA,
            Words(f"{drawn:,} points are drawn.", f"画出 {drawn:,} 个点。"),
        ),
    )

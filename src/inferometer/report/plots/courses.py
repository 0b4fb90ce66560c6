"""The course of a load point: requests in flight, tokens and requests per second, beside what was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from inferometer.metrics.concurrency import has_sessions, holders, spans
from inferometer.metrics.counts import failed_rows
from inferometer.metrics.curves import in_flight, output_curve
from inferometer.metrics.latency import NS_PER_S, Floats
from inferometer.report.plots.model import Axis, Chart, Role, Series
from inferometer.report.plots.place import Place
from inferometer.report.plots.sizes import bin_edges, middles
from inferometer.report.plots.terms import ASKED, IN_FLIGHT, OUTPUT_RATE, REQUEST_RATE, REQUESTS, TIME, joined
from inferometer.report.words import Words
from inferometer.spec import LoadPoint

_FINE_BINS = 200
_CHUNKS_PER_BIN, _REQUESTS_PER_BIN = 50, 8


def courses(place: Place) -> tuple[Chart, ...]:
    """In flight, output rate and request rate over the time of a load point; none where nothing was sent."""
    start, end = spans(place.table)
    if not len(start) or not end.max() > 0:
        return ()
    charts = (_in_flight(place, start, end), _output(place, end), _requests(place, end))
    return tuple(chart for chart in charts if chart is not None)


def _in_flight(place: Place, start: Floats, end: Floats) -> Chart:
    edges = np.linspace(0.0, float(end.max()), _FINE_BINS + 1)
    table = place.table
    series = []
    if has_sessions(table):
        begun, over, _ = holders(table)
        series.append(
            _steps(Words("sessions under way", "进行中的会话"), edges, in_flight(begun, over, edges))
        )
        series.append(_steps(IN_FLIGHT, edges, in_flight(start, end, edges), "second"))
    else:
        series.append(_steps(IN_FLIGHT, edges, in_flight(start, end, edges)))
    sent = ~np.isnan(table.number("sent_ns"))
    first = table.number("first_token_ns")[sent]
    if not np.isnan(first).all():
        waited_until = np.where(np.isnan(first), end, np.minimum(first, end))
        waiting = Words("of them waiting for the first token", "其中等待首 token")
        series.append(_steps(waiting, edges, in_flight(start, waited_until, edges), "third"))
    asked = _asked_in_flight(table.point.load, edges)
    if asked is not None:
        series.append(_steps(ASKED, edges, asked, "asked"))
    return _over_time(place, "in_flight", Axis(IN_FLIGHT, ""), tuple(series))


def _closed(load: Mapping[str, Any]) -> bool:
    """Whether requests wait for earlier ones; a load that another tool made says no more than its size."""
    return load.get("request_rate") is None and not load.get("trace")


def _asked_in_flight(load: Mapping[str, Any], edges: Floats) -> Floats | None:
    """Of a closed loop, over time where it has a shape; a limit beside a rate is not what was asked to be in flight."""
    limit = load.get("max_concurrency")
    if not _closed(load) or limit is None:
        return None
    shaped = load.get("ramp") is not None or load.get("spike") is not None
    curve = LoadPoint.from_dict(load).curve if shaped else None
    if curve is None:
        return np.full(len(edges) - 1, float(limit))
    return np.array([curve.level(at_s) for at_s in (middles(edges) / NS_PER_S).tolist()])


def _output(place: Place, end: Floats) -> Chart | None:
    output = output_curve(place.data)
    if output is None or not len(output.at_ns):
        return None
    arrivals = max(len(place.data.output_chunks.row), len(place.data.output_tokens))
    edges = bin_edges(0.0, float(end.max()), arrivals, each=_CHUNKS_PER_BIN)
    series = (_steps(OUTPUT_RATE, edges, output.rates(edges)),)
    counted = Words(
        "Tokens by arrival, of successful requests and of those that the end of the load point cut off.",
        "按到达时间计 token，含成功请求与负载点结束时被截断的请求。",
    )
    return _over_time(place, "output_rate", Axis(OUTPUT_RATE, "tok/s"), series, counted)


def _requests(place: Place, end: Floats) -> Chart:
    table = place.table
    sent = table.number("sent_ns")
    edges = bin_edges(0.0, float(end.max()), int((~np.isnan(sent)).sum()), each=_REQUESTS_PER_BIN)
    return _over_time(
        place, "request_rate", Axis(REQUEST_RATE, "req/s"), tuple(_request_series(place, edges))
    )


def _request_series(place: Place, edges: Floats) -> Iterator[Series]:
    table = place.table
    sent, planned, over = (table.number(name) for name in ("sent_ns", "planned_ns", "end_ns"))
    yield _steps(Words("sent", "发出"), edges, _per_s(sent, edges))
    yield _steps(Words("answered", "完成"), edges, _per_s(place.data.end_ns, edges), "second")
    failed = failed_rows(table)
    if failed.any():
        yield _steps(Words("failed", "失败"), edges, _per_s(over[failed], edges), "bad")
    if not _closed(table.point.load):
        yield _steps(Words("due by the schedule", "计划发出"), edges, _per_s(planned, edges), "asked")


def _per_s(moments_ns: Floats, edges: Floats) -> Floats:
    counts, _ = np.histogram(moments_ns[~np.isnan(moments_ns)], edges)
    return np.asarray(counts / (np.diff(edges) / NS_PER_S), dtype=np.float64)


def _steps(name: Words, edges: Floats, values: Floats, role: Role = "main") -> Series:
    """A value for each bin, which the last edge closes."""
    return Series(name=name, x=edges / NS_PER_S, y=np.append(values, values[-1:]), draw="steps", role=role)


def _over_time(
    place: Place, stem: str, y: Axis, series: tuple[Series, ...], note: Words | None = None
) -> Chart:
    questions = {
        "in_flight": Words("Was the load held that was asked for?", "负载是否如要求保持？"),
        "output_rate": Words("When were tokens made, and how evenly?", "token 何时产出，是否均匀？"),
        "request_rate": Words("When were requests sent and answered?", "请求何时发出、何时完成？"),
    }
    width = float(series[0].x[1] - series[0].x[0])
    bins = Words(f"Means of {width:,.3g} s.", f"每 {width:,.3g} s 取平均。")
    return Chart(
        key=place.key(stem),
        title=questions[stem],
        x=TIME,
        y=y,
        series=series,
        marks=place.window,
        n=int((~np.isnan(place.table.number("sent_ns"))).sum()),
        of=REQUESTS,
        note=joined(bins, note),
        link=place.link,
    )

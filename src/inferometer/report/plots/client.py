"""How the load generator itself did over a load point: whether its figures can be trusted, and when not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from inferometer.metrics.generator import due_and_lag
from inferometer.metrics.latency import NS_PER_S, Floats
from inferometer.report.plots.model import Axis, Chart, Mark, Series
from inferometer.report.plots.place import Place
from inferometer.report.plots.sizes import LINE_POINTS, extremes
from inferometer.report.plots.telemetry import CLIENT
from inferometer.report.plots.terms import REQUESTS, SAMPLES, TIME, joined
from inferometer.report.words import Words

_MOST_WORKERS = 8
_LAG_POINTS = 2000
_SEND = Words("lateness of sends", "发送滞后")
_RECEIVE = Words("worst lateness of reads", "最大接收滞后")
_CPU = Words("CPU of a worker", "工作进程 CPU")
# Chart, axis, value in telemetry, factor to the unit, condition of the verdict that limits it.
_SAMPLED = (
    ("client_receive_lag", Axis(_RECEIVE, "ms"), "receive_lag_max_s", 1e3, "receive lag"),
    ("client_cpu", Axis(_CPU, "%"), "cpu_share", 100.0, "client CPU"),
)
_TITLES = {
    "client_send_lag": Words("Did the client send in time?", "客户端是否按时发送？"),
    "client_receive_lag": Words("Did the client read in time?", "客户端是否及时接收？"),
    "client_cpu": Words("Had the client CPU to spare?", "客户端 CPU 是否有余量？"),
}
Line = tuple[int, Floats, Floats]


def client_charts(place: Place) -> tuple[Chart, ...]:
    """Send lag, receive lag and CPU over time, a line a worker; none where no worker of ours measured."""
    if place.table.point.virtual or not place.table.point.health:
        return ()
    found = [_send_lag(place), *_sampled(place)]
    return tuple(chart for chart in found if chart is not None)


def _send_lag(place: Place) -> Chart | None:
    due_ns, lag_ms, worker = due_and_lag(place.table)
    lines = [
        (int(each), due_ns[worker == each] / NS_PER_S, lag_ms[worker == each]) for each in np.unique(worker)
    ]
    return _chart(place, "client_send_lag", Axis(_SEND, "ms"), lines, "send lag")


def _sampled(place: Place) -> Iterator[Chart | None]:
    telemetry, epoch_ns = place.telemetry, place.table.point.epoch_ns or 0
    for stem, axis, name, factor, condition in _SAMPLED:
        rows = np.asarray((telemetry.point == place.index) & (telemetry.name == name), dtype=bool)
        lines = []
        for source in sorted(set(telemetry.source[rows].tolist())):
            if source.startswith(CLIENT) and source.removeprefix(CLIENT).isdigit():
                at_ns, value = telemetry.series(place.index, source, name)
                lines.append(
                    (int(source.removeprefix(CLIENT)), (at_ns - epoch_ns) / NS_PER_S, value * factor)
                )
        yield _chart(place, stem, axis, lines, condition)


def _chart(place: Place, stem: str, axis: Axis, lines: Sequence[Line], condition: str) -> Chart | None:
    lines = [line for line in lines if len(line[1]) and not np.isnan(line[2]).all()]
    if not lines:
        return None
    worst = sorted(lines, key=lambda line: -float(np.nanmax(line[2])))[:_MOST_WORKERS]
    shown = sorted(worst, key=lambda line: line[0])
    requests = stem == "client_send_lag"
    left_out = len(lines) - len(shown)
    return Chart(
        key=place.key(stem),
        title=_TITLES[stem],
        x=TIME,
        y=axis,
        series=tuple(_series(line, number, len(shown), points=requests) for number, line in enumerate(shown)),
        marks=(*_limit(place, condition), *place.window),
        n=sum(len(at_s) for _, at_s, _ in lines),
        of=REQUESTS if requests else SAMPLES,
        note=joined(
            Words(
                f"The {len(shown)} worst of {len(lines)} workers.",
                f"{len(lines)} 个工作进程中最差的 {len(shown)} 个。",
            )
            if left_out
            else None,
            Words(
                "Waiting for a permit and connecting left out; of many, smallest and largest of each part.",
                "不含等待许可与建立连接；点多时每段保留最小值与最大值。",
            )
            if requests
            else None,
        ),
        link=place.link,
    )


def _series(line: Line, number: int, of: int, *, points: bool) -> Series:
    worker, at_s, values = line
    order = np.argsort(at_s, kind="stable")
    kept = order[extremes(values[order], _LAG_POINTS // of if points else LINE_POINTS)]
    return Series(
        name=Words(f"worker {worker}", f"工作进程 {worker}"),
        x=at_s[kept],
        y=values[kept],
        draw="points" if points else "line",
        shade=number / (of - 1) if of > 1 else None,
        n=len(at_s),
    )


def _limit(place: Place, condition: str) -> Iterator[Mark]:
    """The limit that the verdict holds it against, and on which statistic."""
    for judged in place.summary.verdict.conditions:
        if judged.name == condition and judged.limit is not None:
            at = judged.limit * (100.0 if judged.unit == "share" else 1.0)
            unit = "%" if judged.unit == "share" else judged.unit
            statistic = judged.asked.split()[0]
            yield Mark(
                name=Words(
                    f"limit of its {statistic}: {at:,.3g} {unit}", f"{statistic} 上限：{at:,.3g} {unit}"
                ),
                kind="limit",
                axis="y",
                start=at,
            )

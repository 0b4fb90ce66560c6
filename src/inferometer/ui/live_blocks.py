"""A run in progress as the blocks and pictures that reports are made of. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

import numpy as np

from inferometer.report.page.model import Card, Cards, Cell, Head, Note, Table
from inferometer.report.plots.model import Axis, Chart, Series
from inferometer.report.words import Words, same
from inferometer.ui.live import Course, LivePoint, LiveRun

_TIME: Final = Axis(Words("time since the load point began", "自负载点开始的时间"), "s")
_STATES: Final = {
    "quiet": Words(
        "Nothing has come for a while and nobody writes to this run: it was killed. What had finished is kept.",
        "已有一段时间没有新数据，也没有进程在写入：该运行已被终止。已完成的请求仍然保留。",
    ),
    "closed": Words("The run has ended.", "运行已结束。"),
}


def blocks_of(run: LiveRun) -> tuple[Cards | Note | Table, ...]:
    """Headline figures of the load point under way, and a line for each one so far."""
    state = _state(run)
    if not run.points:
        wait = Words("No load point has begun yet.", "尚未开始任何负载点。")
        return (state or Note(text=wait),)
    return (*([state] if state else []), _cards(run), _table(run.points))


def pictures_of(course: Course | None) -> tuple[Chart, ...]:
    """The load point under way over time; none in its first seconds, for there is no line yet."""
    if course is None or len(course.seconds) < 2:
        return ()
    charts = [
        _chart(
            course,
            ("live_rates", Words("How fast are answers finished?", "完成速度如何？")),
            Axis(Words("output tokens of finished requests", "已完成请求的输出 token"), "tok/s"),
            [Series(name=Words("output tokens", "输出 token"), x=course.seconds, y=course.output_per_s)],
            Axis(Words("finished requests", "已完成请求"), "req/s"),
            course.requests_per_s,
        )
    ]
    if not np.isnan(course.in_flight).all():
        name = Words("in flight", "进行中请求")
        charts.append(
            _chart(
                course,
                ("live_in_flight", Words("How many requests are in flight?", "有多少请求在进行中？")),
                Axis(name, ""),
                [Series(name=name, x=course.seconds, y=course.in_flight, draw="steps")],
            )
        )
    if not np.isnan(course.ttft_ms).all():
        name = Words("median TTFT", "TTFT 中位数")
        charts.append(
            _chart(
                course,
                ("live_ttft", Words("How long do first tokens take?", "首字延迟多长？")),
                Axis(Words("TTFT", "首字延迟 TTFT"), "ms"),
                [Series(name=name, x=course.seconds, y=course.ttft_ms, draw="line-points")],
            )
        )
    return tuple(charts)


def _chart(
    course: Course,
    what: tuple[str, Words],
    y: Axis,
    series: list[Series],
    right: Axis | None = None,
    right_values: np.ndarray | None = None,
) -> Chart:
    if right is not None and right_values is not None:
        series = [
            *series,
            Series(name=right.name, x=course.seconds, y=right_values, role="second", right=True),
        ]
    return Chart(
        key=what[0],
        title=what[1],
        x=_TIME,
        y=y,
        right=right,
        series=tuple(series),
        n=course.count,
        of=Words("finished requests", "个已完成请求"),
    )


def _state(run: LiveRun) -> Note | None:
    if run.state not in _STATES:
        return None
    step = None
    if run.state == "quiet":
        step = same(f"inferometer runs recover {shlex.quote(run.folder)}")
    return Note(text=_STATES[run.state], tone="warn" if run.state == "quiet" else "plain", next_step=step)


def _cards(run: LiveRun) -> Cards:
    point = run.points[-1]
    planned = "" if point.planned is None else f" / {point.planned:,}"
    measured = sum(each.kind == "measure" for each in run.points)
    where = Words("warm-up", "预热")
    if point.kind == "measure":
        of = f"{measured}/{run.points_total}" if measured <= run.points_total else f"{measured}"
        where = Words(f"load point {of}", f"负载点 {of}")
    ttft, tpot = point.ttft_ms.get("p50"), point.tpot_ms.get("p50")
    so_far = Words("so far, from the planned time", "截至目前，从计划时刻起算")
    return Cards(
        cards=(
            Card(
                name=where,
                value=same(point.title),
                under=Words(f"{point.elapsed_s:.0f} s so far", f"已 {point.elapsed_s:.0f} s"),
            ),
            Card(name=Words("requests finished", "已完成请求"), value=same(f"{point.done:,}{planned}")),
            Card(
                name=Words("failed", "失败"),
                value=same(f"{point.failed:,}"),
                tone="bad" if point.failed else "good",
            ),
            Card(name=Words("in flight", "进行中"), value=_whole(point.in_flight)),
            Card(
                name=Words("output throughput", "输出吞吐"), value=_number(point.output_rate_per_s, "tok/s")
            ),
            Card(
                name=Words("request throughput", "请求吞吐"), value=_number(point.request_rate_per_s, "req/s")
            ),
            Card(name=Words("TTFT median", "首字延迟 TTFT 中位数"), value=_number(ttft, "ms"), under=so_far),
            Card(name=Words("TPOT median", "每输出 token 时间 TPOT 中位数"), value=_number(tpot, "ms")),
        )
    )


def _table(points: Sequence[LivePoint]) -> Table:
    heads = (
        Head(Words("load point", "负载点"), number=False),
        Head(Words("requests", "请求")),
        Head(Words("failed", "失败")),
        Head(Words("time", "时间")),
        Head(Words("output throughput", "输出吞吐")),
        Head(Words("TTFT p50", "TTFT p50")),
        Head(Words("TTFT p90", "TTFT p90")),
        Head(Words("TPOT p50", "TPOT p50")),
        Head(Words("state", "状态"), number=False),
    )
    return Table(
        key="points",
        head=heads,
        rows=tuple(_row(point) for point in points),
        caption=Words("Load points so far", "到目前为止的负载点"),
        note=Words(
            "A percentile needs enough requests: the median 20, p90 100.",
            "百分位需要足够的请求数：中位数 20 个，p90 100 个。",
        ),
    )


def _row(point: LivePoint) -> tuple[Cell, ...]:
    name = same(point.title)
    if point.kind == "warmup":
        name = Words(f"warm-up, {point.title}", f"预热，{point.title}")
    planned = "" if point.planned is None else f"/{point.planned:,}"
    return (
        Cell(name),
        Cell(same(f"{point.done:,}{planned}")),
        Cell(same(f"{point.failed:,}"), tone="bad" if point.failed else "plain"),
        Cell(same(f"{point.elapsed_s:.1f} s")),
        Cell(_number(point.output_rate_per_s, "tok/s")),
        Cell(_number(point.ttft_ms.get("p50"), "ms")),
        Cell(_number(point.ttft_ms.get("p90"), "ms")),
        Cell(_number(point.tpot_ms.get("p50"), "ms")),
        Cell(Words("ended", "已结束") if point.ended else Words("under way", "进行中")),
    )


def _whole(value: int | None) -> Words:
    return Words("not known", "未知") if value is None else same(f"{value:,}")


def _number(value: float | None, unit: str) -> Words:
    """With three figures at least; a dash where there is none."""
    if value is None:
        return same("–")
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return same(f"{value:,.{digits}f} {unit}")

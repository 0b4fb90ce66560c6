"""What the records of a run already say, each with its evidence, the weightiest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from inferometer.metrics.capacity import Capacity
from inferometer.metrics.failures import Reading
from inferometer.metrics.summary import PointSummary, RunSummary
from inferometer.metrics.verdict import Condition
from inferometer.record.tables import RunRecord
from inferometer.report.condition_words import (
    condition_asked,
    condition_failed,
    condition_figures,
    condition_name,
    condition_picture,
    condition_step,
)
from inferometer.report.finding import Finding
from inferometer.report.load_findings import load_findings
from inferometer.report.plots.terms import point_names
from inferometer.report.point_findings import point_findings
from inferometer.report.text import count
from inferometer.report.words import Words

__all__ = ["Finding", "findings"]

_LEVELS = {"bad": 0, "warn": 1, "info": 2}
_GATEWAY = {
    408: "服务端或其前的网关等待请求超时",
    429: "服务端或其前的网关拒绝超出其上限的请求",
    502: "网关未得到后端服务的正确回答",
    503: "服务端或其前的网关不再接收请求：队列已满，或尚未就绪",
    504: "网关放弃等待后端服务",
}
_GATEWAY_STEPS = {
    408: "检查 --url 是否经过慢速网络，或发送更短的提示",
    429: "降低 --max-concurrency 或 --request-rate，或申请提高上限",
    502: "检查网关后的服务是否运行及其日志，或将 --url 直接指向它",
    503: "降低负载，或查看服务端日志",
    504: "降低负载，用 --max-tokens 缩短回答，或提高网关的时间上限",
}
Named = Sequence[tuple[Words, PointSummary]]


def findings(summary: RunSummary, run: RunRecord, capacity: Capacity | None = None) -> list[Finding]:
    """All findings: those that make figures wrong, then those that qualify them, then what they mean.

    Args:
        summary: the numbers.
        run: the records that they were made of; its engine counters are read.
        capacity: what a search for the largest load within limits found.
    """
    named = list(zip(point_names(summary.points), summary.points, strict=True))
    found = [
        *_failures(named),
        *_conditions(summary, named),
        *load_findings(summary, capacity),
        *point_findings(summary, run, named),
    ]
    return sorted(found, key=lambda finding: _LEVELS[finding.level])


def _conditions(summary: RunSummary, named: Named) -> Iterator[Finding]:
    """One for each condition that does not hold, or that is hard and not known, with where it is worst to be seen."""
    places: dict[str, list[tuple[Words | None, PointSummary | None, Condition]]] = {}
    for condition in _doubtful(summary.verdict.conditions):
        places.setdefault(condition.name, []).append((None, None, condition))
    for name, point in named:
        for condition in _doubtful(point.verdict.conditions):
            places.setdefault(condition.name, []).append((name, point, condition))
    for found in places.values():
        failing = [each for each in found if each[2].ok is False]
        place, shown, condition = max(failing or found, key=lambda each: _excess(each[2]))
        yield _of_condition(condition, place, shown, len(failing or found) - 1)


def _excess(condition: Condition) -> float:
    """How far beyond its limit it is, as a share of the limit."""
    if condition.measured is None or condition.limit is None:
        return 0.0
    return abs(condition.measured - condition.limit) / max(abs(condition.limit), 1e-9)


def _doubtful(conditions: Iterable[Condition]) -> list[Condition]:
    return [c for c in conditions if c.ok is False or (c.ok is None and c.level == "hard")]


def _of_condition(
    condition: Condition, place: Words | None, point: PointSummary | None, others: int
) -> Finding:
    what, known = condition_failed(condition), condition.ok is not None
    at = Words("", "") if place is None else Words(f" at {place.en}", f"{place.zh}：")
    more = Words(f" and {others} more", f"（等 {others + 1} 处）") if others else Words("", "")
    text = (
        Words(f"{what.en}{at.en}{more.en}.", f"{at.zh}{what.zh}{more.zh}。")
        if known
        else Words(
            f"Not known{at.en}{more.en}: {condition.name}.",
            f"{at.zh}无法判断{condition_name(condition.name).zh}{more.zh}。",
        )
    )
    stem = condition_picture(condition)
    return Finding(
        key=f"condition:{condition.name}",
        level="bad" if condition.level == "hard" and known else "warn",
        text=text,
        evidence=_measured(condition),
        next_step=condition_step(condition),
        picture=f"{stem}-{point.index}" if stem and point is not None else None,
    )


def _measured(condition: Condition) -> Words:
    """Asked, measured and limit, as far as there are numbers."""
    asked, (measured, limit) = condition_asked(condition), condition_figures(condition)
    if measured is None:
        return Words(f"asked: {asked.en}", f"要求：{asked.zh}")
    if limit is None:
        return Words(f"{asked.en}: {measured.en}", f"{asked.zh}：{measured.zh}")
    return Words(
        f"{asked.en}: {measured.en}, limit {limit.en}", f"{asked.zh}：实测 {measured.zh}，限值 {limit.zh}"
    )


def _failures(named: Named) -> Iterator[Finding]:
    """What failures mean, each kind once, from the load point with most of it."""
    most: dict[tuple[str, int | None], tuple[Words, PointSummary, Reading]] = {}
    for name, point in named:
        for reading in point.failures:
            key = (reading.status, reading.http_status)
            if key not in most or reading.count > most[key][2].count:
                most[key] = (name, point, reading)
    for name, point, reading in sorted(most.values(), key=lambda found: -found[2].count):
        ended = point.counts.ok + point.counts.failed
        yield Finding(
            key=f"failures:{reading.status}:{reading.http_status or ''}",
            level="bad",
            text=reading_words(reading),
            evidence=Words(
                f"{count(reading.count)} of {count(ended)} requests at {name.en}",
                f"{name.zh}：{count(ended)} 个请求中的 {count(reading.count)} 个",
            ),
            next_step=reading_step(reading),
            picture=f"request_rate-{point.index}",
        )


def reading_step(reading: Reading) -> Words:
    """What to do about failures of one kind."""
    limited = "缩短回答（--max-tokens），或提高时间上限"
    if reading.limit_s is not None:
        return Words(reading.next_step, limited)
    return Words(reading.next_step, _GATEWAY_STEPS.get(reading.http_status or 0, limited))


def reading_words(reading: Reading) -> Words:
    """What failures of one kind mean."""
    code = reading.http_status
    chinese = (
        "回答在固定时间后被截断" if code is None else f"HTTP {code}：{_GATEWAY.get(code, reading.meaning)}"
    )
    if reading.accepted_per_s is not None:
        chinese += f"；拒绝期间每秒放行约 {reading.accepted_per_s:,.1f} 个请求"
    if reading.limit_s is not None:
        chinese += f"；约 {reading.limit_s:,.1f} s 后结束：存在这一时间上限"
    return Words(reading.meaning, chinese)

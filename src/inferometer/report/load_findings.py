"""Findings over the loads of a run: knee, limits that are met or not, repeats; overload is one of the steady window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from inferometer.metrics.capacity import Capacity
from inferometer.metrics.rows import Row
from inferometer.metrics.slo import SloResult
from inferometer.metrics.summary import RunSummary
from inferometer.report.finding import Finding
from inferometer.report.plots.loads import Load, families, knee_of, loads_of, met_up_to
from inferometer.report.search import capacity_interval, capacity_words
from inferometer.report.text import number, quantity
from inferometer.report.words import Words

_RISES = (
    0.05  # of the throughput, from the second heaviest load to the heaviest: more than repeats may differ
)
_RATE, _TOKENS = "request_throughput_per_s", "output_throughput_per_s"
_CHANGES = (
    (_TOKENS, Words("output throughput", "输出吞吐"), "tok/s"),
    (_RATE, Words("request throughput", "请求吞吐"), "req/s"),
    ("e2el_ms.mean", Words("mean E2EL", "平均 E2EL"), "ms"),
)


def load_findings(summary: RunSummary, capacity: Capacity | None = None) -> Iterator[Finding]:
    """Those of each family of loads; a name tells families apart. Of a search its own answer on the limits."""
    if not summary.rows:
        return
    if capacity is not None:
        yield _searched(capacity)
    found: dict[str, list[tuple[Words, Finding]]] = {}
    for name, loads in families(loads_of(summary)):
        limited = () if capacity is not None else _limits(loads)
        for finding in (*limited, *_knee(loads)):
            found.setdefault(f"{finding.key}: {finding.level}", []).append((name, finding))
    for alike in found.values():
        yield _at(*alike[0], others=len(alike) - 1)
    for load in loads_of(summary):
        yield from _differing(load)


def _at(family: Words, finding: Finding, others: int) -> Finding:
    """With the name of its family, and for how many others there is one like it."""
    if not family.en:
        return finding
    more = Words(f" The like for {others} more.", f"另有 {others} 组类似。") if others else Words("", "")
    text = Words(f"{family.en}: {finding.text.en}{more.en}", f"{family.zh}：{finding.text.zh}{more.zh}")
    return msgspec.structs.replace(finding, text=text)


def _searched(capacity: Capacity) -> Finding:
    load, interval = capacity_words(capacity), capacity_interval(capacity)
    known = capacity.load is not None
    why = f"; {capacity.why}" if capacity.why else ""
    return Finding(
        key="slo",
        level="info" if known and capacity.status != "unsure" else "warn",
        text=Words(f"All limits are met up to {load.en}.", f"直到{load.zh} 均满足全部 SLO。")
        if known
        else Words(f"Load that meets all limits: {load.en}.", f"满足全部 SLO 的负载：{load.zh}。"),
        evidence=Words(interval.en + why, interval.zh + why),
    )


def _limits(loads: Sequence[Load]) -> Iterator[Finding]:
    """Up to which load all limits are met, and which one ends it."""
    judged = [load for load in loads if any(point.slo for point in load.points)]
    if not judged:
        return
    met = met_up_to(judged)
    beyond = judged[0 if met is None else judged.index(met) + 1 :]
    if met is not None and not beyond[:1]:
        yield Finding(
            key="slo",
            level="info",
            text=Words(
                f"All limits are met up to the heaviest load, {met.title.en}.",
                f"直到最大负载（{met.title.zh}）均满足全部 SLO。",
            ),
            evidence=_readings(met, met.points[0].slo),
            next_step=Words(
                "measure heavier loads to find where they end, or: inferometer search --slo",
                "测量更大的负载，或用 inferometer search --slo 搜索上限",
            ),
            picture=_picture(judged),
        )
        return
    first = beyond[0]
    broken = [result for point in first.points for result in point.slo if result.met is False]
    lost = next((load for load in beyond if load.slo_met is False), None)
    unknown = [result for point in first.points for result in point.slo if result.met is None]
    up_to = (
        Words("Not even the lightest load meets all limits.", "最小的负载也未满足全部 SLO。")
        if met is None
        else Words(f"All limits are met up to {met.title.en}.", f"直到{met.title.zh} 均满足全部 SLO。")
    )
    if not broken:
        yield Finding(
            key="slo",
            level="warn",
            text=Words(
                f"Whether {first.title.en} meets the limits is not known.",
                f"无法判断{first.title.zh} 是否满足 SLO。",
            ),
            evidence=_readings(first, unknown) if lost is None else _both(first, unknown, lost),
            next_step=Words(
                "send more requests (--num-prompts), or limit a lower percentile",
                "增加 --num-prompts，或限制更低的百分位",
            ),
            picture=_picture(judged),
        )
        return
    yield Finding(
        key="slo",
        level="warn" if met is None else "info",
        text=up_to,
        evidence=_readings(first, broken),
        next_step=None
        if met is None
        else Words(
            "inferometer search --slo finds the load between them",
            "用 inferometer search --slo 在两者之间搜索",
        ),
        picture=_picture(judged),
    )


def _both(first: Load, unknown: Sequence[SloResult], lost: Load) -> Words:
    """What is not known of one load, and what the first load beyond it breaks."""
    broken = [result for point in lost.points for result in point.slo if result.met is False]
    here, there = _readings(first, unknown), _readings(lost, broken)
    return Words(f"{here.en}; not met: {there.en}", f"{here.zh}；未满足：{there.zh}")


def _readings(load: Load, results: Sequence[SloResult]) -> Words:
    """What was measured of limits at a load; of repeats the first of each."""
    first: dict[str, SloResult] = {}
    for result in results:
        first.setdefault(result.slo, result)
    told = ", ".join(
        f"{result.slo}: {quantity(result.measured, result.unit)}"
        if result.measured is not None
        else f"{result.slo}: {result.reason}"
        for result in first.values()
    )
    return Words(f"{load.title.en}: {told}", f"{load.title.zh}：{told}")


def _picture(loads: Sequence[Load]) -> str | None:
    """The picture over the load of the latency that is limited first; of one load alone the one over throughput."""
    latencies = [
        name
        for point in loads[-1].points
        for result in point.slo
        for name in ("ttft", "tpot", "e2el")
        if name in result.slo
    ]
    metric = latencies[0] if latencies else "ttft"
    kind = loads[0].kind
    return f"throughput_{metric}" if len(loads) < 2 or kind == "none" else f"{metric}_over_{kind}"


def _knee(loads: Sequence[Load]) -> Iterator[Finding]:
    """Where the knee is and what lies beyond it; or that throughput still rises."""
    known = [load for load in loads if load.value > 0 and load.reached]
    knee = knee_of(known)
    if knee is not None:
        last = known[-1]
        yield Finding(
            key="knee",
            level="info",
            text=Words(
                f"The knee is at {knee.title.en}: beyond it more load costs more latency than it gains throughput.",
                f"拐点在{knee.title.zh}：此后增加负载，延迟的增长超过吞吐的增长。",
            ),
            evidence=_change(knee, last),
            picture=f"throughput_over_{knee.kind}",
        )
        return
    rise = _rise(known)
    if rise is not None and rise > _RISES:
        yield Finding(
            key="still rising",
            level="info",
            text=Words("Throughput still rises at the heaviest load.", "最大负载下吞吐仍在上升。"),
            evidence=_change(known[-2], known[-1]),
            next_step=Words("measure heavier loads to see where it ends", "测量更大的负载，找到上限"),
            picture=f"throughput_over_{known[-1].kind}",
        )


def _rise(loads: Sequence[Load]) -> float | None:
    """Relative growth of the throughput from the second heaviest load to the heaviest."""
    if len(loads) < 2:
        return None
    key = _TOKENS if loads[-1].figure(_TOKENS) else _RATE
    before, now = (load.figure(key) for load in loads[-2:])
    return now.value / before.value - 1.0 if before and now and before.value > 0 else None


def _change(low: Load, high: Load) -> Words:
    """Throughput and E2EL of two loads, side by side."""
    if low is high:
        return Words("it is the heaviest load", "这是最大的负载")
    told = []
    for key, name, unit in _CHANGES:
        before, now = low.figure(key), high.figure(key)
        if before and now and before.value > 0:
            change = (now.value / before.value - 1.0) * 100.0
            values = f"{number(before.value, 1)} -> {number(now.value, 1)} {unit} ({change:+.1f} %)"
            told.append(Words(f"{name.en} {values}", f"{name.zh} {values}"))
    return Words(
        f"{low.title.en} -> {high.title.en}: {', '.join(each.en for each in told)}",
        f"{low.title.zh} → {high.title.zh}：{'，'.join(each.zh for each in told)}",
    )


def _differing(load: Load) -> Iterator[Finding]:
    """Repeats of a load that disagree by more than both their intervals."""
    row: Row = load.row
    if not row.differing:
        return
    told = ", ".join(
        f"{one.key} {number(one.value)} at repeat {one.repeat}, others {number(one.others)}"
        for one in row.differing[:3]
    )
    yield Finding(
        key="repeats differ",
        level="warn",
        text=Words(
            f"Repeats of {load.title.en} differ by more than chance inside them.",
            f"{load.title.zh} 的重复测量差异超出随机波动。",
        ),
        evidence=Words(told, told),
        next_step=Words(
            "see what differed between them: order, caches, other users of the server",
            "检查各次之间的不同：顺序、缓存、其他用户",
        ),
        picture=None,
    )

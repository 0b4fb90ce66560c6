"""The first screen: can the run be trusted, how fast is the service, where is the knee, up to where are limits kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Final

from inferometer.metrics.capacity import Capacity
from inferometer.metrics.summary import PointSummary, RunSummary
from inferometer.metrics.verdict import Condition
from inferometer.record.prediction import Prediction
from inferometer.report.condition_words import (
    condition_asked,
    condition_figures,
    condition_name,
    condition_step,
)
from inferometer.report.page.model import Block, Card, Cards, Note, Tone, Verdict
from inferometer.report.plots.loads import (
    FEWEST_FOR_KNEE,
    Figure,
    Load,
    families,
    knee_of,
    loads_of,
    met_up_to,
)
from inferometer.report.plots.terms import METRIC_NAMES, load_words
from inferometer.report.search import capacity_interval, capacity_words
from inferometer.report.simulation import told
from inferometer.report.sweep import titled
from inferometer.report.text import count, figure, percent
from inferometer.report.words import Words, same

TONES: Final[dict[str, Tone]] = {"VALID": "good", "WARN": "warn", "INVALID": "bad"}
_TRUST: Final = {
    "VALID": Words("every condition of a trustworthy measurement holds", "可信测量的各项条件均满足"),
    "WARN": Words("to be read with care", "解读时需谨慎"),
    "INVALID": Words("not a measurement of this service", "不能视为对该服务的有效测量"),
}
_OUTPUT, _REQUESTS = "output_throughput_per_s", "request_throughput_per_s"
INTERVAL_NAMES: Final = {
    "repeats": Words("95 % interval over repeats", "重复测量的 95 % 区间"),
    "predicted": Words("90 % prediction interval", "90 % 预测区间"),
    "steady": Words("95 % interval of the steady window", "稳态区间的 95 % 区间"),
    "none": Words("", ""),
}
_UP_TO: Final = Words("SLO met up to", "满足 SLO 的最高负载")
_REASONS_SHOWN = 3
_HIGHEST_FIRST: Final = ("p99.9", "p99", "p95", "p90", "p75", "p50")
_GOOD_SHARE: Final = 0.99


def headline(summary: RunSummary, capacity: Capacity | None = None) -> tuple[Block, ...]:
    """Verdict and cards, and what a simulated or imported run is; ``capacity`` is what a search for it found."""
    cards = tuple(_cards(summary, capacity))
    blocks: list[Block] = [verdict_of(summary)]
    if cards:
        blocks.append(Cards(cards=cards))
    if summary.prediction is not None:
        blocks.append(Note(text=_simulated(summary.prediction), tone="warn"))
    if summary.imported is not None:
        other = summary.imported
        name = " ".join(filter(None, (other.tool, other.version)))
        text = Words(
            f"Measured and reported by {name} ({other.format}); shown as its files say it, by its definitions.",
            f"由 {name} 测量并报告（{other.format}）；按其文件与定义展示。",
        )
        blocks.append(Note(text=text))
    return tuple(blocks)


def _simulated(prediction: Prediction) -> Words:
    method, file = prediction.profile.get("method"), prediction.profile.get("file")
    chinese = f"模拟结果：{prediction.what}；未测量真实服务。"
    if method == "priors":
        chinese += "未经标定：时间由模型规模与设备参数推算。"
    elif file is not None:
        chinese += f"标定方法 {method}：{file}。"
    return Words(" ".join(f"{part[:1].upper()}{part[1:]}." for part in told(prediction)), chinese)


def verdict_of(summary: RunSummary) -> Verdict:
    """The verdict with what does not hold, each condition once; what it means where all holds."""
    word = summary.verdict.word
    reasons = list(_reasons(summary))
    first = _TRUST[word]
    more = len(reasons) - _REASONS_SHOWN
    shown = reasons[:_REASONS_SHOWN]
    if more > 0:
        shown.append(Words(f"{more} more: see the conditions below", f"另有 {more} 项：见下方条件表"))
    return Verdict(word=word, reasons=(first, *shown), tone=TONES[word])


def _reasons(summary: RunSummary) -> Iterator[Words]:
    names = titled([point.load for point in summary.points])
    found: dict[str, list[tuple[str, Condition]]] = {}
    judged = [("", summary.verdict), *zip(names, (p.verdict for p in summary.points), strict=True)]
    several = len(summary.points) > 1
    for name, verdict in judged:
        for condition in verdict.failed:
            found.setdefault(condition.name, []).append((name, condition))
    for places in sorted(found.values(), key=lambda places: places[0][1].level != "hard"):
        yield reason(places[0][1], places[0][0] if several else "", len(places) - 1)


def reason(condition: Condition, where: str = "", more: int = 0) -> Words:
    """A condition that does not hold: asked, measured, limit and next step in one line.

    Args:
        condition: the condition.
        where: title of the load point; empty for the run, or its only load point.
        more: at how many more load points it does not hold.
    """
    measured, limit = condition_figures(condition)
    name, asked, place = condition_name(condition.name), condition_asked(condition), load_words(where)
    english = f"{f'{place.en}: ' if where else ''}{name.en}"
    chinese = f"{f'{place.zh}：' if where else ''}{name.zh}"
    if measured is not None:
        english, chinese = f"{english} {measured.en}", f"{chinese} {measured.zh}"
    if limit is not None:
        english, chinese = f"{english}, limit {limit.en}", f"{chinese}，限值 {limit.zh}"
    if asked.en not in ("", "share"):
        english, chinese = f"{english} ({asked.en})", f"{chinese}（{asked.zh}）"
    if more:
        english += f"; at {more} more load point{'s' if more > 1 else ''} too"
        chinese += f"；另有 {more} 个负载点同样如此"
    step = condition_step(condition)
    if step is not None:
        return Words(f"{english}. Next: {step.en}.", f"{chinese}。下一步：{step.zh}。")
    return Words(f"{english}.", f"{chinese}。")


def _cards(summary: RunSummary, capacity: Capacity | None) -> Iterator[Card]:
    loads = loads_of(summary)
    groups = [group for _, group in families(loads)] if loads else []
    key = _OUTPUT if any(load.figure(_OUTPUT) for load in loads) else _REQUESTS
    known = [(load, found) for load in loads if (found := load.figure(key)) is not None and load.requests]
    if known:
        best, most = max(known, key=lambda pair: pair[1].value)
        yield _throughput(best, most, key)
        only = groups[0] if len(groups) == 1 else []
        kept, knee = met_up_to(only), knee_of(only)
        named = kept or knee or best
        yield from _latencies(named, _why(named, kept, knee, several=len(known) > 1))
        yield from _limits(groups) if capacity is None else _capacity(capacity)
        yield from _knees(groups)
    yield _requests(summary)


def _knees(groups: Sequence[Sequence[Load]]) -> Iterator[Card]:
    """The knee of each family of loads that has one; what is lacking where none has."""
    name = Words("Knee", "拐点")
    found = [knee for group in groups if (knee := knee_of(group)) is not None]
    if found:
        under = Words("highest throughput / mean E2EL", "吞吐 / 平均 E2EL 最大处")
        yield Card(name=name, value=_each(found), under=under)
    elif any(len(group) >= FEWEST_FOR_KNEE for group in groups):
        under = Words("measure higher and lower loads", "请测量更高和更低的负载")
        yield Card(name=name, value=Words("not in this range", "不在此范围内"), under=under)
    elif any(len(group) > 1 for group in groups):
        under = Words(f"{FEWEST_FOR_KNEE} loads or more are needed", f"至少需要 {FEWEST_FOR_KNEE} 个不同负载")
        yield Card(name=name, value=Words("not known", "未知"), under=under)


def _each(found: Sequence[Load]) -> Words:
    """Their titles, which tell lengths and kind where loads of several families differ in them."""
    return Words("; ".join(load.title.en for load in found), "；".join(load.title.zh for load in found))


def _throughput(load: Load, found: Figure, key: str) -> Card:
    tokens = key == _OUTPUT
    name = (
        Words("Highest output throughput", "最高输出吞吐")
        if tokens
        else Words("Highest throughput", "最高吞吐")
    )
    return Card(
        name=name,
        value=same(f"{figure(found.value)} {'tok/s' if tokens else 'req/s'}"),
        under=_under(load, found, None),
    )


def _under(load: Load, found: Figure, why: Words | None) -> Words:
    """The load, why it is this one, the interval, and n."""
    interval = INTERVAL_NAMES[found.interval]
    between = f" {figure(found.low)} – {figure(found.high)}" if found.interval != "none" else ""
    english = [f"at {load.title.en}" + (f" ({why.en})" if why else "")]
    chinese = [load.title.zh + (f"（{why.zh}）" if why else "")]
    if between:
        english.append(interval.en + between)
        chinese.append(interval.zh + between)
    return Words(
        ", ".join([*english, f"n {count(load.requests)}"]), "，".join([*chinese, f"n {count(load.requests)}"])
    )


def _why(named: Load, kept: Load | None, knee: Load | None, *, several: bool) -> Words | None:
    if named is kept:
        return Words("highest within the SLO", "满足 SLO 的最高负载")
    if named is knee:
        return Words("the knee", "拐点")
    return Words("the fastest", "吞吐最高") if several else None


def _latencies(load: Load, why: Words | None) -> Iterator[Card]:
    """Median and highest percentile that the requests can carry, of TTFT and TPOT; of E2EL without a stream."""
    streamed = [name for name in ("ttft", "tpot") if _percentiles(load, name)]
    for metric in streamed or ["e2el"]:
        found = _percentiles(load, metric)
        if not found:
            continue
        names = "/".join(name for name, _ in found)
        values = " / ".join(figure(value.value) for _, value in found)
        name = METRIC_NAMES[metric]
        yield Card(
            name=Words(f"{name.en} {names}", f"{name.zh} {names}"),
            value=same(f"{values} ms"),
            under=_under(load, found[-1][1], why),
        )


def _percentiles(load: Load, metric: str) -> list[tuple[str, Figure]]:
    """The median and the highest percentile that there are requests enough for; the mean where there is neither."""
    found = [
        (name, value) for name in _HIGHEST_FIRST if (value := load.figure(f"{metric}_ms.{name}")) is not None
    ]
    if found:
        return [found[-1], *found[:1]] if len(found) > 1 else found
    mean = load.figure(f"{metric}_ms.mean")
    return [] if mean is None else [("mean", mean)]


def _capacity(found: Capacity) -> Iterator[Card]:
    """The largest load within the limits, as a search found it between and beyond the loads that were measured."""
    tones: dict[str, Tone] = {"found": "good", "bracketed": "good", "at least": "good", "none": "bad"}
    yield Card(
        name=_UP_TO,
        value=capacity_words(found),
        under=capacity_interval(found),
        tone=tones.get(found.status, "warn"),
    )


def _limits(groups: Sequence[Sequence[Load]]) -> Iterator[Card]:
    """Up to which load limits are kept: those on whole load points, and the share of requests within their own."""
    judged = [load for group in groups for load in group if any(point.slo for point in load.points)]
    if judged:
        limits = ", ".join(dict.fromkeys(result.slo for load in judged for result in load.points[0].slo))
        kept = [load for group in groups if (load := met_up_to(group)) is not None]
        missed = all(group[0].slo_met is False for group in groups)
        yield _kept(same(limits), kept, groups) if kept else _none_kept(limits, judged, missed=missed)
    yield from _shares(groups)


def _kept(limits: Words, kept: Sequence[Load], groups: Sequence[Sequence[Load]]) -> Card:
    top = all(load is group[-1] for load, group in zip(kept, groups, strict=False))
    whole = len(kept) == len(groups)
    more = Words(" (the highest measured)", "（已测的最高负载）") if top and whole else Words("", "")
    if not whole:
        more = Words("; others at no load", "；其余任何负载均未确认满足")
    return Card(
        name=_UP_TO,
        value=_each(kept),
        under=Words(limits.en + more.en, limits.zh + more.zh),
        tone="good" if whole else "warn",
    )


def _none_kept(limits: str, judged: Sequence[Load], *, missed: bool) -> Card:
    if missed:
        return Card(
            name=_UP_TO, value=Words("not at any load", "任何负载都不满足"), under=same(limits), tone="bad"
        )
    needs = next((r.reason for load in judged for p in load.points for r in p.slo if r.met is None), "")
    return Card(name=_UP_TO, value=Words("not known", "未知"), under=same(f"{limits}: {needs}"), tone="warn")


def _shares(groups: Sequence[Sequence[Load]]) -> Iterator[Card]:
    """Up to which load 99 % of the requests are within their own limits."""
    shares = [
        [(load, share) for load in group if (share := attainment(load.points)) is not None]
        for group in groups
    ]
    flat = [pair for known in shares for pair in known]
    if not flat:
        return
    limits = " ".join(next(point.goodput.limits for point in flat[0][0].points if point.goodput))
    worst, least = min(flat, key=lambda pair: pair[1])
    under = Words(
        f"{limits}; fewest at {worst.title.en}: {percent(least)}",
        f"{limits}；最低为{worst.title.zh}：{percent(least)}",
    )
    if len(flat) == 1:
        name = Words("Requests within the SLO", "满足 SLO 的请求")
        tone: Tone = "good" if least >= _GOOD_SHARE else "warn"
        yield Card(name=name, value=same(percent(least)), under=same(limits), tone=tone)
        return
    good = [list(takewhile(lambda pair: pair[1] >= _GOOD_SHARE, known)) for known in shares]
    kept = [found[-1][0] for found in good if found]
    value = _each(kept) if kept else Words("not at any load", "任何负载都不满足")
    name = Words("99 % of requests within the SLO up to", "99 % 请求满足 SLO 的最高负载")
    yield Card(
        name=name,
        value=value,
        under=under,
        tone="good" if least >= _GOOD_SHARE else "warn" if kept else "bad",
    )


def attainment(points: Sequence[PointSummary]) -> float | None:
    """Share of requests within their own limits over repeats, the mean; None without such limits."""
    known = [
        p.goodput.attainment for p in points if p.goodput is not None and p.goodput.attainment is not None
    ]
    return sum(known) / len(known) if known else None


def _requests(summary: RunSummary) -> Card:
    ok, failed = (sum(getattr(point.counts, name) for point in summary.points) for name in ("ok", "failed"))
    stated = summary.imported.points if summary.imported is not None else []
    if not ok + failed and stated:
        ok, failed = sum(p.completed or 0 for p in stated), sum(p.failed or 0 for p in stated)
    share = f" ({percent(failed / (ok + failed))})" if failed else ""
    under = Words(f"{count(failed)} failed{share}", f"失败 {count(failed)}{share}")
    others = [
        (sum(point.counts.cut_off for point in summary.points), Words("cut off at the end", "结束时中断")),
        (sum(point.counts.given_up for point in summary.points), Words("given up as asked", "按要求放弃")),
    ]
    for number, what in others:
        if number:
            under = Words(f"{under.en}, {count(number)} {what.en}", f"{under.zh}，{what.zh} {count(number)}")
    return Card(
        name=Words("Requests answered", "成功请求"),
        value=same(count(ok)),
        under=under,
        tone="bad" if failed else "plain",
    )

"""The report of runs as a page: what it says, in which order; ``report.page`` makes it HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from inferometer.metrics.dictionary import METRICS
from inferometer.metrics.summary import RunSummary
from inferometer.metrics.verdict import Word, worst
from inferometer.record.tables import RunRecord
from inferometer.report.findings import Finding, findings
from inferometer.report.page.model import (
    Block,
    Cell,
    Choice,
    Code,
    Head,
    Note,
    Page,
    Picture,
    Section,
    Table,
    Verdict,
)
from inferometer.report.plots.build import Pictures, pictures_of
from inferometer.report.plots.model import Heat, Plot
from inferometer.report.plots.throughput import throughput_latency
from inferometer.report.search import Told
from inferometer.report.sections.headline import TONES, headline, verdict_of
from inferometer.report.sections.measured import environment, measured
from inferometer.report.sections.tables import client, conditions, failures, groups, load_table, steady_blocks
from inferometer.report.text import counted
from inferometer.report.words import Language, Words, same
from inferometer.version import __version__

Run = tuple[RunRecord, RunSummary]
_OF_REQUESTS: Final = ("ttft_over_input", "tpot_over_in_flight")
_SHARES: Final = Words("shares of all", "累积分布")
_TAIL: Final = Words("the tails", "尾部分布")
_POINT: Final = Words("load point", "负载点")
_NO_POINTS: Final = Note(
    text=Words("No load point was measured to its end.", "没有完成测量的负载点。"), tone="bad"
)


def report_page(runs: Sequence[Run], language: Language = "en", answers: Sequence[Told | None] = ()) -> Page:
    """The report of one run, or of several over each other and then one by one.

    Args:
        runs: at least one; records and their summaries.
        language: shown first.
        answers: for each run what a search found; None where it is none.
    """
    found = list(answers) or [None] * len(runs)
    if len(runs) == 1:
        sections = run_sections(*runs[0], found[0])
        title = _title(runs[0][1])
    else:
        sections = (*_together(runs), *_apart(runs, found))
        title = Words(f"{len(runs)} runs", f"{len(runs)} 次运行")
    return Page(
        title=Words(f"{title.en}: inference performance", f"{title.zh}：推理性能报告"),
        subtitle=_subtitle([summary for _, summary in runs]),
        sections=(*sections, glossary([summary for _, summary in runs])),
        simulated=any(summary.simulated for _, summary in runs),
        language=language,
        footer=same(f"Inferometer {__version__} · {', '.join(summary.run_id for _, summary in runs)}"),
    )


def _title(summary: RunSummary) -> Words:
    return same(" · ".join(filter(None, (summary.model or "?", summary.label))))


def _subtitle(summaries: Sequence[RunSummary]) -> Words:
    dates = sorted(summary.created_utc[:16].replace("T", " ") for summary in summaries)
    when = f"{dates[0]} UTC" if len(dates) == 1 else f"{dates[0]} – {dates[-1]} UTC"
    requests = sum(point.counts.records for summary in summaries for point in summary.points)
    points = sum(len(summary.points) for summary in summaries)
    return Words(
        f"{when} · {counted(points, 'load points')} · {counted(requests, 'requests')}",
        f"{when} · {points} 个负载点 · {requests:,} 个请求",
    )


def run_sections(run: RunRecord, summary: RunSummary, answer: Told | None = None) -> tuple[Section, ...]:
    """One run from the answer to its evidence; parts that there is nothing to say of are left out."""
    capacity = None if answer is None else answer.capacity
    pictures = pictures_of(run, summary, capacity)
    overview = _sorted(pictures.overview)
    table = load_table([("", summary)])
    found = findings(summary, run, capacity)
    told = (Code(text="\n".join(answer.lines)),) if answer else ()
    sections = [
        _section("result", Words("Result", "结论"), headline(summary, capacity)),
        _section("measured", Words("What was measured", "测量内容"), measured(run, summary)),
        _section("search", Words("What the search found", "搜索结果"), told),
        _section(
            "loads",
            Words("Throughput and latency", "吞吐与延迟"),
            (*overview["loads"], *((table,) if table else (_NO_POINTS,))),
        ),
        _section("latencies", Words("Distribution of latencies", "延迟分布"), overview["distributions"]),
        _section("findings", Words("Findings", "发现"), tuple(_finding(each, pictures) for each in found)),
        _section("timelines", Words("Over time", "随时间变化"), _of_points(pictures, "timelines")),
        _section(
            "lengths",
            Words("What lengths cost", "长度的代价"),
            (*overview["lengths"], *_of_points(pictures, "lengths")),
        ),
        _section("groups", Words("Servers, turns and models", "服务端、轮次与模型"), tuple(groups(summary))),
        _section("failures", Words("Failures", "失败请求"), failures(summary)),
        _section("steady", Words("Steady window", "稳态区间"), steady_blocks(summary)),
        _section(
            "client",
            Words("The load generator", "负载发生器"),
            (*client(summary), *_of_points(pictures, "client")),
        ),
        _section(
            "conditions", Words("Conditions of the verdict", "可信度条件"), _conditions(summary), folded=True
        ),
        _section(
            "environment",
            Words("Environment and notes", "环境与备注"),
            environment(run, summary),
            folded=True,
        ),
    ]
    return tuple(section for section in sections if section.blocks)


def _section(key: str, title: Words, blocks: Sequence[Block], *, folded: bool = False) -> Section:
    return Section(key=key, title=title, blocks=tuple(blocks), folded=folded)


def _conditions(summary: RunSummary) -> tuple[Block, ...]:
    table = conditions(summary)
    return () if table is None else (table,)


def _sorted(plots: Sequence[Plot]) -> dict[str, tuple[Block, ...]]:
    """Pictures of the whole run by the section that they belong to; distributions and their tails take turns."""
    parts: dict[str, list[Block]] = {"loads": [], "cdf": [], "tail": [], "lengths": []}
    for plot in plots:
        ending = plot.key.rpartition("_")[2]
        of_requests = isinstance(plot, Heat) or plot.key.startswith(_OF_REQUESTS)
        parts[ending if ending in parts else "lengths" if of_requests else "loads"].append(Picture(plot=plot))
    views = [(name, tuple(parts.pop(key))) for key, name in (("cdf", _SHARES), ("tail", _TAIL))]
    shown = tuple(view for view in views if view[1])
    distributions = shown[0][1] if len(shown) == 1 else ()
    if len(shown) > 1:
        distributions = (Choice(key="latencies-view", name=Words("view", "视图"), options=shown),)
    return {name: tuple(blocks) for name, blocks in parts.items()} | {"distributions": distributions}


def _of_points(pictures: Pictures, part: str) -> tuple[Block, ...]:
    """Pictures of single load points that belong to a part of the page, one load point at a time."""
    drawn = [(point.load, _part_of(point.plots, part)) for point in pictures.points]
    options = tuple((name, blocks) for name, blocks in drawn if blocks)
    if len(options) < 2:
        return options[0][1] if options else ()
    return (Choice(key=f"{part}-of", name=_POINT, options=options, first=len(options) - 1),)


def _part_of(plots: Sequence[Plot], part: str) -> tuple[Picture, ...]:
    starts = ("lengths_", "client_")
    wanted = [plot for plot in plots if (plot.key.startswith(starts) and plot.key.startswith(f"{part}_"))]
    if part == "timelines":
        wanted = [plot for plot in plots if not plot.key.startswith(starts)]
    return tuple(Picture(plot=plot, wide=part == "timelines") for plot in wanted)


def _finding(finding: Finding, pictures: Pictures) -> Note:
    drawn = {
        plot.key for plot in (*pictures.overview, *(p for point in pictures.points for p in point.plots))
    }
    tones = {"info": "plain", "warn": "warn", "bad": "bad"}
    return Note(
        text=finding.text,
        tone=tones[finding.level],  # type: ignore[arg-type]
        evidence=finding.evidence,
        next_step=finding.next_step,
        link=finding.picture if finding.picture in drawn else None,
    )


def _together(runs: Sequence[Run]) -> Iterator[Section]:
    """All runs in the same pictures, and in one table."""
    names = run_names([summary for _, summary in runs])
    named = [(name, summary) for name, (_, summary) in zip(names, runs, strict=True)]
    words: list[Word] = [summary.verdict.word for _, summary in runs]
    reasons = tuple(_judged(name, summary) for name, summary in named)
    word = worst(words)
    yield _section(
        "result", Words("Result", "结论"), (Verdict(word=word, reasons=reasons, tone=TONES[word]),)
    )
    table = load_table(named)
    drawn = tuple(Picture(plot=plot) for plot in throughput_latency(named))
    blocks: tuple[Block, ...] = (*drawn, *((table,) if table else (_NO_POINTS,)))
    yield _section("loads", Words("Throughput and latency", "吞吐与延迟"), blocks)


def _judged(name: str, summary: RunSummary) -> Words:
    """A run's verdict with its first reason, which is what the verdict means where every condition holds."""
    means, *reasons = verdict_of(summary).reasons
    first = reasons[0] if reasons else means
    word = summary.verdict.word
    return Words(f"{name}: {word}: {first.en}", f"{name}：{word}：{first.zh}")


def run_names(summaries: Sequence[RunSummary]) -> list[str]:
    """What tells runs apart, the shortest: label, model, else the run's name."""
    for names in (
        [summary.label for summary in summaries],
        [summary.model for summary in summaries],
        [" ".join(filter(None, (summary.model, summary.label))) for summary in summaries],
    ):
        if all(names) and len(set(names)) == len(names):
            return names
    return [summary.run_id for summary in summaries]


def _apart(runs: Sequence[Run], answers: Sequence[Told | None]) -> Iterator[Section]:
    """Each run folded, its parts to choose from; keys are unique on the page."""
    names = run_names([summary for _, summary in runs])
    for place, (name, (run, summary), answer) in enumerate(zip(names, runs, answers, strict=True), start=1):
        prefix = f"run{place}-"
        options = tuple(
            (section.title, tuple(_renamed(block, prefix) for block in section.blocks))
            for section in run_sections(run, summary, answer)
        )
        choice = Choice(key=f"{prefix}parts", name=Words("part", "部分"), options=options)
        yield _section(
            f"run{place}", Words(f"Run {place}: {name}", f"运行 {place}：{name}"), (choice,), folded=True
        )


def _renamed(block: Block, prefix: str) -> Block:
    """The same block with keys of its own, so that several runs can stand on one page."""
    if isinstance(block, Picture):
        plot = block.plot
        link = getattr(plot, "link", None)
        changes = {"key": prefix + plot.key} | ({"link": prefix + link} if link else {})
        return msgspec.structs.replace(block, plot=msgspec.structs.replace(plot, **changes))
    if isinstance(block, Choice):
        options = tuple(
            (name, tuple(_renamed(each, prefix) for each in inside)) for name, inside in block.options
        )
        return msgspec.structs.replace(block, key=prefix + block.key, options=options)
    if isinstance(block, Table):
        return msgspec.structs.replace(block, key=prefix + block.key)
    if isinstance(block, Note) and block.link:
        return msgspec.structs.replace(block, link=prefix + block.link)
    return block


def glossary(summaries: Sequence[RunSummary]) -> Section:
    """The metrics that the page shows, by the dictionary: formula, unit, what to know."""
    shown = {
        key for summary in summaries for point in summary.points for key in (*point.stats, *point.values)
    }
    others = [point for summary in summaries if summary.imported for point in summary.imported.points]
    shown |= {key for point in others for key in (*point.stats, *point.values)}
    head = tuple(
        Head(name, number=False)
        for name in (
            Words("metric", "指标"),
            Words("unit", "单位"),
            Words("formula", "公式"),
            Words("to know", "说明"),
        )
    )
    rows = tuple(
        (Cell(same(m.label)), Cell(same(m.unit)), Cell(same(m.formula)), Cell(same(m.notes)))
        for m in METRICS.values()
        if m.key in shown or not shown
    )
    about = Words(
        "Also: inferometer metrics explain NAME. n = output tokens of a request, t0 = when it was planned, or sent.",
        "另见：inferometer metrics explain NAME。n = 请求的输出 token 数，t0 = 计划时刻或发送时刻。",
    )
    table = Table(key="glossary-table", head=head, rows=rows, note=about)
    return Section(key="glossary", title=Words("Glossary", "术语与公式"), blocks=(table,), folded=True)

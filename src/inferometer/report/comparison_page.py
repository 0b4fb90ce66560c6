"""A comparison as a page: the answer first, then what was changed, a forest of changes, curves and tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from inferometer.metrics.comparing.compare import Comparison, LoadComparison, Pair
from inferometer.metrics.comparing.effects import Effect
from inferometer.metrics.comparing.gate import Difference
from inferometer.metrics.comparing.names import formula_of
from inferometer.metrics.summary import RunSummary
from inferometer.report.comparison import (
    HEADER,
    cells,
    change,
    decisive,
    figure_title,
    headline,
    interval,
    loads_titled,
    next_steps,
    shown,
    side_words,
    undecided,
    value,
)
from inferometer.report.page.model import (
    Block,
    Cell,
    Facts,
    Head,
    Note,
    Page,
    Picture,
    Section,
    Table,
    Tone,
    Verdict,
)
from inferometer.report.plots.model import Axis, Chart, Forest, ForestRow, Role, Series
from inferometer.report.plots.throughput import throughput_latency
from inferometer.report.words import Language, Words, same
from inferometer.version import __version__

_WORDS = {
    "better": Words("better", "更好"),
    "worse": Words("worse", "更差"),
    "same": Words("same", "相同"),
    "unsure": Words("unsure", "不确定"),
    "absent": Words("not known of both", "仅一方有"),
}
_MIXED = Words("MIXED", "有好有坏")
_TONES: dict[str, Tone] = {
    "better": "good",
    "worse": "bad",
    "same": "plain",
    "unsure": "warn",
    "absent": "plain",
}
_HEADS = (
    Words("metric", "指标"), same("{a}"), same("{b}"), Words("change", "变化"), same("95 % CI"), same("p"), same("n"),
    Words("verdict", "结论"),
)  # fmt: skip
_ABOUT_P = Words(
    "exact Mann-Whitney over the repeats, two-sided; with 3+3 it cannot fall below 0.1",
    "对重复测量做精确 Mann-Whitney 双侧检验；3+3 次时不可能低于 0.1",
)
_ROLES: tuple[Role, ...] = ("main", "second", "third")
_FAR = 2.0  # a change of more than +200 % would press all others together
_AXES = {
    "max_concurrency": Words("concurrency", "并发数"),
    "request_rate": Words("request rate", "请求速率"),
}


def comparison_page(
    comparison: Comparison, summaries: Sequence[tuple[str, RunSummary]] = (), language: Language = "en"
) -> Page:
    """The page.

    Args:
        comparison: what was found.
        summaries: letter of a side, and the summary of its runs (of imported ones the first), for the curves of
            throughput over latency.
        language: shown first.
    """
    sections = [_answer(comparison)]
    for pair in comparison.pairs:
        sections += _of_pair(pair, comparison)
    front: tuple[Block, ...] = ()
    if len(summaries) > 1:
        front = tuple(Picture(plot=chart) for chart in throughput_latency(summaries))
    if front:
        front += tuple(_first_alone(comparison, summaries))
        sections.append(
            Section(key="front", title=Words("Throughput against latency", "吞吐与延迟"), blocks=front)
        )
    names = " / ".join(side.label or side.letter for side in comparison.sides)
    return Page(
        title=Words(f"Comparison: {names}", f"对比：{names}"),
        subtitle=same(" · ".join(dict.fromkeys(side.model for side in comparison.sides if side.model))),
        sections=tuple(sections),
        simulated=comparison.simulated,
        language=language,
        footer=same(f"inferometer {__version__} · {comparison.schema}"),
    )


def _first_alone(comparison: Comparison, summaries: Sequence[tuple[str, RunSummary]]) -> Iterator[Note]:
    """Which run of a side the curves are of, where they are not of all its runs."""
    runs = {side.letter: side.runs for side in comparison.sides}
    for letter, summary in summaries:
        if len(runs[letter]) > 1 and summary.imported is not None:
            told, count = summary.run_id, len(runs[letter])
            yield Note(
                text=Words(
                    f"Side {letter} is drawn by one of its {count} runs, {told}: imported runs are not put together.",
                    f"{letter} 侧的曲线只取其 {count} 次运行之一：{told}（导入的运行不合并）。",
                )
            )


def _answer(comparison: Comparison) -> Section:
    sides = Facts(facts=tuple((same(side.letter), same(side_words(side))) for side in comparison.sides))
    steps = [
        Words(step, _needs_zh(*found))
        for step, found in zip(next_steps(comparison), undecided(comparison), strict=True)
    ]
    notes = tuple(Note(text=text) for text in (*map(same, comparison.notes), *steps))
    return Section(
        key="answer",
        title=Words("Is the difference real?", "差异是真实的吗？"),
        blocks=(_verdict(comparison), sides, *notes),
    )


def _needs_zh(pair: Pair, title: str, effect: Effect) -> str:
    """A line of ``next_steps`` in Chinese."""
    tell = ""
    if effect.repeats_to_tell is not None:
        tell = f"；要确认 {change(effect.delta, effect.figure)} 不是偶然，需 {effect.repeats_to_tell:,} 次"
    spread = 0.0 if effect.spread is None else effect.spread * 100
    return (
        f"{pair.a} → {pair.b} {effect.figure.title}{f'（{title}）' if title else ''}：要精确到 "
        f"±{effect.aim * 100:.3g} %，每侧需重复 {effect.repeats_needed:,} 次{tell}"
        f"（各次测量间的标准差约 {spread:.2g} %）"
    )


def _verdict(comparison: Comparison) -> Verdict:
    if not comparison.comparable:
        unequal = [f"{p.a} → {p.b}: {d}" for p in comparison.pairs for d in p.gate.unequal]
        return Verdict(word="NOT COMPARABLE", reasons=tuple(map(same, unequal)), tone="bad")
    reasons = tuple(_sentence(pair, each) for pair, each in decisive(comparison))
    word = headline(comparison)
    if word == "mixed":
        return Verdict(word=_MIXED, reasons=reasons, tone="warn")
    return Verdict(word=word.upper(), reasons=reasons, tone=_TONES[word])


def _sentence(pair: Pair, effect: Effect) -> Words:
    load = next((title for title, load in loads_titled(pair) if any(e is effect for e in load.effects)), "")
    where = f" ({load})" if load else ""
    values = f"{value(effect.a.value, effect.figure)} → {value(effect.b.value, effect.figure)}"
    row = cells(effect)
    told = f"{pair.a} → {pair.b} {figure_title(effect.figure)}{where}"
    figures = f"{values}, {row[3]} {interval(effect)}"
    return Words(f"{told}: {row[7]}, {figures}", f"{told}：{_WORDS[effect.word].zh}，{figures}")


def _of_pair(pair: Pair, comparison: Comparison) -> Iterator[Section]:
    key = f"{pair.a}-{pair.b}".lower()
    gate: list[Block] = []
    for name, title, differences in (
        ("changed", Words("changed on purpose", "有意改变的"), pair.gate.changed),
        ("unequal", Words("not equal, though it should be", "本应相同却不同的"), pair.gate.unequal),
    ):
        if differences:
            gate.append(_differences(f"{key}-{name}", title, differences, pair))
    if pair.gate.equal:
        gate.append(Facts(facts=tuple((same(name), same(text)) for name, text in pair.gate.equal)))
    if gate:
        yield Section(
            key=f"{key}-gate", title=Words(f"{pair.a} → {pair.b}: what differs", f"{pair.a} → {pair.b}：差别"),
            blocks=tuple(gate), folded=not pair.gate.unequal,
        )  # fmt: skip
    if not comparison.comparable:
        return
    blocks: list[Block] = []
    for place, (where, load) in enumerate(loads_titled(pair)):
        blocks += _load(f"{key}-{place}", where, load, pair)
    blocks += _over_load(key, pair)
    for note in pair.notes:
        blocks.append(Note(text=same(note)))
    yield Section(
        key=key,
        title=Words(f"{pair.a} → {pair.b}: each figure", f"{pair.a} → {pair.b}：各项指标"),
        blocks=tuple(blocks),
    )


def _differences(key: str, title: Words, differences: Sequence[Difference], pair: Pair) -> Table:
    return Table(
        key=key,
        head=(Head(title, number=False), Head(same(pair.a), number=False), Head(same(pair.b), number=False)),
        rows=tuple(tuple(Cell(same(text)) for text in (d.name, d.a, d.b)) for d in differences),
    )


def _load(key: str, title: str, load: LoadComparison, pair: Pair) -> Iterator[Block]:
    effects = [each for each in load.effects if each.word != "absent"]
    usual = shown(effects)
    caption = same(title) if title else Words("figures", "指标")
    if usual:
        yield Picture(plot=_forest(f"{key}-forest", title, usual, pair), wide=True)
        yield _table(f"{key}-table", effects, pair, caption)


def _forest(key: str, title: str, effects: Sequence[Effect], pair: Pair) -> Forest:
    ratios = [each for each in effects if not each.figure.absolute]
    beyond = [e for e in ratios if e.delta is not None and abs(e.delta) > _FAR and e.delta > 0.0]
    beyond = beyond if len(beyond) < len(ratios) else []
    rows = tuple(_row(each) for each in ratios if each not in beyond)
    told = ", ".join(f"{each.figure.title} {cells(each)[3]}" for each in beyond)
    where = (f" at {title}", f"（{title}）") if title else ("", "")
    return Forest(
        key=key,
        title=Words(
            f"By how much does {pair.b} differ from {pair.a}{where[0]}?",
            f"{pair.b} 相对 {pair.a} 变化多少？{where[1]}",
        ),
        x=Axis(Words("change", "变化"), "%"),
        rows=rows,
        threshold=100.0 * max((e.threshold for e in ratios), default=0.0),
        n=max(min(len(e.a.values), len(e.b.values)) for e in effects),
        of=Words("repeats a side at least", "次重复（每侧至少）"),
        note=Words(
            "* decides. Bars: 95 % interval." + (f" Beyond the picture: {told}." if told else ""),
            "* 为判定指标。线段：95 % 置信区间。" + (f"超出图幅：{told}。" if told else ""),
        ),
    )


def _row(effect: Effect) -> ForestRow:
    return ForestRow(
        name=same(effect.figure.title + (" *" if effect.primary else "")),
        middle=_percent(effect.delta),
        low=_percent(effect.low),
        high=_percent(effect.high),
        word=effect.word,
        text=f"{value(effect.a.value, effect.figure)} → {value(effect.b.value, effect.figure)}, "
        f"n {len(effect.a.values)}+{len(effect.b.values)}",
    )


def _table(key: str, effects: Sequence[Effect], pair: Pair, caption: Words) -> Table:
    head = tuple(
        Head(
            Words(*(text.format(a=pair.a, b=pair.b) for text in words)),
            number=plain not in ("metric", "verdict"),
            about=_ABOUT_P if plain == "p" else None,
        )
        for words, plain in zip(_HEADS, HEADER, strict=True)
    )
    rows = []
    for each in effects:
        row = cells(each)
        formula = formula_of(each.figure)
        first = Cell(same(row[0]), title=same(formula) if formula else None)
        rest = row[7].removeprefix(each.word)
        word = Words(*(text + rest for text in _WORDS[each.word]))
        rows.append((first, *(Cell(same(text)) for text in row[1:7]), Cell(word, tone=_TONES[each.word])))
    return Table(key=key, head=head, rows=tuple(rows), caption=caption)


def _over_load(key: str, pair: Pair) -> Iterator[Block]:
    axis = next(
        (name for name in _AXES if len({load.load.get(name) for load in pair.loads} - {None, "inf"}) > 1),
        None,
    )
    if axis is not None:
        figures = dict.fromkeys(e.figure for load in pair.loads for e in load.effects if e.primary)
        for figure in figures:
            chart = _course(f"{key}-{figure.name}", pair, axis, figure.key)
            if chart is not None:
                yield Picture(plot=chart)
    for name, title, effects in (
        ("curves", Words("over load", "随负载"), pair.curves),
        ("means", Words("geometric mean over the loads", "各负载的几何平均"), pair.means),
    ):
        known = [each for each in effects if each.word != "absent"]
        if known:
            yield _table(f"{key}-{name}", known, pair, title)


def _course(key: str, pair: Pair, axis: str, figure: str) -> Chart | None:
    """One figure of both sides over load, the bars from the lowest to the highest repeat."""
    points = [
        (float(load.load[axis]), each)
        for load in pair.loads
        for each in load.effects
        if each.figure.key == figure and each.delta is not None and load.load.get(axis) not in (None, "inf")
    ]
    if len(points) < 2:
        return None
    points.sort(key=lambda point: point[0])
    kind = points[0][1].figure
    series = []
    for letter, role, side in ((pair.a, _ROLES[0], "a"), (pair.b, _ROLES[1], "b")):
        own = [getattr(each, side) for _, each in points]
        series.append(
            Series(
                name=same(letter),
                x=np.array([load for load, _ in points]),
                y=np.array([one.value for one in own]),
                low=np.array([min(one.values) for one in own]),
                high=np.array([max(one.values) for one in own]),
                draw="line-points",
                role=role,
            )
        )
    loads = [load for load, _ in points]
    return Chart(
        key=key,
        title=Words(f"{kind.title} over load", f"{kind.title} 随负载的变化"),
        x=Axis(
            _AXES[axis],
            "" if axis == "max_concurrency" else "req/s",
            "log" if loads[-1] > 8 * loads[0] > 0 else "linear",
        ),
        y=Axis(same(kind.title), kind.unit),
        series=tuple(series),
        n=len(points),
        of=Words("loads", "个负载"),
        note=Words("Bars: lowest to highest repeat.", "线段：重复测量的最小到最大值。"),
    )


def _percent(share: float | None) -> float | None:
    return None if share is None or math.isinf(share) else share * 100.0

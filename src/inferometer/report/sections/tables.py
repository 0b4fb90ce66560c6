"""Tables of the report page: load points, steady window, failures, client, conditions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from inferometer.metrics.client_health import Lag, WorkerHealth
from inferometer.metrics.percentiles import Stat
from inferometer.metrics.steady import Phase, Rate
from inferometer.metrics.summary import PointSummary, RunSummary
from inferometer.metrics.verdict import Condition, worst
from inferometer.report.condition_words import (
    condition_asked,
    condition_figures,
    condition_name,
    condition_step,
    no_window,
)
from inferometer.report.findings import reading_step, reading_words
from inferometer.report.page.model import Block, Cell, Head, Note, Table, Tone
from inferometer.report.plots.loads import Figure, Load, loads_of
from inferometer.report.plots.terms import METRIC_NAMES, point_names
from inferometer.report.sections.headline import INTERVAL_NAMES, TONES, attainment
from inferometer.report.text import count, figure, percent, quantity
from inferometer.report.words import Words, same

LOAD: Final = Head(Words("load", "负载"), number=False)
_MET: Final[dict[bool | None, tuple[Words, Tone]]] = {
    True: (Words("✓ met", "✓ 满足"), "good"),
    False: (Words("✗ not met", "✗ 不满足"), "bad"),
    None: (Words("? not known", "? 未知"), "warn"),
}
_KINDS: Final = {"turn": Words("turn", "轮次"), "model": Words("model", "模型")}
_EMPTY: Final = Cell(same(""))
_RATES: Final = (
    (
        "request_throughput_per_s",
        Words("req/s", "请求/s"),
        Words("successful requests per second", "每秒成功请求数"),
    ),
    (
        "output_throughput_per_s",
        Words("out tok/s", "输出 tok/s"),
        Words("output tokens per second", "每秒输出 token"),
    ),
    (
        "total_throughput_per_s",
        Words("total tok/s", "总 tok/s"),
        Words("prompts and answers", "输入与输出合计"),
    ),
)


def load_table(runs: Sequence[tuple[str, RunSummary]]) -> Table | None:
    """A row for each load, repeats together; with the run's name in front where there are several runs."""
    loads = [(name, summary, load) for name, summary in runs for load in loads_of(summary)]
    if not loads:
        return None
    found = [load for _, _, load in loads]
    latencies = _latencies(found, [f"p{p:g}" for p in loads[0][1].percentiles])
    rates = [rate for rate in _RATES if any(load.figure(rate[0]) for load in found)]
    judged = any(point.slo or point.goodput for load in found for point in load.points)
    several = len(runs) > 1
    head = [*([Head(Words("run", "运行"), number=False)] if several else []), LOAD]
    head += [Head(Words("verdict", "可信度"), number=False)]
    head += [Head(Words("SLO", "SLO"), number=False)] if judged else []
    head += [Head(same("n"), about=Words("successful requests of all repeats", "全部重复测量中成功的请求"))]
    head += [Head(Words("failed", "失败")), *(Head(name, about=about) for _, name, about in rates)]
    head += [Head(same(f"{metric.upper()} {p} ms"), about=METRIC_NAMES[metric]) for metric, p in latencies]
    rows = []
    for name, summary, load in loads:
        row = [*([Cell(same(name))] if several else []), Cell(load.title), _verdict(load, summary)]
        row += [*([_slo(load)] if judged else []), *_counts(load)]
        row += [_figure(load.figure(key)) for key, _, _ in rates]
        rows.append((*row, *(_latency(load, metric, p) for metric, p in latencies)))
    note = Words(
        "Point at a number for its interval; n/a: too few requests for the percentile (ten beyond it are needed).",
        "指向数值可见其区间；n/a：请求不足以支持该百分位（其外至少需 10 个）。",
    )
    return Table(key="load-table", head=tuple(head), rows=tuple(rows), note=note)


def _latencies(loads: Sequence[Load], percentiles: Sequence[str]) -> list[tuple[str, str]]:
    """Metric and statistic of each column: E2EL without a stream, the mean where nothing else is told."""
    streamed = [m for m in ("ttft", "tpot") if any(_known(load, m) for load in loads)]
    found = []
    for metric in streamed or ["e2el"]:
        shown = [p for p in percentiles if any(load.figure(f"{metric}_ms.{p}") for load in loads)]
        if not shown and any(load.figure(f"{metric}_ms.mean") for load in loads):
            shown = ["mean"]
        found += [(metric, p) for p in shown]
    return found


def _known(load: Load, metric: str) -> bool:
    return any(load.figure(f"{metric}_ms.{statistic}") for statistic in ("mean", "p50", "p99"))


def _counts(load: Load) -> list[Cell]:
    failed = sum(point.counts.failed for point in load.points) or (
        load.stated.failed or 0 if load.stated else 0
    )
    repeats = len(load.points)
    times = Words(f"{repeats} repeats", f"重复 {repeats} 次") if repeats > 1 else None
    return [
        Cell(same(count(load.requests)), title=times),
        Cell(same(count(failed)), tone="bad" if failed else "plain"),
    ]


def _figure(found: Figure | None) -> Cell:
    if found is None:
        return Cell(same("n/a"))
    if found.interval == "none":
        return Cell(same(figure(found.value)))
    interval = INTERVAL_NAMES[found.interval]
    between = f"{figure(found.low)} – {figure(found.high)}"
    title = Words(f"{interval.en} {between}", f"{interval.zh} {between}")
    if found.interval == "repeats":
        return Cell(same(f"{figure(found.value)} ±{figure((found.high - found.low) / 2)}"), title=title)
    return Cell(same(figure(found.value)), title=title)


def _latency(load: Load, metric: str, statistic: str) -> Cell:
    found = load.figure(f"{metric}_ms.{statistic}")
    if found is not None or not load.points:
        return _figure(found)
    stat = load.points[0].stats.get(f"{metric}_ms")
    needs = None if stat is None else stat.needs.get(statistic)
    title = None if needs is None else Words(f"needs {count(needs)} requests", f"需要 {count(needs)} 个请求")
    return Cell(same("n/a"), title=title)


def _slo(load: Load) -> Cell:
    results = [result for point in load.points for result in point.slo]
    share = attainment(load.points)
    if results:
        told = (
            f"{r.slo}: {quantity(r.measured, r.unit)}{f', {r.reason}' if r.reason else ''}" for r in results
        )
        why = "; ".join(dict.fromkeys(told))
        text, tone = _MET[load.slo_met]
        if share is not None:
            text = Words(f"{text.en}, {percent(share)} of requests", f"{text.zh}，{percent(share)} 请求")
        return Cell(text, title=same(why), tone=tone)
    if share is None:
        return _EMPTY
    limits = next((point.goodput.limits for point in load.points if point.goodput), [])
    return Cell(
        Words(f"{percent(share)} of requests", f"{percent(share)} 请求"), title=same(" ".join(limits))
    )


def _verdict(load: Load, summary: RunSummary) -> Cell:
    word = worst([point.verdict.word for point in load.points]) if load.points else summary.verdict.word
    failed = dict.fromkeys(c.name for point in load.points for c in point.verdict.failed)
    return Cell(same(word), title=same(", ".join(failed)) if failed else None, tone=TONES[word])


def steady_blocks(summary: RunSummary) -> tuple[Block, ...]:
    """Rates while the load was held beside those of the whole load point, or why there is no such time."""
    head = (
        LOAD,
        Head(Words("window s", "区间 s")),
        Head(Words("req/s", "请求/s")),
        Head(Words("out tok/s", "输出 tok/s")),
        Head(
            Words("95 %", "95 %"), about=Words("half of the interval, as share of the rate", "区间半宽占比")
        ),
        Head(Words("whole run tok/s", "全程 tok/s")),
        Head(
            Words("ramp", "爬升"),
            about=Words("tok/s before it (share of requests)", "之前的 tok/s（请求占比）"),
        ),
        Head(
            Words("tail", "收尾"),
            about=Words("tok/s after it (share of requests)", "之后的 tok/s（请求占比）"),
        ),
        Head(Words("drift", "漂移"), about=Words("change of the rate over the window", "区间内速率的变化")),
        Head(Words("more requests for ±2 %", "达到 ±2 % 还需请求")),
    )
    named = list(zip(point_names(summary.points), summary.points, strict=True))
    rows = tuple(_steady_row(name, point) for name, point in named if point.steady and point.steady.window)
    blocks: list[Block] = [Table(key="steady-table", head=head, rows=rows)] if rows else []
    for name, point in named:
        steady = point.steady
        if steady is None or (steady.window is None and not steady.reason):
            continue
        if steady.window is None:
            why = no_window(steady.reason)
            text = Words(f"{name.en}: no steady window: {why.en}", f"{name.zh}：无稳态区间：{why.zh}")
            blocks.append(
                Note(text=text, next_step=no_window(steady.next_step) if steady.next_step else None)
            )
        elif steady.left_out:
            text = Words(
                f"{name.en}: full load but another level of throughput: {steady.left_out}",
                f"{name.zh}：满负载但吞吐水平不同：{steady.left_out.replace(' at ', '：')}",
            )
            blocks.append(Note(text=text, tone="warn"))
    return tuple(blocks)


def _steady_row(name: Words, point: PointSummary) -> tuple[Cell, ...]:
    steady = point.steady
    assert steady is not None
    assert steady.window is not None
    phases = {phase.name: phase for phase in steady.phases}
    drift = "n/a" if steady.drift is None else f"{steady.drift.change * 100:+.1f} %"
    texts = (
        f"{steady.window.start_s:,.1f} – {steady.window.end_s:,.1f}",
        _per_s(steady.request_throughput),
        _per_s(steady.output_throughput),
        _width(steady.output_throughput),
        figure(point.values.get("output_throughput_per_s")),
        _phase(phases.get("ramp")),
        _phase(phases.get("tail")),
    )
    needs = "n/a" if steady.needs_requests is None else count(steady.needs_requests)
    tone: Tone = "warn" if steady.drifts else "plain"
    return (
        Cell(name),
        *(Cell(same(text)) for text in texts),
        Cell(same(drift), tone=tone),
        Cell(same(needs)),
    )


def _per_s(rate: Rate | None) -> str:
    return figure(None if rate is None else rate.per_s)


def _width(rate: Rate | None) -> str:
    precision = None if rate is None else rate.precision
    if precision is None:
        return "n/a"
    return f"±{percent(precision)}" if precision >= 0.001 else "±<0.1 %"


def _phase(phase: Phase | None) -> str:
    return "" if phase is None else f"{figure(phase.output_tokens_per_s)} ({percent(phase.share)})"


def failures(summary: RunSummary) -> tuple[Block, ...]:
    """Failures that read alike together, most frequent first, with the first of each; what they mean."""
    names = point_names(summary.points)
    groups = [
        (name, error)
        for name, point in zip(names, summary.points, strict=True)
        for error in point.counts.errors
    ]
    if not groups:
        return ()
    head = (
        LOAD,
        Head(Words("count", "次数")),
        Head(Words("how it ended", "结束方式"), number=False),
        Head(Words("first example", "首个示例"), number=False),
        Head(Words("first request", "首个请求")),
    )
    rows = [
        (
            Cell(name),
            Cell(same(count(error.count))),
            Cell(same(error.status + ("" if error.http_status is None else f" {error.http_status}"))),
            Cell(same(error.example or "")),
            Cell(same(str(error.first_request))),
        )
        for name, error in sorted(groups, key=lambda pair: -pair[1].count)
    ]
    blocks: list[Block] = [Table(key="failure-table", head=head, rows=tuple(rows))]
    seen = set()
    for point in summary.points:
        for reading in point.failures:
            if (reading.status, reading.http_status) not in seen:
                seen.add((reading.status, reading.http_status))
                blocks.append(Note(text=reading_words(reading), next_step=reading_step(reading), tone="bad"))
    return tuple(blocks)


def conditions(summary: RunSummary) -> Table | None:
    """Every condition of the verdict: asked, measured, limit; those that do not hold first."""
    names = point_names(summary.points)
    judged = [(same(""), c) for c in summary.verdict.conditions]
    judged += [
        (name, c) for name, point in zip(names, summary.points, strict=True) for c in point.verdict.conditions
    ]
    if not judged:
        return None
    order = {False: 0, None: 1, True: 2}
    judged.sort(key=lambda pair: order[pair[1].ok])
    head = (
        Head(Words("condition", "条件"), number=False),
        LOAD,
        Head(Words("holds", "是否满足"), number=False),
        Head(Words("level", "级别"), number=False),
        Head(Words("asked", "要求"), number=False),
        Head(Words("measured", "实测")),
        Head(Words("limit", "限值")),
    )
    return Table(key="condition-table", head=head, rows=tuple(_condition(name, c) for name, c in judged))


def _condition(name: Words, condition: Condition) -> tuple[Cell, ...]:
    hard = condition.level == "hard"
    holds = {
        True: Cell(Words("✓ yes", "✓ 是"), tone="good"),
        False: Cell(Words("✗ no", "✗ 否"), tone="bad" if hard else "warn"),
        None: Cell(Words("? not known", "? 未知")),
    }[condition.ok]
    texts = (condition_asked(condition), *condition_figures(condition))
    return (
        Cell(condition_name(condition.name), title=condition_step(condition)),
        Cell(name),
        holds,
        Cell(Words("hard", "必须") if hard else Words("warning", "警告")),
        *(_EMPTY if text is None else Cell(text) for text in texts),
    )


def client(summary: RunSummary) -> tuple[Block, ...]:
    """How each worker of the load generator did at each load point; empty where no client sent anything."""
    names = point_names(summary.points)
    rows = [
        _worker(name, worker)
        for name, point in zip(names, summary.points, strict=True)
        for worker in point.client.each
    ]
    if not rows:
        return ()
    three = Words("p50 / p99 / max", "p50 / p99 / 最大")
    head = (
        LOAD,
        Head(Words("worker", "进程")),
        Head(Words("CPU", "CPU"), about=Words("of one core", "占一个核")),
        Head(Words("waited for a core", "等待 CPU")),
        Head(Words("send lag ms", "发送滞后 ms"), about=three),
        Head(Words("receive lag ms", "接收滞后 ms"), about=three),
        Head(Words("loop turn p99 ms", "循环 p99 ms")),
        Head(Words("backlog MiB", "积压 MiB")),
        Head(Words("memory MiB", "内存 MiB")),
    )
    clocks = dict.fromkeys(
        point.client.receive_clock or "unknown" for point in summary.points if point.client.each
    )
    kinds = ", ".join(clocks)
    note = Words(f"Receive times: {kinds}.", f"接收时间来源：{kinds}。")
    return (Table(key="client-table", head=head, rows=tuple(rows), note=note),)


def _worker(name: Words, worker: WorkerHealth) -> tuple[Cell, ...]:
    memory = None if worker.rss_peak_bytes is None else worker.rss_peak_bytes / 2**20
    texts = (
        str(worker.worker),
        percent(worker.cpu_share),
        percent(worker.run_queue_wait_share),
        _lag(worker.send_lag_ms),
        _lag(worker.receive_lag_ms),
        figure(worker.loop_turn_p99_ms),
        figure(worker.backlog_peak_bytes / 2**20),
        figure(memory),
    )
    return (Cell(name), *(Cell(same(text)) for text in texts))


def _lag(lag: Lag) -> str:
    return " / ".join(figure(value) for value in (lag.p50, lag.p99, lag.max))


def groups(summary: RunSummary) -> Iterator[Table]:
    """Servers that took turns, and turns or models of the requests, each kind in a table."""
    pairs = list(zip(point_names(summary.points), summary.points, strict=True))
    servers = [
        (name, _Part(s.url, s.requests, s.failed, s.stats)) for name, point in pairs for s in point.servers
    ]
    if servers:
        yield _group_table("servers", Words("server", "服务端"), servers)
    for kind in dict.fromkeys(kind for point in summary.points for kind in point.groups):
        parts = [
            (name, _Part(group.name, group.requests, group.failed, group.stats))
            for name, point in pairs
            for group in point.groups.get(kind, [])
        ]
        yield _group_table(f"{kind}s", _KINDS.get(kind, same(kind)), parts)


class _Part(NamedTuple):
    name: str
    requests: int
    failed: int
    stats: dict[str, Stat]

    def figure(self, metric: str, percentile: str) -> str:
        stat = self.stats.get(f"{metric}_ms")
        return figure(None if stat is None else stat.percentiles.get(percentile))


def _group_table(key: str, word: Words, parts: Sequence[tuple[Words, _Part]]) -> Table:
    metrics = [
        metric
        for metric in ("ttft", "tpot", "e2el")
        if any(f"{metric}_ms" in part.stats for _, part in parts)
    ]
    columns = [(metric, percentile) for metric in metrics for percentile in ("p50", "p99")]
    head = [LOAD, Head(word, number=False), Head(Words("requests", "请求")), Head(Words("failed", "失败"))]
    head += [Head(same(f"{metric.upper()} {percentile} ms")) for metric, percentile in columns]
    rows = [
        (
            Cell(load),
            Cell(same(part.name)),
            Cell(same(count(part.requests))),
            Cell(same(count(part.failed)), tone="bad" if part.failed else "plain"),
            *(Cell(same(part.figure(*column))) for column in columns),
        )
        for load, part in parts
    ]
    return Table(key=f"{key}-table", head=tuple(head), rows=tuple(rows))

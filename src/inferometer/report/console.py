"""A run as plain text for a person: verdict first, then the load points, the client, and vLLM's block."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Literal

from inferometer.metrics.counts import ErrorGroup
from inferometer.metrics.percentiles import Stat, percentile_name
from inferometer.metrics.summary import PointSummary, RunSummary
from inferometer.metrics.verdict import Condition, Verdict
from inferometer.report.audit import drift_notes
from inferometer.report.client_strip import client_strip, most_strained
from inferometer.report.data_rows import row_lines
from inferometer.report.engine import engine_lines
from inferometer.report.groups import group_tables
from inferometer.report.imported import imported_lines
from inferometer.report.limits import limit_lines, server_lines
from inferometer.report.nodes import node_lines
from inferometer.report.replay import replay_lines
from inferometer.report.senders import sender_lines
from inferometer.report.sent import picture_lines
from inferometer.report.shape import shape_lines, spike_lines
from inferometer.report.simulation import interval_lines, told
from inferometer.report.sittings import sitting_lines
from inferometer.report.sparklines import spark_lines
from inferometer.report.speculative import speculative_lines
from inferometer.report.steady import steady_lines
from inferometer.report.sweep import repeat_notes, repeat_table, repeated, served_columns, titled
from inferometer.report.text import ABSENT, apart, count, number, paint, percent, quantity, table
from inferometer.report.vllm_block import render_vllm_block

_ERROR_KINDS_SHOWN = 3
_COUNTS_DIFFER = 0.01


def render_run(summary: RunSummary, width: int = 100, *, colour: bool = False, unicode: bool = True) -> str:
    """The whole text, without a newline at its end.

    Args:
        summary: the run.
        width: columns to wrap sentences at; tables keep their own width.
        colour: ANSI colour for the verdict and the failures.
        unicode: whether small pictures may be of block elements, else they are of ASCII signs.
    """
    parts = [
        _verdict_lines(summary, width, colour),
        sitting_lines(summary),
        _engine_lines(summary, width),
        _error_lines(summary, width),
        _point_lines(summary, width),
        _prediction_lines(summary, width),
        _spark_lines(summary, unicode),
        imported_lines(summary, titles(summary.points)),
        _steady_lines(summary),
        *_group_parts(summary),
        _server_lines(summary),
        _node_lines(summary),
        _limit_lines(summary, width),
        _spike_lines(summary),
        _speculative_lines(summary, width),
        _slo_lines(summary, width),
        _client_lines(summary, colour),
        _vllm_lines(summary),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def titles(points: Sequence[PointSummary]) -> list[str]:
    """A title for each load point: the load, lengths where it alone does not tell them apart, pictures, repeat."""
    several = any(point.load.get("repeat", 1) > 1 for point in points)
    names = titled([point.load for point in points])
    repeats = [f", repeat {point.load.get('repeat', 1)}" if several else "" for point in points]
    pictures = [f", {point.pictures.title}" if point.pictures else "" for point in points]
    return [name + sent + repeat for name, sent, repeat in zip(names, pictures, repeats, strict=True)]


def _verdict_lines(summary: RunSummary, width: int, colour: bool) -> list[str]:
    word = summary.verdict.word
    verdicts = [point.verdict for point in summary.points]
    judged = [("", summary.verdict), *zip(titles(summary.points), verdicts, strict=True)]
    lines = [paint(f"{word}: {_headline(summary, judged)}", word, colour)]
    for reason in _reasons(judged, several=len(summary.points) > 1):
        lines += _wrapped(reason, width, "  - ")
    unknown = _unknown(judged)
    if unknown:
        lines += _wrapped(f"not known: {unknown}", width)
    if summary.prediction is not None:
        lines += [line for text in told(summary.prediction) for line in _wrapped(text, width)]
    elif summary.simulated:
        lines.append("  simulated: no real server was measured")
    if summary.state == "complete":  # else they stand with the condition that says so
        lines += [line for note in summary.notes for line in _wrapped(f"note: {note}", width)]
    return lines


def _reasons(judged: Sequence[tuple[str, Verdict]], several: bool) -> list[str]:
    """One line per condition that fails, hard ones first; the same one at several points is told once."""
    where_by_name: dict[str, list[tuple[str, Condition]]] = {}
    for where, verdict in judged:
        for condition in verdict.failed:
            where_by_name.setdefault(condition.name, []).append((where, condition))
    told = sorted(where_by_name.values(), key=lambda found: found[0][1].level != "hard")
    reasons = []
    for (where, condition), *others in told:
        place = f"{where}: " if where and several else ""
        more = f" At {len(others)} more load point{'s' if len(others) > 1 else ''} too." if others else ""
        reasons.append(place + _reason(condition) + more)
    return reasons


def _headline(summary: RunSummary, judged: Sequence[tuple[str, Verdict]]) -> str:
    """Failures first, then the conditions that made the verdict what it is."""
    failed = sum(point.counts.failed for point in summary.points)
    ended = failed + sum(point.counts.ok for point in summary.points)
    level = "hard" if summary.verdict.word == "INVALID" else "warn"
    broken = dict.fromkeys(c.name for _, verdict in judged for c in verdict.failed if c.level == level)
    parts = [f"failed {count(failed)} of {count(ended)} ({percent(failed / ended)})"] if failed else []
    parts += [name for name in broken if not (failed and name == "errors")]
    if parts:
        return ", ".join(parts)
    if summary.verdict.word == "VALID":
        return f"no request failed of {count(ended)}"
    return "a hard condition could not be judged"


def _reason(condition: Condition) -> str:
    text = condition.name
    measured, limit = apart(condition.measured, condition.limit, condition.unit)
    if condition.measured is not None:
        text += f" {measured}"
        if condition.limit is not None:
            text += f", limit {limit}"
    text += f" ({condition.asked})" if condition.asked not in ("", "share") else ""
    return f"{text}. Next: {condition.next_step}." if condition.next_step else text


def _unknown(judged: Sequence[tuple[str, Verdict]]) -> str:
    whys: dict[str, str] = {}
    for _, verdict in judged:
        for condition in verdict.unknown:
            whys.setdefault(condition.name, condition.next_step)
    return "; ".join(f"{name} ({why})" if why else name for name, why in whys.items())


def _engine_lines(summary: RunSummary, width: int) -> list[str]:
    if summary.engine is None:
        return []
    lines = engine_lines(summary.engine)
    return [_marked("Engine", summary), *(part for line in lines for part in _wrapped(line, width))]


def _error_lines(summary: RunSummary, width: int) -> list[str]:
    groups = [(point.index, group) for point in summary.points for group in point.counts.errors]
    if not groups:
        return []
    groups.sort(key=lambda pair: -pair[1].count)
    lines = [_marked("Failures", summary)]
    for point, group in groups[:_ERROR_KINDS_SHOWN]:
        lines += _wrapped(_error_text(point, group), width)
    rest = groups[_ERROR_KINDS_SHOWN:]
    if rest:
        more = sum(group.count for _, group in rest)
        lines.append(f"  {count(more)} more of {len(rest)} other kinds, see summary.json")
    return lines


def _error_text(point: int, group: ErrorGroup) -> str:
    example = group.example or ("no text" if group.http_status is None else f"HTTP {group.http_status}")
    first = f"first: point {point}, request {group.first_request}"
    return f"{count(group.count)} x {group.status}: {example} ({first})"


def _point_lines(summary: RunSummary, width: int) -> list[str]:
    if not summary.points:
        return []
    low, high = _shown_percentiles(summary.percentiles)
    both = f"{low}/{high}" if low != high else low
    latencies = _latencies(summary.points)
    served = served_columns(summary.points)
    header = ["load", "req/s", "out tok/s", *(name for _, name in served)]
    header += [*(f"{name} {both} ms" for name in latencies), "failed"]
    rows = [
        [
            title,
            number(point.values["request_throughput_per_s"]),
            number(point.values["output_throughput_per_s"]),
            *(number(point.values.get(key)) for key, _ in served),
            *(_pair(point.stats.get(_key(name)), low, high) for name in latencies),
            count(point.counts.failed),
        ]
        for title, point in zip(titles(summary.points), summary.points, strict=True)
    ]
    if repeated(summary):
        header, rows = repeat_table(summary, latencies, (low, high))
    lines = [
        f"{_marked('Load points', summary)}, {summary.model}",
        *(f"  {line}" for line in table(header, rows, "<" + ">" * (len(header) - 1))),
    ]
    if repeated(summary):
        notes = repeat_notes(summary)
    else:
        absences = _absences(summary.points, latencies, (low, high))
        notes = [f"{ABSENT}: {', '.join(absences)}"] if absences else []
        notes += _from_sent(summary.points, latencies[0], both, (low, high))
    notes += shape_lines(summary.points, titles(summary.points))
    notes += _other_counts(summary.points)
    notes += drift_notes(summary.points)
    notes += picture_lines(summary.points)
    notes += row_lines(summary.points)
    notes += replay_lines(summary.points, titles(summary.points))
    return [*lines, *(line for note in notes for line in _wrapped(note, width))]


def _spark_lines(summary: RunSummary, unicode: bool) -> list[str]:
    lines = spark_lines(summary, titles(summary.points), unicode=unicode)
    return [_marked("At a glance", summary), *(f"  {line}" for line in lines)] if lines else []


def _prediction_lines(summary: RunSummary, width: int) -> list[str]:
    if summary.prediction is None or not summary.points:
        return []
    rows, notes = interval_lines(summary.prediction, summary.points, titles(summary.points))
    if not rows and not notes:
        return []
    lines = [*(f"  {row}" for row in rows), *(line for note in notes for line in _wrapped(note, width))]
    return [_marked("90 % prediction intervals", summary), *lines]


def _group_parts(summary: RunSummary) -> list[list[str]]:
    """Turns of sessions and models of a mix, each kind in a table of its own."""
    shown = _shown_percentiles(summary.percentiles)
    tables = group_tables(summary.points, titles(summary.points), shown)
    return [[_marked(heading, summary), *(f"  {line}" for line in lines)] for heading, lines in tables]


def _latencies(points: Sequence[PointSummary]) -> tuple[str, ...]:
    """The latencies of the table: of answers that were not streamed only the whole time is known."""
    keys = {key for point in points for key in point.stats}
    return ("E2EL",) if "ttft_ms" not in keys and "e2el_ms" in keys else ("TTFT", "TPOT")


def _key(name: str) -> str:
    return f"{name.lower()}_ms"


def _from_sent(points: Sequence[PointSummary], name: str, both: str, shown: tuple[str, str]) -> list[str]:
    """The first latency of the table where it differs when it is counted from the send."""
    differ = [
        f"{_pair(point.stats_from_sent[_key(name)], *shown)} at {title}"
        for title, point in zip(titles(points), points, strict=True)
        if _key(name) in point.stats_from_sent
    ]
    return [f"{name} {both} counted from the send: {', '.join(differ)}"] if differ else []


def _other_counts(points: Sequence[PointSummary]) -> list[str]:
    """How far the server's token counts are from the client's, where they differ by more than 1 %."""
    sides: tuple[tuple[str, Literal["input", "output"]], ...] = (("prompts", "input"), ("answers", "output"))
    told = []
    for what, side in sides:
        pairs = [
            (getattr(point.tokens, f"{side}_difference"), getattr(point.tokens, f"{side}_client"))
            for point in points
            if side == "output" or point.pictures is None  # tokens of pictures are told by themselves
        ]
        known = [(difference, client) for difference, client in pairs if difference is not None and client]
        share = sum(d for d, _ in known) / sum(c for _, c in known) if known else 0.0
        if abs(share) > _COUNTS_DIFFER:
            told.append(f"{what} {share * 100:+.1f} %")
    return (
        [f"tokens as the server counts them, against the client's count: {', '.join(told)}"] if told else []
    )


def _absences(points: Sequence[PointSummary], latencies: Sequence[str], shown: tuple[str, str]) -> list[str]:
    needs: dict[str, int] = {}
    unmeasured = dict.fromkeys(
        name for point in points for name in latencies if _key(name) not in point.stats
    )
    for point in points:
        for name in latencies:
            stat = point.stats.get(_key(name))
            needs |= {p: stat.needs[p] for p in shown if stat is not None and p in stat.needs}
    return [
        *(f"{p} needs {count(needs[p])} requests" for p in shown if p in needs),
        *(f"{name} could not be measured" for name in unmeasured),
    ]


def _shown_percentiles(percentiles: Sequence[float]) -> tuple[str, str]:
    """The median and p99 where they were asked for, else the lowest and the highest."""
    low = 50.0 if 50.0 in percentiles else min(percentiles, default=50.0)
    high = 99.0 if 99.0 in percentiles else max(percentiles, default=99.0)
    return percentile_name(low), percentile_name(high)


def _pair(stat: Stat | None, low: str, high: str) -> str:
    names = [low] if low == high else [low, high]
    return " / ".join(ABSENT if stat is None else number(stat.percentiles.get(name)) for name in names)


def _steady_lines(summary: RunSummary) -> list[str]:
    lines = steady_lines(summary.points, titles(summary.points))
    return [_marked("Steady window", summary), *(f"  {line}" for line in lines)] if lines else []


def _slo_lines(summary: RunSummary, width: int) -> list[str]:
    lines = []
    for title, point in zip(titles(summary.points), summary.points, strict=True):
        if point.goodput is not None:
            reached = point.goodput
            share = f"{percent(reached.attainment)} of requests within {' '.join(reached.limits)}"
            lines.append(f"{title}: goodput {number(reached.requests_per_s)} req/s, {share}")
        for result in point.slo:
            word = {True: "met", False: "NOT MET", None: "not known"}[result.met]
            why = f" ({result.reason})" if result.reason else ""
            measured = quantity(result.measured, result.unit)
            lines.append(f"{title}: {result.slo} {word}, measured {measured}{why}")
    if not lines:
        return []
    return [_marked("Objectives", summary), *(part for line in lines for part in _wrapped(line, width))]


def _spike_lines(summary: RunSummary) -> list[str]:
    lines = spike_lines(summary.points, titles(summary.points), _shown_percentiles(summary.percentiles))
    return [_marked("Spike and recovery", summary), *lines] if lines else []


def _speculative_lines(summary: RunSummary, width: int) -> list[str]:
    lines = speculative_lines(summary.points, titles(summary.points))
    if not lines:
        return []
    heading = _marked("Speculative decoding", summary)
    rows = 1 + sum(point.speculative is not None for point in summary.points)
    notes = (part for note in lines[rows:] for part in _wrapped(note, width))
    return [heading, *(f"  {line}" for line in lines[:rows]), *notes]


def _server_lines(summary: RunSummary) -> list[str]:
    lines = server_lines(summary.points, titles(summary.points), _shown_percentiles(summary.percentiles))
    return [_marked("Servers, in turn", summary), *lines] if lines else []


def _node_lines(summary: RunSummary) -> list[str]:
    lines = node_lines(summary.points, titles(summary.points), _shown_percentiles(summary.percentiles))
    return [_marked("Nodes", summary), *lines] if lines else []


def _limit_lines(summary: RunSummary, width: int) -> list[str]:
    lines = limit_lines(summary, width)
    return [_marked("What the failures mean", summary), *lines] if lines else []


def _client_lines(summary: RunSummary, colour: bool) -> list[str]:
    """The load point that strained the client most."""
    place = most_strained(summary.points)
    if place is None:
        return []
    title = titles(summary.points)[place] if len(summary.points) > 1 else ""
    strip = client_strip(summary.points[place], _marked("Client", summary), title, colour=colour)
    nodes = sender_lines(summary.senders)
    return [*strip, *(["", _marked("Nodes that sent the load", summary), *nodes] if nodes else [])]


def _vllm_lines(summary: RunSummary) -> list[str]:
    if not summary.points or summary.points[-1].vllm is None:
        return []
    heading = _marked(f"As vllm bench serve counts it, {titles(summary.points)[-1]}", summary)
    return [heading, render_vllm_block(summary.points[-1].vllm, summary.simulated)]


def _marked(heading: str, summary: RunSummary) -> str:
    return f"{heading} (simulated)" if summary.simulated else heading


def _wrapped(text: str, width: int, lead: str = "  ") -> list[str]:
    return textwrap.wrap(text, width, initial_indent=lead, subsequent_indent="    ", break_on_hyphens=False)

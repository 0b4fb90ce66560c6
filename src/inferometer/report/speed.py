"""A measurement of speed as text: for a terminal, as Qwen's Markdown table, as CSV, and in EvalScope's JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from inferometer.metrics.speed import SpeedRow
from inferometer.metrics.speed_conditions import SpeedSummary
from inferometer.metrics.verdict import Condition
from inferometer.record.folder import write_atomic
from inferometer.report.text import apart, count, number, paint, percent, table

EVALSCOPE_JSON, QWEN_MD, SUMMARY_JSON = "speed_benchmark.json", "speed.md", "speed_summary.json"
FORMATS = ("console", "md", "csv", "json")
_GIB = 1 << 30
_DIGITS = 9  # after the point: 1 ns of a value in s
_UNKNOWN = "-"
_SHORT = {"oom": "OOM", "too_long": "too long", "crashed": "crashed", "failed": "failed"}
_QWEN = ("Model", "Input Length", "Quantization", "GPU Num", "Speed(tokens/s)", "GPU Memory(GB)", "Note")


def render(summary: SpeedSummary, form: str = "console", *, colour: bool = False) -> str:
    """The summary in a format of ``FORMATS``, without a newline at its end."""
    if form == "md":
        return qwen_table(summary)
    if form == "csv":
        return csv_rows(summary).rstrip("\n")
    if form == "json":
        return msgspec.json.format(msgspec.json.encode(evalscope_rows(summary)), indent=2).decode()
    return console(summary, colour=colour)


def write_speed_files(folder: Path, summary: SpeedSummary) -> None:
    """Write what is derived: EvalScope's JSON, Qwen's table, our summary."""
    plain = msgspec.json.format(msgspec.json.encode(evalscope_rows(summary)), indent=2)
    write_atomic(folder / EVALSCOPE_JSON, plain + b"\n")
    write_atomic(folder / QWEN_MD, qwen_table(summary).encode() + b"\n")
    write_atomic(folder / SUMMARY_JSON, msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")


def evalscope_rows(summary: SpeedSummary) -> list[dict[str, Any]]:
    """EvalScope's ``speed_benchmark.json``: rows that were measured, at the smallest batch size, for it has only one.

    Its memory is that of a device; without one it is null.
    """
    smallest = min((row.batch for row in summary.rows), default=1)
    return [
        {
            "Prompt Tokens": row.input_tokens,
            "Speed(tokens/s)": round(row.speed_per_s, 2),
            "GPU Memory(GB)": None if (gib := _device_gib(row)) is None else round(gib, 2),
        }
        for row in summary.rows
        if row.batch == smallest and row.speed_per_s is not None
    ]


def qwen_table(summary: SpeedSummary) -> str:
    """The table of Qwen's speed reports; batch size where there are several, memory of a process as a note."""
    several = len({row.batch for row in summary.rows}) > 1
    headings = [*_QWEN[:2], *(["Batch Size"] if several else []), *_QWEN[2:]]
    facts = summary.facts
    rows = []
    for row in summary.rows:
        bad = _SHORT.get(row.outcome)
        gib = _device_gib(row)
        rows.append(
            [
                summary.model.rstrip("/").rsplit("/", 1)[-1],
                str(row.input_tokens),
                *([str(row.batch)] if several else []),
                facts.quantization or facts.dtype or _UNKNOWN,
                _UNKNOWN if facts.device_count is None else str(facts.device_count),
                bad if row.speed_per_s is None and bad else _plain(row.speed_per_s),
                bad if row.speed_per_s is None and row.outcome == "oom" and bad else _plain(gib),
                _note(row),
            ]
        )
    lines = [" | ".join(cells) for cells in ([*headings], ["---"] * len(headings), *rows)]
    body = "\n".join(f"| {line} |" for line in lines)
    return f"{body}\n\n{_reading(summary)}"


def csv_rows(summary: SpeedSummary) -> str:
    """One line a row, every figure under the name it has in ``speed_summary.json``."""
    names = [name for name in SpeedRow.__struct_fields__ if name not in ("speeds", "outliers")]
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(["engine", "model", *names, "verdict"])
    for row in summary.rows:
        values = [_rounded(getattr(row, name)) for name in names]
        writer.writerow([summary.engine, summary.model, *values, summary.verdict.word])
    return target.getvalue()


def _rounded(value: object) -> object:
    """A figure far below what can be measured."""
    return round(value, _DIGITS) if isinstance(value, float) else value


def console(summary: SpeedSummary, *, colour: bool = False) -> str:
    """Verdict, rows, what is wrong with them, and what they were measured on."""
    parts = [
        _verdict_lines(summary, colour),
        _row_lines(summary.rows) if summary.rows else [],
        _reason_lines(summary.rows),
        _about(summary),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _verdict_lines(summary: SpeedSummary, colour: bool) -> list[str]:
    word = summary.verdict.word
    good = sum(row.outcome == "ok" for row in summary.rows)
    names = ", ".join(dict.fromkeys(condition.name for condition in summary.verdict.failed))
    head = f"{word}: {good} of {len(summary.rows)} rows measured{', ' + names if names else ''}"
    lines = [
        paint(head, word, colour),
        *(f"  - {_reason(condition)}" for condition in summary.verdict.failed),
    ]
    lines += [f"  not known: {c.name} ({c.next_step})" for c in summary.verdict.unknown]
    return lines + (["  simulated: no real server was measured"] if summary.simulated else [])


def _reason(condition: Condition) -> str:
    text = condition.name
    measured, limit = apart(condition.measured, condition.limit, condition.unit)
    if condition.measured is not None:
        text += f" {measured}"
    if condition.limit is not None:
        text += f", limit {limit}"
    return f"{text} ({condition.asked}). Next: {condition.next_step}."


def _row_lines(rows: Sequence[SpeedRow]) -> list[str]:
    header = (
        "input", "batch", "out", "speed tok/s", "+-", "first token s", "prefill tok/s", "per token ms",
        "decode tok/s", "e2e tok/s", "memory GiB", "note",
    )  # fmt: skip
    body = []
    for row in rows:
        step_ms = None if row.non_first_token_s is None else row.non_first_token_s * 1e3
        cells = [count(row.input_tokens), count(row.batch), count(row.asked_tokens)]
        if row.speed_per_s is None:
            body.append((*cells, *[_UNKNOWN] * 8, _SHORT.get(row.outcome, row.outcome)))
            continue
        body.append(
            (
                *cells,
                number(row.speed_per_s),
                _UNKNOWN if row.spread is None else percent(row.spread),
                _known(row.first_token_s, 4),
                _known(row.prefill_tokens_per_s),
                _known(step_ms, 3),
                _known(row.non_first_token_throughput_per_s),
                _known(row.e2e_throughput_per_s),
                _known(None if row.memory_bytes is None else row.memory_bytes / _GIB),
                _remarks(row),
            )
        )
    return table(header, body, ">>>>>>>>>>><")


def _reason_lines(rows: Sequence[SpeedRow]) -> list[str]:
    return [
        f"  input {row.input_tokens:,} batch {row.batch}: "
        f"{_SHORT.get(row.outcome, 'a repeat is missing')}: {row.reason}"
        for row in rows
        if row.reason
    ]


def _about(summary: SpeedSummary) -> list[str]:
    facts = summary.facts
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    words = [
        f"{summary.engine} ({versions})" if versions else summary.engine,
        *facts.device_names[:1],
        *([facts.device] if facts.device and not facts.device_names else []),
        *[each for each in (facts.quantization, facts.dtype, facts.attn_implementation) if each],
    ]
    lines = [f"{summary.model}: {', '.join(words)}", *summary.notes]
    if any(row.memory_of == "process" for row in summary.rows):
        lines.append("memory is the peak of the engine's process (resident), no device's")
    if facts.memory_why:
        lines.append(f"memory is not known: {facts.memory_why}")
    return lines


def _reading(summary: SpeedSummary) -> str:
    """How the table is to be read."""
    out = {row.asked_tokens for row in summary.rows}
    tokens = ", ".join(f"{each:,}" for each in sorted(out))
    repeats = max((row.repeats for row in summary.rows), default=0)
    return (
        f"Speed is generated tokens of one sequence / time, prefill included; {tokens} tokens generated, "
        f"mean of {repeats} repeats; {summary.engine}; verdict {summary.verdict.word}"
        f"{', simulated' if summary.simulated else ''}."
    )


def _note(row: SpeedRow) -> str:
    words = (
        []
        if row.memory_of != "process"
        else [f"process {_plain((row.memory_bytes or 0) / _GIB)} GiB resident"]
    )
    if row.outcome != "ok":
        words.append((row.reason or row.outcome).replace("|", "/"))
    return "; ".join([*words, *([_remarks(row)] if _remarks(row) else [])])


def _remarks(row: SpeedRow) -> str:
    words = [f"outlier: repeat {' '.join(map(str, row.outliers))}"] if row.outliers else []
    return "; ".join(
        [*words, *([f"{row.repeats} measured, then {row.reason}"] if row.reason and row.repeats else [])]
    )


def _device_gib(row: SpeedRow) -> float | None:
    return row.memory_bytes / _GIB if row.memory_bytes is not None and row.memory_of == "device" else None


def _plain(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.2f}"


def _known(value: float | None, decimals: int = 2) -> str:
    return _UNKNOWN if value is None else number(value, decimals)

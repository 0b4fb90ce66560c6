"""Offline speed: rows over repeats, by the definitions of Qwen's speed reports and of the offline tools for Ascend.

For each generation of B prompts of I tokens, O tokens generated of each:

- speed = O / (end - begin), tokens/s of one sequence, prefill included: ``speed_benchmark_transformers.py`` of Qwen2.5
  and EvalScope's ``speed_benchmark``; Qwen3's page counts I + O, which is ``total_speed``.
- first_token_s = first token - begin, mean over sequences: the prefill.
- non_first_token_s = (last token - first token) / (O - 1), mean over sequences: a decoding step.
- non_first_token_throughput = B / non_first_token_s; e2e_throughput = B x O / (end - begin): MindStudio's offline
  inference, ``performance_maxbs``.

Rates over repeats are means of the repeats' rates, as EvalScope's are.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import msgspec

from inferometer.record.speed import Generation, Outcome, SpeedRecord

OUTLIER_SHARE = 0.05  # a repeat nearer to the median is none
_MAD_TO_SIGMA = 1.4826
_OUTLIER_SIGMAS = 3.0


class SpeedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt length and batch size. What was not measured is None; times and speeds are means of the repeats.

    Attributes:
        outcome: "ok" as soon as one repeat was measured.
        reason: why the row, or a part of its repeats, is missing.
        speeds: tokens/s of each repeat.
        spread: standard deviation / mean of ``speeds``; None below two.
        outliers: repeats, counted from 1, that are far from the median of all.
        memory_bytes: the largest peak of the repeats.
        memory_of: ``device`` or ``process``.
    """

    input_tokens: int
    batch: int
    asked_tokens: int
    outcome: Outcome
    reason: str | None
    repeats: int
    speeds: list[float]
    speed_per_s: float | None
    total_speed_per_s: float | None
    spread: float | None
    outliers: list[int]
    first_token_s: float | None
    prefill_tokens_per_s: float | None
    non_first_token_s: float | None
    non_first_token_throughput_per_s: float | None
    e2e_s: float | None
    e2e_throughput_per_s: float | None
    memory_bytes: int | None
    memory_reserved_bytes: int | None
    memory_of: str | None


def speed_rows(record: SpeedRecord) -> list[SpeedRow]:
    """One row for each pair of length and batch size that was tried, in the order of the measurement."""
    found: dict[tuple[int, int], list[Generation]] = {}
    for each in record.generations:
        found.setdefault((each.input_tokens, each.batch), []).append(each)
    asked = record.spec.get("generate_len")
    return [_row(generations, asked or generations[-1].asked_tokens) for generations in found.values()]


def duration_s(each: Generation) -> float | None:
    """Begin to end; None where it did not come to its end."""
    if each.outcome != "ok" or each.begin_ns is None or each.end_ns is None or each.end_ns <= each.begin_ns:
        return None
    return (each.end_ns - each.begin_ns) / 1e9


def speed_per_s(each: Generation) -> float | None:
    """Generated tokens of one sequence / time."""
    seconds = duration_s(each)
    if seconds is None or not each.output_tokens:
        return None
    return statistics.fmean(each.output_tokens) / seconds


def first_token_s(each: Generation) -> float | None:
    """Begin to first token, mean over sequences."""
    if each.begin_ns is None or not each.first_token_ns:
        return None
    return (statistics.fmean(each.first_token_ns) - each.begin_ns) / 1e9


def non_first_token_s(each: Generation) -> float | None:
    """Time per token after the first, mean over sequences; None for answers of one token, or not counted."""
    if len(each.output_tokens) != len(each.first_token_ns):
        return None
    ends = zip(each.first_token_ns, each.last_token_ns, each.output_tokens, strict=True)
    each_s = [(last - first) / (tokens - 1) / 1e9 for first, last, tokens in ends if tokens > 1]
    return statistics.fmean(each_s) if each_s else None


def outliers(values: Sequence[float]) -> list[int]:
    """Places, counted from 1, of values more than three robust standard deviations and 5 % from the median.

    The deviation is 1.4826 x the median absolute deviation. Below three values nobody can say which one is off.
    """
    if len(values) < 3:
        return []
    middle = statistics.median(values)
    mad = statistics.median(abs(value - middle) for value in values)
    limit = max(OUTLIER_SHARE * middle, _OUTLIER_SIGMAS * _MAD_TO_SIGMA * mad)
    return [place for place, value in enumerate(values, 1) if abs(value - middle) > limit]


def _row(generations: Sequence[Generation], asked_tokens: int) -> SpeedRow:
    first = generations[0]
    good = [each for each in generations if each.repeat and each.outcome == "ok"]
    bad = next((each for each in generations if each.outcome != "ok"), None)
    speeds = [speed for each in good if (speed := speed_per_s(each)) is not None]
    reserved = [each.memory_reserved_bytes for each in good if each.memory_reserved_bytes is not None]
    memory = [each.memory_bytes for each in good if each.memory_bytes is not None]
    return SpeedRow(
        input_tokens=first.input_tokens,
        batch=first.batch,
        asked_tokens=asked_tokens,
        outcome="ok" if good or bad is None else bad.outcome,
        reason=None if bad is None else bad.reason,
        repeats=len(good),
        speeds=speeds,
        speed_per_s=statistics.fmean(speeds) if speeds else None,
        total_speed_per_s=_mean(good, _total_speed),
        spread=statistics.stdev(speeds) / statistics.fmean(speeds) if len(speeds) > 1 else None,
        outliers=outliers(speeds),
        first_token_s=_mean(good, first_token_s),
        prefill_tokens_per_s=_mean(good, _prefill_tokens_per_s),
        non_first_token_s=_mean(good, non_first_token_s),
        non_first_token_throughput_per_s=_mean(good, _non_first_token_throughput),
        e2e_s=_mean(good, duration_s),
        e2e_throughput_per_s=_mean(good, _e2e_throughput),
        memory_bytes=max(memory, default=None),
        memory_reserved_bytes=max(reserved, default=None),
        memory_of=next((each.memory_of for each in good if each.memory_of), None),
    )


def _total_speed(each: Generation) -> float | None:
    seconds = duration_s(each)
    if seconds is None or not each.output_tokens:
        return None
    return (each.input_tokens + statistics.fmean(each.output_tokens)) / seconds


def _prefill_tokens_per_s(each: Generation) -> float | None:
    """Tokens of all prompts / time until every sequence has its first token."""
    if each.begin_ns is None or not each.first_token_ns or max(each.first_token_ns) <= each.begin_ns:
        return None
    return each.batch * each.input_tokens / ((max(each.first_token_ns) - each.begin_ns) / 1e9)


def _non_first_token_throughput(each: Generation) -> float | None:
    step_s = non_first_token_s(each)
    return each.batch / step_s if step_s else None


def _e2e_throughput(each: Generation) -> float | None:
    seconds = duration_s(each)
    return None if seconds is None or not each.output_tokens else sum(each.output_tokens) / seconds


def _mean(generations: Sequence[Generation], number: Callable[[Generation], float | None]) -> float | None:
    values = [value for each in generations if (value := number(each)) is not None]
    return statistics.fmean(values) if values else None

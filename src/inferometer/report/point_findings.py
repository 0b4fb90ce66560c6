"""Findings of single load points: waits before the send, caches, drafts, preemptions, uneven servers, long gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from inferometer.metrics.engine_counts import preemptions
from inferometer.metrics.percentiles import samples_needed
from inferometer.metrics.summary import PointSummary, RunSummary
from inferometer.record.tables import RunRecord
from inferometer.record.types import PointRecord
from inferometer.report.finding import Finding
from inferometer.report.text import count, number, percent
from inferometer.report.words import Words

_CACHED = 0.01
_WAIT_FELT = 0.05  # of the TTFT
_WAIT_FELT_MS = 1.0
_UNEVEN = 1.2  # mean latency of the slowest server / of the fastest
_SHORT = 0.01  # of the target
_FITS = 5.0  # p99 / median of the gaps between tokens
_FELT_MS = 50.0  # a gap below it is not seen as one
Named = Sequence[tuple[Words, PointSummary]]
Weighed = Iterator[tuple[float, Finding]]


def point_findings(summary: RunSummary, run: RunRecord, named: Named) -> Iterator[Finding]:
    """Each kind once, from the load point that shows it most."""
    yield from _simulated(summary, named)
    records = {table.point.index: table.point for table in run.measured}
    kinds: tuple[Callable[[Words, PointSummary], Weighed], ...] = (
        _waited, _uneven, partial(_preempted, records), _cached, _drafts, _short, _fits, _recovered
    )  # fmt: skip
    for kind in kinds:
        found = [(weight, finding) for name, point in named for weight, finding in kind(name, point)]
        if found:
            yield max(found, key=lambda each: each[0])[1]


def _simulated(summary: RunSummary, named: Named) -> Iterator[Finding]:
    """Loads beyond what the simulation was calibrated with."""
    prediction = summary.prediction
    if prediction is None:
        return
    warned = [
        (name, text)
        for name, point in named
        if (found := prediction.of_point(point.index))
        for text in found.warnings
    ]
    if warned:
        name, text = warned[0]
        more = f" (+{len(warned) - 1})" if len(warned) > 1 else ""
        yield Finding(
            key="outside calibration",
            level="warn",
            text=Words("The simulation goes beyond what it was calibrated with.", "仿真超出了校准范围。"),
            evidence=Words(f"{name.en}: {text}{more}", f"{name.zh}：{text}{more}"),
            next_step=Words("calibrate with runs of such a load", "用这样的负载的实测结果校准"),
        )


def _waited(name: Words, point: PointSummary) -> Weighed:
    """Requests waited in the client for a permit, so that TTFT from the planned time is longer than that from the send.

    What the generator itself was late by is a condition of the verdict, and within its limit no finding.
    """
    planned, sent = point.stats.get("ttft_ms"), point.stats_from_sent.get("ttft_ms")
    waits, limit = point.stats.get("queue_wait_ms"), point.load.get("max_concurrency")
    if planned is None or sent is None or waits is None or limit is None or not planned.mean > sent.mean:
        return
    lost_ms = planned.mean - sent.mean
    slight = lost_ms < _WAIT_FELT_MS and lost_ms < _WAIT_FELT * planned.mean
    waiting = f"{count(waits.count)} of {count(point.counts.records)}"
    yield (
        planned.mean / max(sent.mean, 1e-9),
        Finding(
            key="waited",
            level="info" if slight else "warn",
            text=Words(
                f"A part of the TTFT at {name.en} went by before the send: the limit of {limit} in flight held "
                "requests back.",
                f"{name.zh}：TTFT 的一部分发生在发送之前，并发上限 {limit} 使请求等待。",
            ),
            evidence=Words(
                f"mean TTFT {number(planned.mean, 1)} ms from the planned time, {number(sent.mean, 1)} ms from the "
                f"send; {waiting} requests waited, {number(waits.mean, 1)} ms on the average",
                f"平均 TTFT：自计划时刻 {number(planned.mean, 1)} ms，自发送 {number(sent.mean, 1)} ms；"
                f"等待的请求 {waiting}，平均等待 {number(waits.mean, 1)} ms",
            ),
            next_step=Words(
                "raise --max-concurrency, or lower the rate: beyond the limit the queue stands in the client",
                "提高 --max-concurrency，或降低请求率",
            ),
            picture=f"request_rate-{point.index}",
        ),
    )


def _uneven(name: Words, point: PointSummary) -> Weighed:
    """One of several servers is slower than another."""
    for metric in ("tpot_ms", "ttft_ms"):
        known = [(each.url, each.stats[metric]) for each in point.servers if metric in each.stats]
        known = [(url, stat) for url, stat in known if stat.count >= samples_needed(50)]
        if len(known) < 2:
            continue
        slow, fast = max(known, key=lambda each: each[1].mean), min(known, key=lambda each: each[1].mean)
        ratio = slow[1].mean / fast[1].mean if fast[1].mean > 0 else 1.0
        error = np.hypot(*(stat.std / np.sqrt(stat.count) for _, stat in (slow, fast)))
        if ratio > _UNEVEN and slow[1].mean - fast[1].mean > 3.0 * error:
            label = metric.removesuffix("_ms").upper()
            yield (
                ratio,
                Finding(
                    key="uneven servers",
                    level="warn",
                    text=Words(
                        f"The servers are not equally fast at {name.en}.", f"{name.zh}：各服务端速度不一。"
                    ),
                    evidence=Words(
                        f"mean {label} {number(slow[1].mean, 1)} ms at {slow[0]}, "
                        f"{number(fast[1].mean, 1)} ms at {fast[0]}",
                        f"平均 {label}：{slow[0]} 为 {number(slow[1].mean, 1)} ms，"
                        f"{fast[0]} 为 {number(fast[1].mean, 1)} ms",
                    ),
                    next_step=Words("measure the slow one alone", "单独测量较慢的服务端"),
                ),
            )
            return


def _preempted(records: Mapping[int, PointRecord], name: Words, point: PointSummary) -> Weighed:
    """Requests that lost their KV blocks, as the engine counts them."""
    record = records.get(point.index)
    lost = None if record is None else preemptions(record)
    if not lost:
        return
    yield (
        float(lost),
        Finding(
            key="preemptions",
            level="warn",
            text=Words(
                f"The KV cache was too small for {name.en}: requests were taken out and computed anew.",
                f"{name.zh}：KV 缓存不足，引擎换出请求并重新计算。",
            ),
            evidence=Words(
                f"{count(lost)} preemptions, {count(point.counts.records)} requests",
                f"{count(lost)} 次抢占，{count(point.counts.records)} 个请求",
            ),
            next_step=Words(
                "lower the load or the engine's limit of running sequences, or give its KV cache more memory",
                "降低负载或引擎的并行序列上限，或为 KV 缓存分配更多显存",
            ),
            picture=f"in_flight-{point.index}",
        ),
    )


def _cached(name: Words, point: PointSummary) -> Weighed:
    """Prompt tokens came from the prefix cache, where that is no condition that failed."""
    share, expected = point.values.get("cached_share"), point.values.get("expected_cached_share")
    told = any(c.name == "cached prompt tokens" and c.ok is False for c in point.verdict.conditions)
    if share is None or share <= _CACHED or told:
        return
    could = Words(
        f"; one without limit would give {percent(expected)}", f"；无上限的缓存可达 {percent(expected)}"
    )
    more = could if expected is not None else Words("", "")
    yield (
        share,
        Finding(
            key="prefix cache",
            level="info",
            text=Words(
                "A part of the prompts came from the prefix cache, as the data set means it to.",
                "部分提示命中前缀缓存，与数据集的设计一致。",
            ),
            evidence=Words(
                f"{percent(share)} of the prompt tokens at {name.en}{more.en}",
                f"{name.zh}：提示 token 的 {percent(share)}{more.zh}",
            ),
        ),
    )


def _drafts(name: Words, point: PointSummary) -> Weighed:
    """What speculative decoding brought."""
    found = point.speculative
    if found is None or (found.acceptance_rate is None and found.acceptance_length is None):
        return
    parts, chinese = [], []
    if found.acceptance_rate is not None:
        parts.append(f"acceptance rate {percent(found.acceptance_rate)}")
        chinese.append(f"接受率 {percent(found.acceptance_rate)}")
    if found.acceptance_length is not None:
        parts.append(f"{number(found.acceptance_length)} tokens per step")
        chinese.append(f"每步 {number(found.acceptance_length)} 个 token")
    yield (
        float(point.counts.ok),
        Finding(
            key="drafts",
            level="info",
            text=Words(
                f"Speculative decoding: {', '.join(parts)} at {name.en}.",
                f"{name.zh}：投机解码，{'，'.join(chinese)}。",
            ),
            evidence=Words(f"from {found.source}", f"来源：{found.source}"),
        ),
    )


def _short(name: Words, point: PointSummary) -> Weighed:
    """Answers have another length than was asked for, where that is no condition that failed."""
    target, stat = point.tokens.output_target, point.stats.get("output_tokens")
    judged = any(c.name == "output length" for c in point.verdict.conditions)
    if judged or not target or stat is None or not point.counts.ok:
        return
    asked = target / point.counts.ok
    off = stat.mean / asked - 1.0
    if abs(off) > _SHORT:
        yield (
            abs(off),
            Finding(
                key="answer lengths",
                level="info",
                text=Words(
                    f"Answers {'end before' if off < 0 else 'are longer than'} the length that was asked for at "
                    f"{name.en}.",
                    f"{name.zh}：回答{'在达到要求的长度之前结束' if off < 0 else '比要求的长'}。",
                ),
                evidence=Words(
                    f"{number(stat.mean, 1)} output tokens on the average, {number(asked, 1)} asked "
                    f"({off * 100:+.1f} %)",
                    f"平均 {number(stat.mean, 1)} 个输出 token，要求 {number(asked, 1)}（{off * 100:+.1f} %）",
                ),
                next_step=Words(
                    "compare throughput only with runs of equal lengths, or fix them with --ignore-eos",
                    "只与长度相同的运行比较吞吐，或用 --ignore-eos 固定长度",
                ),
            ),
        )


def _fits(name: Words, point: PointSummary) -> Weighed:
    """Some gaps between tokens are many times as long as the others."""
    stat = point.stats.get("itl_ms")
    if stat is None:
        return
    median, high = stat.percentiles.get("p50"), stat.percentiles.get("p99")
    if median and high and high > _FITS * median and high > _FELT_MS:
        yield (
            high / median,
            Finding(
                key="uneven tokens",
                level="info",
                text=Words(
                    f"Tokens come in fits at {name.en}: one gap in a hundred is many times the usual one.",
                    f"{name.zh}：token 到达不均匀，百分之一的间隔远长于通常。",
                ),
                evidence=Words(
                    f"ITL p50 {number(median, 1)} ms, p99 {number(high, 1)} ms",
                    f"ITL p50 {number(median, 1)} ms，p99 {number(high, 1)} ms",
                ),
                next_step=Words(
                    "see in the timeline whether other requests begin their prompts in these gaps",
                    "在时间线中查看这些间隔内是否有其他请求开始处理提示",
                ),
                picture="itl_tail",
            ),
        )


def _recovered(name: Words, point: PointSummary) -> Weighed:
    """What a spike did."""
    spike = point.spike
    if spike is None or spike.judged is None or spike.recovery_s is None:
        return
    yield (
        spike.recovery_s,
        Finding(
            key="spike",
            level="info",
            text=Words(
                f"After the spike the service was back to its latencies in {number(spike.recovery_s, 1)} s.",
                f"突增之后 {number(spike.recovery_s, 1)} s 恢复。",
            ),
            evidence=Words(
                f"{spike.judged} within 10 % of {number(spike.before_ms, 1)} ms at {name.en}",
                f"{name.zh}：{spike.judged} 回到 {number(spike.before_ms, 1)} ms 的 10 % 以内",
            ),
            picture=f"in_flight-{point.index}",
        ),
    )

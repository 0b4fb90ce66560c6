"""What one static batch, measured through an endpoint, says about a limit on the time per non-first token."""

from __future__ import annotations

from dataclasses import dataclass

from inferometer.metrics.load_curve import hard_failures
from inferometer.metrics.percentiles import Stat
from inferometer.metrics.summary import PointSummary
from inferometer.metrics.targets import BatchRound

STATISTICS = {
    "mean-tpot": "mean TPOT",
    "p90-tpot": "p90 TPOT",
    "median-itl": "median ITL",
}
"""What the limit is on. TPOT holds what the prefill of others adds to a decode; the median of the steps leaves it out,
which is what ``performance_maxbs`` sees, as it prefills the whole batch first."""

# Without these the batch was not what was asked for, or its times are not those of the server.
_CLIENT = (
    "workers",
    "send lag",
    "receive clock",
    "receive lag",
    "chunk times",
    "client CPU",
    "clock error",
    "clock",
    "streamed",
)
_APART = 0.1  # of the longest E2EL


@dataclass(frozen=True, slots=True)
class BatchCase:
    """One pair of lengths and the batch sizes to look at, both ends included (``[in, out]`` and ``[lb, rb]``)."""

    input_tokens: int
    output_tokens: int
    low: int = 1
    high: int = 1024


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """The longest time per non-first token, and which statistic of it has to keep to that: one of ``STATISTICS``."""

    limit_ms: float
    statistic: str = "mean-tpot"


def read_round(
    summary: PointSummary, batch: int, repeat: int, case: BatchCase, limit: BatchLimit
) -> BatchRound:
    """A load point of one or more rounds of ``batch`` requests that were sent together.

    The formulas are those of ``performance_maxbs``: non-first token throughput = batch / non-first token time, E2E
    throughput = batch x output tokens / total time.

    A batch does not meet the limit when more requests failed than may, or when the server did not decode all of it at
    once: then the time per token is that of a smaller batch. It did not when a request had its first token only after
    another had its last, which is to say in its place; nor when the ends of the requests are further apart than their
    first tokens were, for sequences of one length that are decoded together end as far apart as they began.
    """
    ttft, e2el = summary.stats.get("ttft_ms"), summary.stats.get("e2el_ms")
    step_ms = _statistic(summary, limit.statistic)
    total_s = _total_time_s(summary, batch)
    unable = _no_evidence(summary, batch, step_ms)
    refused = None if unable else _refused(summary, ttft, e2el)
    met = None if unable else refused is None and step_ms is not None and step_ms <= limit.limit_ms
    return BatchRound(
        batch=batch,
        repeat=repeat,
        index=summary.index,
        carried=not unable and refused is None,
        met=met,
        total_time_s=total_s,
        prefill_all_ms=None if ttft is None else ttft.max,
        prefill_average_ms=None if ttft is None else ttft.mean,
        non_first_token_ms=step_ms,
        non_first_token_throughput=batch / (step_ms / 1e3) if step_ms else None,
        e2e_throughput=batch * case.output_tokens / total_s if total_s else None,
        remark=unable or refused or _remark(summary),
    )


def _statistic(summary: PointSummary, name: str) -> float | None:
    """With fewer values than a percentile takes, the largest of them: a small batch may not pass by having few."""
    kind, metric = name.split("-")
    found = summary.stats.get(f"{metric}_ms")
    if found is None:
        return None
    if kind == "mean":
        return found.mean
    name = {"median": "p50"}.get(kind, kind)
    if name not in found.percentiles:
        return None
    shown = found.percentiles[name]
    return found.max if shown is None else shown


def _total_time_s(summary: PointSummary, batch: int) -> float | None:
    """Of one round: a load point of several rounds lasts as many times as long."""
    rounds = summary.counts.records // batch
    return None if summary.duration_s is None or not rounds else summary.duration_s / rounds


def _no_evidence(summary: PointSummary, batch: int, step_ms: float | None) -> str | None:
    """Why the load point says nothing of the server."""
    if summary.counts.records < batch:
        return f"only {summary.counts.records} of {batch} requests were sent"
    for condition in hard_failures(summary):
        if condition.name in _CLIENT:
            return f"{condition.name}: {condition.next_step}"
    if step_ms is None and not _failures(summary):
        return (
            "no time per token: answers not streamed, of one token, or its percentile is not in --percentiles"
        )
    return None


def _failures(summary: PointSummary) -> str | None:
    for condition in hard_failures(summary):
        if condition.name in ("errors", "records"):
            return f"{condition.name}: {condition.next_step}"
    return None if summary.counts.ok else "no request succeeded"


def _refused(summary: PointSummary, ttft: Stat | None, e2el: Stat | None) -> str | None:
    """Why the server did not carry the batch, whatever its time per token."""
    failed = _failures(summary)
    if failed is not None:
        return failed
    if ttft is None or e2el is None:
        return None
    if ttft.max > e2el.min:
        return (
            "not decoded all at once: a request had its first token after another had its last (fewer places than "
            "requests, as max_num_seqs or KV blocks allow, or answers too short for the prefill of the batch)"
        )
    apart_ms = e2el.max - e2el.min
    if apart_ms > ttft.max - ttft.min + _APART * e2el.max:
        return (
            f"not decoded all at once: requests ended up to {apart_ms:,.0f} ms apart, their first tokens were "
            f"{ttft.max - ttft.min:,.0f} ms apart (some were put aside for want of KV blocks, or lengths differ)"
        )
    return None


def _remark(summary: PointSummary) -> str | None:
    hard = (condition for condition in hard_failures(summary) if condition.name != "concurrency")
    return next((f"{condition.name}: {condition.next_step}" for condition in hard), None)

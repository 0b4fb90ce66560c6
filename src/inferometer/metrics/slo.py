"""Service-level objectives: how they are written, which requests meet them, and goodput.

``ttft:200`` is a limit in ms that each request has to meet (vLLM's ``--goodput``); ``p99_ttft<=200ms`` is a
limit on a whole load point.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from inferometer.errors import UsageError
from inferometer.metrics import throughput as rates
from inferometer.metrics.counts import Counts, count_requests
from inferometer.metrics.latency import Bools, Floats, PointData
from inferometer.metrics.percentiles import percentile, samples_needed
from inferometer.metrics.steady import rate, steady_of

LATENCIES: dict[str, Callable[[PointData], Floats]] = {
    "ttft": lambda data: data.ttft_ms,
    "tpot": lambda data: data.tpot_ms,
    "itl": lambda data: data.itl_ms,
    "e2el": lambda data: data.e2el_ms,
}
RATES: dict[str, Callable[[PointData], float | None]] = {
    "request_throughput": rates.request_throughput,
    "input_throughput": rates.input_throughput,
    "output_throughput": rates.output_throughput,
    "total_throughput": rates.total_throughput,
    **{f"steady_{name}_throughput": rate(name) for name in ("request", "input", "output", "total")},
}
PER_REQUEST = ("ttft", "tpot", "e2el")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
}
_MS = {"": 1.0, "ms": 1.0, "s": 1000.0}
_EXAMPLES = 'write ttft:200 (ms, per request), "p99_ttft<=200ms", "failed<=0.1%" or "output_throughput>=1000"'


@dataclass(frozen=True, slots=True)
class RequestLimit:
    """A latency in ms that each request has to meet."""

    text: str
    metric: str
    limit_ms: float


@dataclass(frozen=True, slots=True)
class PointLimit:
    """A limit on one number of a load point: latency statistic (ms), throughput (per s) or share (0 to 1).

    ``statistic`` is a percentile ("p99") or "mean" for a latency, and empty for the others.
    """

    text: str
    statistic: str
    metric: str
    operator: str
    limit: float


class SloResult(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a load point met one limit; ``met`` is None when it cannot be known, ``reason`` says why."""

    slo: str
    met: bool | None
    measured: float | None
    limit: float
    unit: str
    reason: str = ""


class Goodput(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that met every per-request limit.

    Attributes:
        good: how many; None when a limited latency of a successful request is not known.
        requests_per_s: per second of the point's window.
        attainment: their share of all planned requests, 0 to 1.
    """

    limits: list[str]
    good: int | None
    requests_per_s: float | None
    attainment: float | None


def parse_slo(text: str) -> RequestLimit | PointLimit:
    """One limit from its text form.

    Raises:
        UsageError: the text follows neither form, or names a metric, operator or unit that does not fit.
    """
    compact = re.sub(r"\s+", "", text).lower()
    per_request = re.fullmatch(r"([a-z0-9_]+):([0-9.]+)", compact)
    if per_request:
        metric = per_request[1]
        if metric not in PER_REQUEST:
            raise _refused(
                text, f"{metric!r} has no limit per request; those that have: {', '.join(PER_REQUEST)}"
            )
        return RequestLimit(text, metric, _positive(text, per_request[2]))
    aggregate = re.fullmatch(r"(?:(p[0-9.]+|mean)_)?([a-z0-9_]+?)(<=|>=|<|>)([0-9.]+)(ms|s|%)?", compact)
    if not aggregate:
        raise _refused(text, "it is neither METRIC:MILLISECONDS nor STATISTIC_METRIC<=LIMIT")
    return _point_limit(text, aggregate)


def parse_slos(texts: Sequence[str]) -> tuple[list[RequestLimit], list[PointLimit]]:
    """All limits of a spec, those per request and those per load point.

    Raises:
        UsageError: see ``parse_slo``.
    """
    parsed = [parse_slo(text) for text in texts]
    return (
        [limit for limit in parsed if isinstance(limit, RequestLimit)],
        [limit for limit in parsed if isinstance(limit, PointLimit)],
    )


def good_requests(data: PointData) -> Bools | None:
    """Which successful requests meet every per-request limit; None without limits or when it cannot be known.

    As in vLLM, a request of one token has no TPOT and therefore meets any limit on it.
    """
    limits, _ = parse_slos(data.slo)
    if not limits:
        return None
    good = np.ones(int(data.ok.sum()), dtype=bool)
    for limit in limits:
        values = LATENCIES[limit.metric](data)
        if limit.metric == "tpot":
            values = np.where(data.output_tokens <= data.first_chunk_tokens, 0.0, values)
        if np.isnan(values).any():
            return None
        good &= values <= limit.limit_ms
    return good


def goodput(data: PointData) -> Goodput | None:
    """Goodput and attainment of a load point; None when there is no per-request limit."""
    limits, _ = parse_slos(data.slo)
    if not limits:
        return None
    mask = good_requests(data)
    good = None if mask is None else int(mask.sum())
    counts = count_requests(data.table)
    planned = counts.planned - counts.given_up
    return Goodput(
        limits=[limit.text for limit in limits],
        good=good,
        requests_per_s=rates.throughput(good, rates.window_s(data)),
        attainment=None if good is None or not planned else good / planned,
    )


def judge_point(data: PointData) -> list[SloResult]:
    """Whether the load point meets each of its limits that concern it as a whole."""
    _, limits = parse_slos(data.slo)
    counts = count_requests(data.table)
    return [_judge(limit, data, counts) for limit in limits]


def _judge(limit: PointLimit, data: PointData, counts: Counts) -> SloResult:
    measured, unit, reason = _measure(limit, data, counts)
    met = None if measured is None else _OPERATORS[limit.operator](measured, limit.limit)
    return SloResult(slo=limit.text, met=met, measured=measured, limit=limit.limit, unit=unit, reason=reason)


def _measure(limit: PointLimit, data: PointData, counts: Counts) -> tuple[float | None, str, str]:
    if limit.metric == "failed":
        return counts.failed_share, "share", "" if counts.records else "no request ended"
    if limit.metric == "attainment":
        reached = goodput(data)
        value = None if reached is None else reached.attainment
        return value, "share", "" if value is not None else "no limit per request, or a latency is not known"
    if limit.metric in RATES:
        value = RATES[limit.metric](data)
        unknown = steady_of(data).reason if limit.metric.startswith("steady_") else ""
        return value, "1/s", "" if value is not None else unknown or "tokens or window are not known"
    values = LATENCIES[limit.metric](data)
    present = values[~np.isnan(values)]
    if limit.statistic == "mean":
        return (float(present.mean()) if len(present) else None), "ms", "" if len(present) else "no value"
    p = float(limit.statistic[1:])
    value = percentile(present, p)
    return (
        value,
        "ms",
        "" if value is not None else f"needs {samples_needed(p):,} values, has {len(present):,}",
    )


def _point_limit(text: str, match: re.Match[str]) -> PointLimit:
    statistic, metric, comparison, number, unit = match.groups(default="")
    limit = _positive(text, number, zero=metric == "failed")
    if metric in LATENCIES:
        if not statistic:
            raise _refused(text, f"{metric!r} needs a statistic", f"write p99_{metric} or mean_{metric}")
        if comparison.startswith(">") or unit == "%":
            raise _refused(text, "a latency takes <= or < and ms or s")
        if statistic != "mean":
            _check_percentile(text, statistic)
        return PointLimit(text, statistic, metric, comparison, limit * _MS[unit])
    if statistic or metric not in (*RATES, "failed", "attainment"):
        known = ", ".join([*(f"p99_{name}" for name in LATENCIES), *RATES, "failed", "attainment"])
        raise _refused(
            text,
            f"{f'{statistic}_' if statistic else ''}{metric} is not a number to limit",
            f"known: {known}",
        )
    if unit in ("ms", "s") or (unit == "%" and metric in RATES):
        raise _refused(text, f"{metric} does not take the unit {unit!r}")
    if comparison.startswith("<") != (metric == "failed"):
        raise _refused(text, f"{metric} takes {'<= or <' if metric == 'failed' else '>= or >'}")
    return PointLimit(text, "", metric, comparison, limit / 100.0 if unit == "%" else limit)


def _check_percentile(text: str, statistic: str) -> None:
    try:
        p = float(statistic[1:])
    except ValueError:
        p = 0.0
    if not 0 < p < 100:
        raise _refused(text, f"{statistic} is not a percentile between 0 and 100")


def _positive(text: str, number: str, zero: bool = False) -> float:
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if value < 0 or (value == 0 and not zero):
        raise _refused(text, f"{number} is not a number above 0")
    return value


def _refused(text: str, rule: str, next_step: str = _EXAMPLES) -> UsageError:
    return UsageError(f"SLO {text!r}: {rule}", next_step)

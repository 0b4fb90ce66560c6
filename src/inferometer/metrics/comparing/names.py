"""The figures that runs are compared by: their names, their units, and which way is better."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from inferometer.errors import UsageError
from inferometer.metrics.dictionary import METRICS, find


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A figure.

    Attributes:
        key: as in ``Row.estimates``: ``output_throughput_per_s``, ``ttft_ms.p99``.
        name: as a user writes it: ``output_throughput``, ``p99_ttft``.
        title: as a report shows it: "output throughput", "TTFT p99".
        unit: of its values; "share" is 0 to 1.
        better: which way is better.
        absolute: whether a change is a difference in its own unit, not a part of the first value.
        tail: percentile of a latency, None for a mean and for all else.
    """

    key: str
    name: str
    title: str
    unit: str
    better: Literal["higher", "lower"]
    absolute: bool = False
    tail: float | None = None


_LATENCIES = {"ttft": "TTFT", "tpot": "TPOT", "itl": "ITL", "e2el": "E2EL"}
_RATES = ("output", "total", "input", "request")
OUTPUT, REQUESTS, FAILED = "output_throughput_per_s", "request_throughput_per_s", "failed_share"
_FIXED = {
    kind.key: kind
    for kind in (
        *(
            Kind(
                key=f"{name}_throughput_per_s",
                name=f"{name}_throughput",
                title=f"{name} throughput",
                unit="req/s" if name == "request" else "tok/s",
                better="higher",
            )
            for name in _RATES
        ),
        Kind(key="goodput_per_s", name="goodput", title="goodput", unit="req/s", better="higher"),
        Kind(
            key="attainment", name="attainment", title="SLO attainment", unit="share", better="higher", absolute=True
        ),
        Kind(key=FAILED, name="failed", title="failed", unit="share", better="lower", absolute=True),
        Kind(
            key="load_at_slo", name="load_at_slo", title="load within the SLO", unit="", better="higher"
        ),
        Kind(
            key="output_throughput_at_slo_per_s",
            name="output_throughput_at_slo",
            title="output throughput within the SLO",
            unit="tok/s",
            better="higher",
        ),
        Kind(
            key="front_area",
            name="front_area",
            title="area under the front",
            unit="tok/s x tok/s per user",
            better="higher",
        ),
    )
}  # fmt: skip


def kind_of(key: str) -> Kind | None:
    """The figure behind a key; None when it is none that is compared."""
    if key in _FIXED:
        return _FIXED[key]
    found = re.fullmatch(r"(ttft|tpot|itl|e2el)_ms\.(mean|p([0-9.]+))", key)
    if not found:
        return None
    metric, statistic, tail = found.groups()
    return Kind(
        key=key,
        name=f"{statistic}_{metric}",
        title=f"{_LATENCIES[metric]} {statistic}",
        unit="ms",
        better="lower",
        tail=float(tail) if tail else None,
    )


def kind_named(name: str) -> Kind:
    """The figure that a user names: ``output_throughput``, ``p99_ttft``, ``mean_tpot_ms``, ``median_itl``, ``failed``.

    Raises:
        UsageError: no such figure, or a latency without a statistic.
    """
    written = re.sub(r"[^a-z0-9.]+", "_", name.strip().lower()).strip("_")
    plain = re.sub(r"_(share|percent|ms|per_s|tok_s|req_s)$", "", written)
    for kind in _FIXED.values():
        if kind.name in (written, plain) or kind.key == written:
            return kind
    wanted = re.match(r"(mean|avg|median|p[0-9.]+)_", plain)
    metric = find(plain[wanted.end() :] if wanted else plain)
    statistic = {"avg": "mean", "median": "p50"}.get(wanted[1], wanted[1]) if wanted else ""
    key = f"{metric.key}.{statistic}" if statistic else metric.key
    found = kind_of(key)
    if found is None:
        latency = metric.name in _LATENCIES and not statistic
        step = f"write mean_{metric.name} or p99_{metric.name}" if latency else f"known: {', '.join(known())}"
        raise UsageError(f"{name!r} is not a figure that runs are compared by", step)
    return found


def known() -> list[str]:
    """Names of all figures, one percentile for each latency."""
    return [*(kind.name for kind in _FIXED.values()), *(f"p99_{name}" for name in _LATENCIES)]


def formula_of(kind: Kind) -> str:
    """The formula of the metric behind a figure; empty where the comparison makes the figure itself."""
    metric = METRICS.get(kind.key.removesuffix("_per_s").partition("_ms.")[0])
    return "" if metric is None else metric.formula

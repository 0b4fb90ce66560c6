"""Goodput and attainment of a simulated load point, as ``metrics.slo`` defines them for a measured one. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inferometer.metrics.slo import RequestLimit
from inferometer.simulator.cluster.service import Answered

_NS_PER_MS, _NS_PER_S = 1e6, 1e9


def goodput_of(
    answers: Sequence[Answered], limits: Sequence[RequestLimit], unsent: int = 0
) -> dict[tuple[str, str], float]:
    """``goodput`` (requests per second) and ``attainment`` (share of all requests); empty without limits.

    Args:
        answers: of the load point, streamed.
        limits: that each request has to meet; one of a single token meets any limit on TPOT.
        unsent: requests beside those, which were planned and never sent; none of them attains.
    """
    whole = [each for each in answers if each.refused is None and not each.cut and len(each.tokens_ns)]
    if not limits or not whole:
        return {}
    good = np.ones(len(whole), dtype=bool)
    for limit in limits:
        good &= _latencies_ms(whole, limit.metric) <= limit.limit_ms
    found = {("attainment", "value"): float(good.sum()) / (len(answers) + unsent)}
    span_s = (max(each.tokens_ns[-1] for each in whole) - min(each.sent_ns for each in whole)) / _NS_PER_S
    if span_s > 0:
        found["goodput", "value"] = float(good.sum() / span_s)
    return {key: value for key, value in found.items() if value > 0}


def _latencies_ms(whole: Sequence[Answered], metric: str) -> NDArray[np.float64]:
    if metric == "ttft":
        return np.array([each.tokens_ns[0] - each.planned_ns for each in whole]) / _NS_PER_MS
    if metric == "e2el":
        return np.array([each.tokens_ns[-1] - each.planned_ns for each in whole]) / _NS_PER_MS
    span = np.array([each.tokens_ns[-1] - each.tokens_ns[0] for each in whole]) / _NS_PER_MS
    at_first = np.array([np.searchsorted(each.tokens_ns, each.tokens_ns[0], "right") for each in whole])
    after = np.array([len(each.tokens_ns) for each in whole]) - at_first
    tpot: NDArray[np.float64] = np.where(after > 0, span / np.maximum(after, 1), 0.0)
    return tpot

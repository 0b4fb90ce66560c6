"""The figures of repeats as series in time order, one per repeat: what intervals are drawn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from inferometer.metrics.latency import NS_PER_S, Floats, PointData
from inferometer.metrics.throughput import window_s

MOST_BINS, FEWEST_BINS = 60, 9


class Series(NamedTuple):
    """One figure of one load.

    Attributes:
        key: as in ``PointSummary``.
        rate: whether the mean of a sample is the figure; else its values are requests.
        samples: per repeat, in time order.
    """

    key: str
    rate: bool
    samples: list[Floats]


def rate_series(points: Sequence[PointData]) -> Iterator[Series]:
    """Throughputs as equal parts of the window, whose mean is the throughput; those that every repeat has.

    A request and its tokens count evenly from its send to its end. Counted where they arrive, requests that end
    together, and the pulse of an engine's steps, would look like chance, which they are not.
    """
    for key, amounts in (
        ("request_throughput_per_s", _requests),
        ("input_throughput_per_s", lambda data: data.input_tokens),
        ("output_throughput_per_s", lambda data: data.output_tokens),
        ("total_throughput_per_s", lambda data: data.input_tokens + data.output_tokens),
    ):
        samples = [_spread_out(data, amounts(data)) for data in points]
        known = [sample for sample in samples if sample is not None]
        if known and len(known) == len(samples):
            yield Series(key, True, known)


def latency_series(points: Sequence[PointData]) -> Iterator[Series]:
    """TTFT, TPOT and E2EL of the requests in the order of their index; those that every repeat has."""
    for key in ("ttft_ms", "tpot_ms", "e2el_ms"):
        samples = [values[~np.isnan(values)] for values in (getattr(data, key) for data in points)]
        if samples and all(len(sample) for sample in samples):
            yield Series(key, False, samples)


def _requests(data: PointData) -> Floats:
    return np.ones(int(data.ok.sum()))


def _spread_out(data: PointData, amounts: Floats) -> Floats | None:
    """Amount per second in equal parts of the window; None when there is none, or an amount is not known."""
    window, sent_ns, end_ns = window_s(data), data.column("sent_ns"), data.end_ns
    if window is None or window <= 0 or not len(amounts) or np.isnan(amounts + sent_ns + end_ns).any():
        return None
    bins = min(MOST_BINS, max(FEWEST_BINS, len(amounts) // 2))
    bins -= bins % 3  # the longest block is a third, and there have to be three
    edges_ns = sent_ns.min() + np.linspace(0.0, window * NS_PER_S, bins + 1)
    lasted_ns = np.maximum(end_ns - sent_ns, 1.0)
    so_far = [float(amounts @ np.clip((edge_ns - sent_ns) / lasted_ns, 0.0, 1.0)) for edge_ns in edges_ns]
    so_far[-1] = float(amounts.sum())
    parts: Floats = np.diff(np.asarray(so_far))
    return parts * (bins / window)

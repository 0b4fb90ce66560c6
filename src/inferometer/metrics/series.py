"""The figures of a load point as series in time order: what intervals over repeats are made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from inferometer.metrics.curves import spread
from inferometer.metrics.latency import Floats, PointData
from inferometer.metrics.throughput import window_s

_MOST_BINS, _FEWEST_BINS = 60, 9


class Samples(NamedTuple):
    """The figures of one load point; one that does not exist is left out.

    Attributes:
        point: index of the load point.
        load: as asked.
        rates: throughputs in equal parts of the window, by key as in ``PointSummary``; the mean is the throughput.
        latencies: of the requests in the order of their index, by key.
        nodes, devices: that serve; None = not told.
    """

    point: int
    load: dict[str, Any]
    rates: dict[str, Floats]
    latencies: dict[str, Floats]
    nodes: int | None
    devices: int | None


def samples_of(data: PointData) -> Samples:
    """The series of a load point: small beside its chunks, which need not be kept for them.

    In a throughput a request and its tokens count evenly from its send to its end. Counted where they arrive, requests
    that end together, and the pulse of an engine's steps, would look like chance, which they are not.
    """
    amounts = {
        "request_throughput_per_s": np.ones(int(data.ok.sum())),
        "input_throughput_per_s": data.input_tokens,
        "output_throughput_per_s": data.output_tokens,
        "total_throughput_per_s": data.input_tokens + data.output_tokens,
    }
    rates = {key: _rates(data, values) for key, values in amounts.items()}
    latencies = {key: getattr(data, key) for key in ("ttft_ms", "tpot_ms", "e2el_ms")}
    return Samples(
        point=data.table.point.index,
        load=data.table.point.load,
        rates={key: values for key, values in rates.items() if values is not None},
        latencies={key: v[~np.isnan(v)] for key, v in latencies.items() if not np.isnan(v).all()},
        nodes=data.nodes,
        devices=data.devices,
    )


def _rates(data: PointData, amounts: Floats) -> Floats | None:
    """Amount per second in equal parts of the window; None when there is none, or an amount is not known."""
    window, sent_ns, end_ns = window_s(data), data.column("sent_ns"), data.end_ns
    if window is None or window <= 0 or not len(amounts) or np.isnan(amounts + sent_ns + end_ns).any():
        return None
    bins = min(_MOST_BINS, max(_FEWEST_BINS, len(amounts) // 2))
    bins -= bins % 3  # the longest block is a third, and there have to be three
    return spread(sent_ns, end_ns, amounts).rates(np.linspace(sent_ns.min(), end_ns.max(), bins + 1))

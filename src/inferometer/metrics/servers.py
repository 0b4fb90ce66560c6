"""The servers that take turns, each by itself: one that is slower than the others bends the percentiles of all."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from inferometer.metrics.latency import Floats, PointData
from inferometer.metrics.percentiles import Stat, stat


class ServerSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What one of several servers did during a load point.

    Attributes:
        server: its number; 0 is that of ``--url``.
        url: its address.
        requests: how many were sent to it.
        failed: how many of them failed.
        stats: latencies of the successful ones, by key (``ttft_ms``); one without a value is not in it.
    """

    server: int
    url: str
    requests: int
    failed: int
    stats: dict[str, Stat]


def by_server(data: PointData, urls: Sequence[str], percentiles: Sequence[float]) -> list[ServerSummary]:
    """One entry per server; none when there is only one.

    Args:
        data: the load point.
        urls: the addresses, by the servers' numbers.
        percentiles: of the latencies.
    """
    if len(urls) < 2:
        return []
    server = data.table.number("server")
    failed = np.isin(data.table.text("status").astype(str), ("ok", "cancelled"), invert=True)
    return [
        ServerSummary(
            server=number,
            url=url,
            requests=int((server == number).sum()),
            failed=int((failed & (server == number)).sum()),
            stats=_stats(data, server[data.ok] == number, percentiles),
        )
        for number, url in enumerate(urls)
    ]


def _stats(data: PointData, mine: Floats, percentiles: Sequence[float]) -> dict[str, Stat]:
    found = {}
    for key in ("ttft_ms", "tpot_ms", "e2el_ms"):
        summary = stat(getattr(data, key)[mine], percentiles)
        if summary is not None:
            found[key] = summary
    return found

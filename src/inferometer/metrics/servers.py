"""The servers that take turns, each by itself: one that is slower than the others bends the percentiles of all."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from inferometer.metrics.groups import grouped
from inferometer.metrics.latency import PointData
from inferometer.metrics.percentiles import Stat


class ServerSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What one of several servers did during a load point.

    Attributes:
        server: its number; 0 is that of ``--url``.
        url: its address.
        requests: how many were sent to it, or should have been and found no connection.
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
    table = data.table
    # A later turn whose session had ended was not even tried.
    tried = ~(np.isnan(table.number("sent_ns")) & np.isnan(table.number("connect_start_ns")))
    server = np.where(tried, table.number("server"), np.nan)
    groups = grouped(data, {str(number): server == number for number in range(len(urls))}, percentiles)
    return [
        ServerSummary(server=number, url=url, requests=group.requests, failed=group.failed, stats=group.stats)
        for number, (url, group) in enumerate(zip(urls, groups, strict=True))
    ]

"""Servers that take turns, by the node they are on: a slow node bends the percentiles of the whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import msgspec
import numpy as np

from inferometer.metrics.groups import grouped
from inferometer.metrics.latency import PointData
from inferometer.metrics.percentiles import Stat
from inferometer.metrics.throughput import throughput, window_s

_LATENCIES = ("ttft_ms", "tpot_ms")


class NodeSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the servers of one node did during a load point.

    Attributes:
        node: host of their addresses.
        servers: how many they are.
        requests: how many were sent to them, or should have been and found no connection.
        failed: how many of them failed.
        input_throughput_per_s: prompt tokens of successful requests per second, over the window of the whole load
            point; None where a count is not known, as in
        output_throughput_per_s: the same of output tokens.
        stats: latencies of the successful ones, by key (``ttft_ms``); one without a value is not in it.
    """

    node: str
    servers: int
    requests: int
    failed: int
    input_throughput_per_s: float | None
    output_throughput_per_s: float | None
    stats: dict[str, Stat]


class Nodes(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes of a load point.

    Attributes:
        nodes: in the order of their first server.
        imbalance: largest divided by mean over the nodes, by key; 1 = all alike. Of ``output_throughput_per_s``, and
            of the mean ``ttft_ms`` and ``tpot_ms``; a key that not every node has is not in it.
    """

    nodes: list[NodeSummary]
    imbalance: dict[str, float]


def node_names(urls: Sequence[str]) -> list[str]:
    """The hosts of several addresses, each once, in their order."""
    return list(dict.fromkeys(_host(url) for url in urls))


def nodes_told(urls: Sequence[str]) -> int | None:
    """How many nodes serve, as the addresses tell: None for one host, behind which there may be any number."""
    names = node_names(urls)
    return len(names) if len(names) > 1 else None


def by_node(data: PointData, urls: Sequence[str], percentiles: Sequence[float]) -> Nodes | None:
    """The load point by node; None when all servers are on one host.

    Args:
        data: the load point.
        urls: the addresses of the servers, by their numbers.
        percentiles: of the latencies.
    """
    names = node_names(urls)
    if len(names) < 2:
        return None
    table = data.table
    # A later turn whose session had ended was not even tried.
    tried = ~(np.isnan(table.number("sent_ns")) & np.isnan(table.number("connect_start_ns")))
    server = table.number("server")
    mine = {name: [number for number, url in enumerate(urls) if _host(url) == name] for name in names}
    masks = {name: tried & np.isin(server, numbers) for name, numbers in mine.items()}
    window = window_s(data)
    nodes = [
        NodeSummary(
            node=group.name,
            servers=len(mine[group.name]),
            requests=group.requests,
            failed=group.failed,
            input_throughput_per_s=throughput(group.input_tokens, window),
            output_throughput_per_s=throughput(group.output_tokens, window),
            stats=group.stats,
        )
        for group in grouped(data, masks, percentiles)
    ]
    return Nodes(nodes=nodes, imbalance=_imbalances(nodes))


def _imbalances(nodes: Sequence[NodeSummary]) -> dict[str, float]:
    def mean(key: str) -> Callable[[NodeSummary], float | None]:
        return lambda node: node.stats[key].mean if key in node.stats else None

    kinds: dict[str, Callable[[NodeSummary], float | None]] = {
        "output_throughput_per_s": lambda n: n.output_throughput_per_s
    }
    kinds |= {key: mean(key) for key in _LATENCIES}
    found: dict[str, float] = {}
    for key, of in kinds.items():
        values = [value for node in nodes if (value := of(node)) is not None]
        if len(values) == len(nodes) and sum(values) > 0:
            found[key] = max(values) / (sum(values) / len(values))
    return found


def _host(url: str) -> str:
    return urlsplit(url).hostname or url

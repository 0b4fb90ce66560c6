"""A table of the nodes of a load point, and how unlike they are."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.percentiles import Stat
from inferometer.metrics.summary import PointSummary
from inferometer.report.text import count, number, table

_NAMES = {"output_throughput_per_s": "output tok/s", "ttft_ms": "mean TTFT", "tpot_ms": "mean TPOT"}


def node_lines(points: Sequence[PointSummary], titles: Sequence[str], shown: tuple[str, str]) -> list[str]:
    """A row for each node and load point, and under them the imbalance; nothing when there is one host.

    Args:
        points: the load points.
        titles: a title for each.
        shown: names of the percentiles of each latency, ``("p50", "p99")``.
    """
    both = "/".join(dict.fromkeys(shown))
    header = [
        "node",
        "load",
        "servers",
        "requests",
        "failed",
        "output tok/s",
        f"TTFT {both} ms",
        f"TPOT {both} ms",
    ]
    rows, below = [], []
    for title, point in zip(titles, points, strict=True):
        if point.nodes is None:
            continue
        for node in point.nodes.nodes:
            counts = (count(node.servers), count(node.requests), count(node.failed))
            latencies = (_pair(node.stats.get(key), shown) for key in ("ttft_ms", "tpot_ms"))
            rows.append([node.node, title, *counts, number(node.output_throughput_per_s), *latencies])
        if point.nodes.imbalance:
            parts = (f"{_NAMES[key]} {number(value)}" for key, value in point.nodes.imbalance.items())
            of = f" at {title}" if len(points) > 1 else ""
            below.append(f"  imbalance{of} (largest / mean over the nodes): {', '.join(parts)}")
    if not rows:
        return []
    return [*(f"  {line}" for line in table(header, rows, "<<" + ">" * (len(header) - 2))), *below]


def _pair(stat: Stat | None, shown: tuple[str, str]) -> str:
    return " / ".join(
        number(None if stat is None else stat.percentiles.get(name)) for name in dict.fromkeys(shown)
    )

"""Servers by the host they are on, and how unlike the hosts are."""

from __future__ import annotations

import pytest
from run_builder import Chunk, point, request

from inferometer.metrics.latency import PointData
from inferometer.metrics.nodes import by_node, nodes_told

URLS = ("http://a:1", "http://b:1", "http://a:2", "http://b:2")


def test_a_node_is_the_sum_of_its_servers() -> None:
    """Within 2 s: 4 requests of 10 tokens; those of node b take three times as long to begin, and one failed."""
    first_ms = [10.0, 30.0, 10.0, 30.0]
    records = [
        request(
            i, server=i, sent=0.0, first_token=ms, last_token=ms + 90, end=2000.0, output_tokens_server=10
        )
        for i, ms in enumerate(first_ms)
    ]
    records.append(request(4, server=1, sent=0.0, end=1.0, status="http_error", http_status=503))
    chunks = [chunk for i, ms in enumerate(first_ms) for chunk in (Chunk(i, ms), Chunk(i, ms + 90, tokens=9))]
    found = by_node(PointData(point(records, chunks)), URLS, (50.0,))
    assert found is not None
    assert [(node.node, node.servers, node.requests, node.failed) for node in found.nodes] == [
        ("a", 2, 2, 0),
        ("b", 2, 3, 1),
    ]
    assert [node.output_throughput_per_s for node in found.nodes] == [10.0, 10.0]
    assert [node.stats["ttft_ms"].mean for node in found.nodes] == [10.0, 30.0]
    assert found.imbalance == {"output_throughput_per_s": 1.0, "ttft_ms": 1.5, "tpot_ms": 1.0}


def test_a_node_that_got_nothing_has_no_throughput_and_no_imbalance() -> None:
    table = point([request(0, server=0, sent=0.0, end=5.0, output_tokens_server=1)])
    found = by_node(PointData(table), URLS[:2], (50.0,))
    assert found is not None
    assert [node.output_throughput_per_s for node in found.nodes] == [pytest.approx(200.0), None]
    assert found.imbalance == {}


def test_one_host_is_not_told_apart() -> None:
    assert by_node(PointData(point([request(0)])), ("http://a:1", "http://a:2"), (50.0,)) is None
    assert nodes_told(["http://a:1", "http://a:2"]) is None
    assert nodes_told(URLS) == 2

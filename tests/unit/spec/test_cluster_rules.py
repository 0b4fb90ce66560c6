"""Load from several machines: what contradicts itself."""

from __future__ import annotations

from typing import Any

import pytest

from inferometer.errors import UsageError
from inferometer.spec import Endpoint, RunSpec
from inferometer.spec.rules import check_spec


def asked(**parts: Any) -> RunSpec:
    return RunSpec(endpoint=Endpoint(url="http://h:1"), **parts)


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379", "head:6379", "ray://head:10001", "[::1]:6379"])
def test_addresses_of_clusters(address: str) -> None:
    check_spec(asked(cluster={"nodes": address, "workers_per_node": 2}))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"cluster": {"nodes": "head"}}, "no address of a Ray cluster"),
        ({"cluster": {"nodes": "http://head:6379"}}, "no address of a Ray cluster"),
        ({"cluster": {"nodes": "head:x"}}, "no address of a Ray cluster"),
        (
            {"cluster": {"nodes": "auto"}, "load": {"workers": 2}},
            "--workers 2 counts processes of this machine",
        ),
        ({"cluster": {"workers_per_node": 2}}, "--workers-per-node 2 is for load from several machines"),
        ({"cluster": {"nodes": "auto", "workers_per_node": 65}}, "--workers-per-node 65 is above 64"),
    ],
)
def test_what_cannot_be(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_spec(asked(**parts))

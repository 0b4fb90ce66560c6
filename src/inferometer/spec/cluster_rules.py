"""Rules of load from several machines."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from inferometer.spec.model import RunSpec
from inferometer.spec.problems import Problem

MAX_PER_NODE = 64  # each is a whole interpreter


def cluster_problems(spec: RunSpec) -> Iterator[Problem]:
    """What contradicts itself about the machines; whether they are there is found out when they are joined."""
    cluster, address = spec.cluster, spec.cluster.nodes
    if address is None:
        if cluster.workers_per_node != 1:
            yield Problem(
                f"--workers-per-node {cluster.workers_per_node} is for load from several machines",
                "give --nodes ADDRESS, or --workers N for this machine",
            )
        return
    if spec.load.workers != "auto":
        yield Problem(
            f"--workers {spec.load.workers} counts processes of this machine, and --nodes sends from a cluster",
            "drop --workers, and give --workers-per-node N",
        )
    if cluster.workers_per_node > MAX_PER_NODE:
        yield Problem(
            f"--workers-per-node {cluster.workers_per_node} is above {MAX_PER_NODE}",
            "give about as many as a node has cores",
        )
    if spec.shape.waves:
        yield Problem(
            "--waves takes one process, as no other knows when a round has ended, and --nodes has several",
            "drop --nodes, or --waves",
        )
    if not _is_address(address):
        yield Problem(
            f"--nodes {address!r} is no address of a Ray cluster", "write auto, HOST:PORT or ray://HOST:PORT"
        )


def _is_address(text: str) -> bool:
    if text == "auto":
        return True
    if "://" in text and not text.startswith("ray://"):
        return False
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        return bool(parts.hostname) and parts.port is not None and parts.path in ("", "/")
    except ValueError:  # the port is no number
        return False

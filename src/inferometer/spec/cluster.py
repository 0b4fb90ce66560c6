"""Load from several machines."""

from __future__ import annotations

from inferometer.spec.fields import option
from inferometer.spec.kinds import Part, PositiveInt


class Cluster(Part):
    """The machines that send the load together."""

    nodes: str | None = option(
        None,
        "send the load from every node of this Ray cluster (ray://HOST:PORT, HOST:PORT, or auto)",
        flag="--nodes",
        metavar="ADDRESS",
        advanced=True,
    )
    workers_per_node: PositiveInt = option(
        1, "processes that share the load on each node", metavar="N", advanced=True
    )

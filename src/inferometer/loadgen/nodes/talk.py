"""What the parent and the gateway say to each other, framed as between parent and worker."""

from __future__ import annotations

import msgspec

from inferometer.client.target import Target
from inferometer.loadgen.messages import Setup
from inferometer.record.types import ClockMark, NodeRecord


class Connect(msgspec.Struct, frozen=True, tag="connect"):
    """First message to the gateway: join the cluster and look at every node.

    Attributes:
        address: of the cluster; ``auto`` or a ``ray://`` address too.
        workers_per_node: how many there will be on each.
        target: what every node has to reach.
        files: that workers will read.
        here: ``host_identity`` of this machine, where the target is reached only from it; None where it is not.
    """

    address: str
    workers_per_node: int
    target: Target
    files: list[str] = []
    here: str | None = None


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """The run folder is there."""

    folder: str


class Hire(msgspec.Struct, frozen=True, tag="hire"):
    """Start a worker; the other end of its socket comes with this message."""

    setup: Setup


class Kill(msgspec.Struct, frozen=True, tag="kill"):
    """End a worker at once."""

    worker: int


class MarkClocks(msgspec.Struct, frozen=True, tag="mark"):
    """Compare all clocks, and answer ``Marked``."""


class Close(msgspec.Struct, frozen=True, tag="close"):
    """All is done: leave nothing behind, and answer ``Closed``."""


class Connected(msgspec.Struct, frozen=True, tag="connected"):
    """Every node can send load."""

    nodes: list[NodeRecord]


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """Some node cannot, or there is no cluster."""

    message: str
    next_step: str


class Marked(msgspec.Struct, frozen=True, tag="marked"):
    """A mark for each node, in their order; None for one that is lost."""

    marks: list[ClockMark | None]


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """A worker has ended; its socket is closed after this."""

    worker: int
    how: str
    node_lost: str | None = None


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    """Nothing of ours runs on nodes any more; ``left`` are folders with journals that did not come whole, by node."""

    left: dict[str, str]


ToGateway = Connect | Begin | Hire | Kill | MarkClocks | Close
FromGateway = Connected | Refused | Marked | Ended | Closed

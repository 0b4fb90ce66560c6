"""The machines that send the load of a run: this one, or the nodes of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from inferometer.clock import MonotonicClock
from inferometer.loadgen.nodes.fleet import RemoteFleet, files_of, open_fleet
from inferometer.loadgen.run import RunPlan
from inferometer.loadgen.stop import StopSignal


@contextmanager
def machines(plan: RunPlan, stop: StopSignal) -> Iterator[RemoteFleet | None]:
    """The nodes of the cluster that was asked for, each of which can send load; None where this machine sends it.

    Raises:
        UsageError: the cluster cannot be joined, or a node cannot take part.
        InterruptedEarlyError: ``stop`` was asked for.
    """
    spec = plan.spec
    if spec.cluster.nodes is None:
        yield None
        return
    files = files_of(plan.target, spec.workload.tokenizer, spec.endpoint.template)
    with open_fleet(spec.cluster, plan.target, files, stop, MonotonicClock()) as fleet:
        yield fleet


def left_on_nodes(fleet: RemoteFleet | None) -> list[str]:
    """What a person has to know about files that a run has left on nodes."""
    left = {} if fleet is None else fleet.left
    return [
        f"{node} may keep {folder}: journals in it can have more than came here"
        for folder, node in left.items()
    ]

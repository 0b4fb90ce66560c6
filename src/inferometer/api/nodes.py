"""The machines that send the load of a run: this one, or the nodes of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from inferometer.checks.limits import check_node_limits
from inferometer.clock import MonotonicClock
from inferometer.loadgen.nodes.fleet import RemoteFleet, files_of, open_fleet
from inferometer.loadgen.progress import Observer, beforehand
from inferometer.loadgen.run_plan import RunPlan
from inferometer.loadgen.stop import StopSignal


@contextmanager
def machines(plan: RunPlan, observer: Observer, stop: StopSignal) -> Iterator[RemoteFleet | None]:
    """The nodes of the cluster that was asked for, each of which can send load; None where this machine sends it.

    Raises:
        UsageError: the cluster cannot be joined, or a node cannot take part, or not with its share of a load point.
        InterruptedEarlyError: ``stop`` was asked for.
    """
    spec = plan.spec
    if spec.cluster.nodes is None:
        yield None
        return
    clock = MonotonicClock()
    began_ns = clock.now_ns()
    observer.on_progress(beforehand(f"joining the cluster {spec.cluster.nodes}", 0.0))
    files = files_of(plan.servers, spec.workload.tokenizer, spec.endpoint.template)
    with open_fleet(spec.cluster, plan.servers, files, stop, clock) as fleet:
        check_node_limits(plan.points, fleet.nodes)
        whom = f"{len(fleet.nodes)} node{'s' * (len(fleet.nodes) > 1)} of the cluster {spec.cluster.nodes}"
        elapsed_s = (clock.now_ns() - began_ns) / 1e9
        observer.on_progress(
            beforehand(f"{whom} can send load after {elapsed_s:.1f} s", elapsed_s, "launched")
        )
        yield fleet


def left_on_nodes(fleet: RemoteFleet | None) -> list[str]:
    """What a person has to know about files that a run has left on nodes."""
    left = {} if fleet is None else fleet.left
    return [
        f"{node} may keep {folder}: journals in it can have more than came here"
        for folder, node in left.items()
    ]

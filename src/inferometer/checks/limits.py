"""Limits of the operating system that a plan may meet: file descriptors and source ports. Pure but for one reader."""

from __future__ import annotations

import math
import resource
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from inferometer.checks.demand import most_streams
from inferometer.client.probe import WIDEN_PORTS
from inferometer.loadgen.progress import Observer, Progress
from inferometer.loadgen.shards import resolve_workers
from inferometer.record.types import NodeRecord, PointRecord
from inferometer.spec import LoadPoint, load_title
from inferometer.spec.problems import Problem, raise_problems

SPARE_DESCRIPTORS = 64  # pipes, journal, timer, libraries; and connections that are closing
TIME_WAIT_S = 60  # TCP_TIMEWAIT_LEN, Linux include/net/tcp.h
MOST_PORTS = 65535 - 1024 + 1
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


class SystemLimits(NamedTuple):
    """What this process is allowed.

    Attributes:
        descriptors_soft: open files now; None = no limit.
        descriptors_hard: open files that a worker may raise its own limit to; None = no limit.
        ports: source ports of the system, first and last; None = not known (no Linux).
    """

    descriptors_soft: int | None
    descriptors_hard: int | None
    ports: tuple[int, int] | None

    @property
    def port_count(self) -> int | None:
        """How many connections to one address and port there can be."""
        return None if self.ports is None else self.ports[1] - self.ports[0] + 1


def system_limits(port_range: Path = _PORT_RANGE) -> SystemLimits:
    """The limits of this process; ``port_range`` is the file that holds the source ports."""
    soft, hard = (
        None if limit == resource.RLIM_INFINITY else limit
        for limit in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    return SystemLimits(soft, hard, parse_ports(port_range.read_text()) if port_range.exists() else None)


def parse_ports(text: str) -> tuple[int, int] | None:
    """``32768 60999`` as two numbers; None when it is no such text."""
    words = text.split()
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        return None
    return int(words[0]), int(words[1])


def check_limits(loads: Iterable[tuple[LoadPoint, int]], limits: SystemLimits) -> None:
    """Refuse a plan that would run out of file descriptors or source ports.

    Only what is certain is refused, the streams of a closed loop; see ``limit_doubts``.

    Args:
        loads: the load points, each with the number of workers that share it.
        limits: what the system allows.

    Raises:
        UsageError: names what is needed, what is allowed, and the command that changes it.
    """
    raise_problems(_problems([load for load in loads if load[0].closed], limits))


def limit_doubts(loads: Iterable[tuple[LoadPoint, int]], limits: SystemLimits) -> list[Problem]:
    """What may run out when all requests are sent at once: nobody knows how many are answered while others are sent.

    Args:
        loads: the load points, each with the number of workers that share it.
        limits: what the system allows.
    """
    open_loops = [load for load in loads if not load[0].closed]
    doubt = "requests will fail unless early answers free enough of them in time"
    return [
        Problem(f"{problem.message}; {doubt}", problem.next_step) for problem in _problems(open_loops, limits)
    ]


def check_node_limits(points: Iterable[LoadPoint], nodes: Sequence[NodeRecord]) -> None:
    """``check_limits`` of each machine of several that send the load, for its share of it.

    Raises:
        UsageError: names the machine as well.
    """
    raise_problems(
        problem
        for point in points
        if point.closed
        for node in nodes
        for problem in _of_node(point, node, nodes)
    )


def _of_node(point: LoadPoint, node: NodeRecord, nodes: Sequence[NodeRecord]) -> Iterator[Problem]:
    workers = resolve_workers(sum(len(each.workers) for each in nodes), point, 0)
    own, streams = sum(worker < workers for worker in node.workers), most_streams(point)
    if streams is None or not own:
        return
    share = math.ceil(streams * own / workers)
    title = f"node {node.name} ({node.address}): its share of {load_title(point.to_dict())}"
    limits = SystemLimits(None, node.files, node.ports)
    for problem in _descriptors(title, share, own, limits):
        step = f"there, before `ray start`: ulimit -n {descriptors_needed(share, own)}; or a higher --workers-per-node"
        yield Problem(problem.message, step)
    for problem in _ports(title, share, limits):
        yield Problem(problem.message, f"on that node: {problem.next_step}")


def _problems(loads: Iterable[tuple[LoadPoint, int]], limits: SystemLimits) -> Iterator[Problem]:
    for point, workers in loads:
        streams = most_streams(point)
        if streams is not None:
            title = load_title(point.to_dict())
            yield from _descriptors(title, streams, workers, limits)
            yield from _ports(title, streams, limits)


def descriptors_needed(streams: int, workers: int) -> int:
    """Open files of the busiest worker."""
    return math.ceil(streams / workers) + SPARE_DESCRIPTORS


def _descriptors(title: str, streams: int, workers: int, limits: SystemLimits) -> Iterator[Problem]:
    needed, allowed = descriptors_needed(streams, workers), limits.descriptors_hard
    if allowed is None or needed <= allowed:
        return
    enough = math.ceil(streams / (allowed - SPARE_DESCRIPTORS)) if allowed > SPARE_DESCRIPTORS else None
    spread = f", or spread the streams: --workers {enough}" if enough is not None and enough <= 64 else ""
    each = "the worker needs" if workers == 1 else f"each of {workers} workers needs"
    yield Problem(
        f"{title} opens {streams} connections, for which {each} {needed} file descriptors, and {allowed} are "
        "allowed",
        f"run this first in the same shell: ulimit -n {needed} (only root may go above the hard limit, which "
        f"ulimit -Hn shows){spread}",
    )


def _ports(title: str, streams: int, limits: SystemLimits) -> Iterator[Problem]:
    count = limits.port_count
    if count is None or streams <= count:
        return
    step = f"widen the range: {WIDEN_PORTS}"
    if streams > MOST_PORTS:
        step = (
            f"no range is wide enough: ask for at most {MOST_PORTS} from one machine, and share the rest out "
            "to others"
        )
    yield Problem(
        f"{title} opens {streams} connections to one address, each from a source port of its own, and this "
        f"system has {count} (net.ipv4.ip_local_port_range)",
        step,
    )


def ports_taken(point: LoadPoint) -> float | None:
    """Source ports that wait at the same time when every request opens a connection; None when not known.

    A closed connection keeps its port for 60 s.
    """
    rate = point.request_rate
    if rate is None:
        return None  # the server's pace decides
    total = math.inf if point.num_prompts is None else point.num_prompts
    taken = total if math.isinf(rate) else min(rate * TIME_WAIT_S, total)
    return taken if math.isfinite(taken) else None


def port_warning(points: Iterable[LoadPoint], limits: SystemLimits) -> str | None:
    """What to tell when the server keeps no connections and the plan will use up the source ports."""
    count = limits.port_count
    taken = [(ports, point) for point in points if (ports := ports_taken(point)) is not None]
    if count is None or not taken:
        return None
    most, point = max(taken, key=lambda each: each[0])
    if most <= count:
        return None
    return (
        "the server does not keep connections: each request takes a source port, which stays taken for "
        f"{TIME_WAIT_S} s; {load_title(point.to_dict())} needs {most:,.0f} of them and this system has {count:,}; "
        f"let the server keep connections, lower the rate, or widen the range: {WIDEN_PORTS}"
    )


class PortWatch:
    """Passes on what an observer is told, and warns after the warm-up when source ports will run out.

    Whether a server keeps its connections is known only then.

    Args:
        observer: who is told.
        points: the load points of the run.
        limits: what the system allows.

    Attributes:
        warned: what it told the observer by itself.
    """

    def __init__(self, observer: Observer, points: tuple[LoadPoint, ...], limits: SystemLimits) -> None:
        self._observer = observer
        self._warning = port_warning(points, limits)
        self.warned: list[str] = []

    def on_notice(self, text: str) -> None:
        """Pass it on."""
        self._observer.on_notice(text)

    def on_progress(self, progress: Progress) -> None:
        """Pass it on."""
        self._observer.on_progress(progress)

    def on_point_end(self, point: PointRecord) -> None:
        """Pass it on, and warn once if the server closes its connections."""
        self._observer.on_point_end(point)
        if self._warning is not None and any(not health.keep_alive for health in point.health):
            self._observer.on_notice(self._warning)
            self.warned.append(self._warning)
            self._warning = None

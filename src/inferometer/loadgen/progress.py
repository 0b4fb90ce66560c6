"""What a run tells its watcher while it goes on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from inferometer.record.types import PointRecord


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of the load point under way; about four a second."""

    point: int
    points_total: int
    kind: str  # "warmup", "measure", "pause" (the rest before the point); "launch", "launched" before all of them
    title: (
        str  # "concurrency 16" or "rate 4 req/s"; how far the launched server, or the join of a cluster, is
    )
    planned: int | None  # requests of this point; None when only time bounds it
    done: int  # finished and journalled, failed ones included
    failed: int
    in_flight: int
    output_tokens: int
    elapsed_s: float
    limit_s: float | None  # time limit of the point
    stopping: bool = False
    run_left_s: float | None = None  # until the whole run ends, as far as it can be told
    real_s: float | None = None  # that a simulated point took so far; ``elapsed_s`` is then virtual time
    asked_concurrency: int | None = None  # permits of a closed loop, or the limit of an open one
    asked_rate_per_s: float | None = None  # arrivals of an open loop; inf = all at once
    # Of the latest second that was sampled, the worst of all workers; see ``inferometer.record.types.HealthSample``.
    send_lag_max_s: float | None = None
    receive_lag_max_s: float | None = None
    cpu_share: float | None = None


def beforehand(text: str, elapsed_s: float, kind: str = "launch") -> Progress:
    """What an observer is told before there is any load point."""
    return Progress(
        point=0,
        points_total=0,
        kind=kind,
        title=text,
        planned=None,
        done=0,
        failed=0,
        in_flight=0,
        output_tokens=0,
        elapsed_s=elapsed_s,
        limit_s=None,
    )


def add_up(parts: Sequence[Progress]) -> Progress:
    """One progress from those of the workers that share a load point, at least one."""
    return msgspec.structs.replace(
        parts[0],
        done=sum(part.done for part in parts),
        failed=sum(part.failed for part in parts),
        in_flight=sum(part.in_flight for part in parts),
        output_tokens=sum(part.output_tokens for part in parts),
        elapsed_s=max(part.elapsed_s for part in parts),
        stopping=any(part.stopping for part in parts),
        send_lag_max_s=_worst(part.send_lag_max_s for part in parts),
        receive_lag_max_s=_worst(part.receive_lag_max_s for part in parts),
        cpu_share=_worst(part.cpu_share for part in parts),
    )


def _worst(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


class Observer(Protocol):
    """Watches a run. Called in the parent process, never in the loop that measures."""

    def on_notice(self, text: str) -> None:
        """Something to know before the load begins, or before it goes on; rarely called."""
        ...

    def on_progress(self, progress: Progress) -> None:
        """About four times a second while a point runs."""
        ...

    def on_point_end(self, point: PointRecord) -> None:
        """Once per load point, after its last request was journalled."""
        ...


class NullObserver:
    """Watches nothing."""

    def on_notice(self, text: str) -> None:
        """Ignore."""

    def on_progress(self, progress: Progress) -> None:
        """Ignore."""

    def on_point_end(self, point: PointRecord) -> None:
        """Ignore."""

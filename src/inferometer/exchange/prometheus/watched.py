"""The progress of a run as families of metrics: counters that go on over its load points, and gauges of the one now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from inferometer.exchange.prometheus.declared import families
from inferometer.exchange.prometheus.exposition import Family
from inferometer.loadgen.progress import Observer, Progress
from inferometer.record.types import PointRecord

_LOADS = ("warmup", "measure")
_Value = tuple[float | None, Mapping[str, str]]


class _Counts(NamedTuple):
    done: int = 0
    failed: int = 0
    output_tokens: int = 0

    def plus(self, progress: Progress) -> _Counts:
        return _Counts(
            self.done + progress.done,
            self.failed + progress.failed,
            self.output_tokens + progress.output_tokens,
        )


class WatchedRun:
    """An observer that keeps the latest progress, and tells another observer everything.

    Told in the thread of the run, asked in that of a server: what one writes and the other reads is one tuple, which is
    replaced and never changed, so that neither waits.

    Args:
        observer: who watches the run otherwise.
        info: labels of ``inferometer_run_info``; no secrets.
    """

    def __init__(self, observer: Observer, info: Mapping[str, str]) -> None:
        self._observer = observer
        self._info = dict(info)
        self._state: tuple[Mapping[str, _Counts], Progress | None] = ({}, None)

    def on_notice(self, text: str) -> None:
        """Hand it on."""
        self._observer.on_notice(text)

    def on_progress(self, progress: Progress) -> None:
        """Keep it, and hand it on."""
        ended, last = self._state
        if last is not None and _place(last) != _place(progress):
            ended = _added(ended, last)
        self._state = (ended, progress)
        self._observer.on_progress(progress)

    def on_point_end(self, point: PointRecord) -> None:
        """Its requests count on, but none of them is in flight any more."""
        ended, last = self._state
        self._state = (ended if last is None else _added(ended, last), None)
        self._observer.on_point_end(point)

    def families(self) -> list[Family]:
        """What is known at this moment."""
        ended, now = self._state
        totals = ended if now is None else _added(ended, now)
        return families(
            {"run": [(1.0, self._info)], **_counted(totals), **({} if now is None else _under_way(now))}
        )


def _place(progress: Progress) -> tuple[int, str]:
    return progress.point, progress.kind


def _added(ended: Mapping[str, _Counts], last: Progress) -> Mapping[str, _Counts]:
    if last.kind not in _LOADS:  # a rest, or a server that is started
        return ended
    return {**ended, last.kind: ended.get(last.kind, _Counts()).plus(last)}


def _counted(totals: Mapping[str, _Counts]) -> dict[str, list[_Value]]:
    return {
        name: [(getattr(counts, field), {"kind": kind}) for kind, counts in totals.items()]
        for name, field in (("requests_done", "done"), ("requests_failed", "failed"), ("output_tokens",) * 2)
    }


def _under_way(now: Progress) -> dict[str, list[_Value]]:
    """Gauges of the load point under way; what is not known has no sample."""
    labels = {"point": str(now.point), "points": str(now.points_total), "kind": now.kind, "load": now.title}
    per_s = 1.0 / now.elapsed_s if now.elapsed_s > 0 and now.kind in _LOADS else None
    gauges = {
        "requests_in_flight": now.in_flight,
        "load_point_requests_planned": now.planned,
        "load_point_elapsed_seconds": now.elapsed_s,
        "load_point_limit_seconds": now.limit_s,
        "run_left_seconds": now.run_left_s,
        "asked_concurrency": now.asked_concurrency,
        "asked_request_rate_per_second": now.asked_rate_per_s,
        "request_rate_per_second": None if per_s is None else now.done * per_s,
        "output_token_rate_per_second": None if per_s is None else now.output_tokens * per_s,
        "send_lag_max_seconds": now.send_lag_max_s,
        "receive_lag_max_seconds": now.receive_lag_max_s,
        "worker_cpu_share": now.cpu_share,
        "stopping": float(now.stopping),
    }
    return {"load_point": [(1.0, labels)], **{name: [(value, {})] for name, value in gauges.items()}}

"""The progress of a run as families of metrics: counters that go on over its load points, and gauges of the one now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from inferometer.exchange.prometheus.exposition import Family, Kind, Sample
from inferometer.loadgen.progress import Observer, Progress
from inferometer.record.types import PointRecord

PREFIX = "inferometer_"
_LOADS = ("warmup", "measure")


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
        samples = (Sample(1, self._info),)
        info = Family(name=f"{PREFIX}run", kind="info", help="The run that is measured.", samples=samples)
        return [info, *_counters(totals), *([] if now is None else _gauges(now))]


def _place(progress: Progress) -> tuple[int, str]:
    return progress.point, progress.kind


def _added(ended: Mapping[str, _Counts], last: Progress) -> Mapping[str, _Counts]:
    if last.kind not in _LOADS:  # a rest, or a server that is started
        return ended
    return {**ended, last.kind: ended.get(last.kind, _Counts()).plus(last)}


def _counters(totals: Mapping[str, _Counts]) -> list[Family]:
    def family(name: str, text: str, values: Mapping[str, int]) -> Family:
        samples = tuple(Sample(value, {"kind": kind}) for kind, value in values.items())
        return Family(name=PREFIX + name, kind="counter", help=text, samples=samples)

    about = "since the run began, by kind of load point"
    return [
        family("requests_done", f"Requests that ended, failed ones included, {about}.",
               {kind: counts.done for kind, counts in totals.items()}),
        family("requests_failed", f"Requests that failed, {about}.",
               {kind: counts.failed for kind, counts in totals.items()}),
        family("output_tokens", f"Output tokens of requests that ended, {about}.",
               {kind: counts.output_tokens for kind, counts in totals.items()}),
    ]  # fmt: skip


def _gauges(now: Progress) -> list[Family]:
    """The load point under way; what is not known has no sample."""
    labels = {"point": str(now.point), "points": str(now.points_total), "kind": now.kind, "load": now.title}
    per_s = 1.0 / now.elapsed_s if now.elapsed_s > 0 and now.kind in _LOADS else None
    point = Family(
        name=f"{PREFIX}load_point",
        kind="info",
        help="The load point under way.",
        samples=(Sample(1, labels),),
    )
    found: list[tuple[str, str, float | None, str]] = [
        ("requests_in_flight", "Requests sent and not ended.", now.in_flight, ""),
        ("load_point_requests_planned", "Requests of the load point; absent when time alone bounds it.",
         now.planned, ""),
        ("load_point_elapsed_seconds", "Time since the load point began.", now.elapsed_s, "seconds"),
        ("load_point_limit_seconds", "Time limit of the load point.", now.limit_s, "seconds"),
        ("run_left_seconds", "Estimated time until the whole run ends.", now.run_left_s, "seconds"),
        ("asked_concurrency", "Requests in flight that were asked for, or the limit on them.",
         now.asked_concurrency, ""),
        ("asked_request_rate_per_second", "Requests per second that were asked for; +Inf = all at once.",
         now.asked_rate_per_s, ""),
        ("request_rate_per_second", "Requests that ended per second since the load point began.",
         None if per_s is None else now.done * per_s, ""),
        ("output_token_rate_per_second", "Output tokens per second since the load point began.",
         None if per_s is None else now.output_tokens * per_s, ""),
        ("send_lag_max_seconds", "Longest time from due to sent, in the latest second, of all workers.",
         now.send_lag_max_s, "seconds"),
        ("receive_lag_max_seconds", "Longest time from received by the kernel to read, in the latest second.",
         now.receive_lag_max_s, "seconds"),
        ("worker_cpu_share", "CPU of the busiest worker in the latest second, as a share of one core.",
         now.cpu_share, ""),
        ("stopping", "1 when the load point sends nothing more.", float(now.stopping), ""),
    ]  # fmt: skip
    kind: Kind = "gauge"
    return [
        point,
        *(
            Family(name=PREFIX + name, kind=kind, help=text, samples=(Sample(value),), unit=unit)
            for name, text, value, unit in found
            if value is not None
        ),
    ]

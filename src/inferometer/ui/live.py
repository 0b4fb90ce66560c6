"""A run in progress in numbers, from its journal alone: whoever started it, and wherever it was started from.

Latencies count from the planned time, as in the report. Rates are of finished requests: the tokens of an answer count
in the second in which it ended.
"""

from __future__ import annotations

import threading
from array import array
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from inferometer.clock import AnchoredClock
from inferometer.errors import InferometerError
from inferometer.metrics.percentiles import stat
from inferometer.record.folder import read_meta
from inferometer.record.following import RunFollower, quiet_s
from inferometer.record.journal import PointEnd, PointStart
from inferometer.record.lock import is_written
from inferometer.record.types import HealthSample, PointRecord, RequestRecord
from inferometer.spec import load_title

MOST_BINS = 240
SHOWN = (50.0, 90.0, 99.0)
_QUIET_S = 10.0  # a run that goes on writes a health sample about once a second
_LOOK_EVERY_NS = 300_000_000


class LivePoint(msgspec.Struct, frozen=True, kw_only=True):
    """A load point so far.

    Attributes:
        title: "concurrency 16".
        planned: requests; None when only time bounds it.
        done: finished, failed ones included.
        in_flight: at the latest health samples, which come once a second; None before the first.
        elapsed_s: since it began, to the latest thing that is known of it.
        output_tokens: of finished requests, where they are known.
        request_rate_per_s, output_rate_per_s: over ``elapsed_s``; None in the first instant.
        ttft_ms, tpot_ms: percentiles of the successful requests so far; None = too few of them.
        ended: whether all of its workers have ended it.
    """

    index: int
    kind: str
    title: str
    planned: int | None
    done: int
    failed: int
    in_flight: int | None
    elapsed_s: float
    output_tokens: int
    request_rate_per_s: float | None
    output_rate_per_s: float | None
    ttft_ms: dict[str, float | None]
    tpot_ms: dict[str, float | None]
    ended: bool


class LiveRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run so far.

    Attributes:
        folder: its path, as the pages were given it.
        state: "open": it goes on; "quiet": nothing came for a while and nobody writes to it, it was killed; "closed":
            it has ended, and can be reported.
        points: those that have begun, in their order.
        points_total: measured ones that were planned; a search plans as it goes.
        quiet_s: since the journal was last written to; None when it has ended.
    """

    name: str
    folder: str
    model: str
    simulated: bool
    state: str
    points: list[LivePoint]
    points_total: int
    quiet_s: float | None = None


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """The load point under way over time: one element a bin.

    Attributes:
        seconds: where each bin ends, since the load point began.
        requests_per_s, output_per_s: finished in the bin.
        ttft_ms: median of those; NaN without any.
        in_flight: at its end; NaN where it is not known.
        count: requests in all bins.
    """

    seconds: np.ndarray
    requests_per_s: np.ndarray
    output_per_s: np.ndarray
    ttft_ms: np.ndarray
    in_flight: np.ndarray
    count: int


class _Point:
    """What has come of one load point."""

    def __init__(self, record: PointRecord) -> None:
        self.record = record
        self.epochs_ns: dict[int, int] = {}
        self.ended: set[int] = set()
        self.last_s = 0.0
        self.failed = 0
        self.tokens = 0
        self.ends_s = array("d")  # eight bytes each: a run may have millions
        self.sizes = array("q")
        self.ttft_ms = array("d")
        self.tpot_ms = array("d")
        self.in_flight: dict[int, int] = {}
        self.flights: list[tuple[float, int]] = []

    def since_s(self, worker: int, at_ns: int) -> float | None:
        """Seconds since the load point began, each worker by the clock of its own machine."""
        epoch_ns = self.epochs_ns.get(worker)
        if epoch_ns is None:
            return None
        seconds = max(0.0, (at_ns - epoch_ns) / 1e9)
        self.last_s = max(self.last_s, seconds)
        return seconds

    def add(self, record: RequestRecord) -> None:
        tokens = _first_known(record.output_tokens_server, record.output_tokens_client) or 0
        end_ns = record.end_ns or record.last_token_ns or record.sent_ns or record.planned_ns
        self.ends_s.append(self.since_s(record.worker, end_ns) or 0.0)
        ok = record.status == "ok"
        self.failed += not ok
        self.tokens += tokens if ok else 0
        self.sizes.append(tokens if ok else 0)
        first = record.first_token_ns if ok and record.streamed else None
        self.ttft_ms.append(np.nan if first is None else (first - record.planned_ns) / 1e6)
        if first is not None and record.last_token_ns is not None and tokens > 1:
            self.tpot_ms.append((record.last_token_ns - first) / 1e6 / (tokens - 1))

    def sample(self, sample: HealthSample) -> None:
        at_s = self.since_s(sample.worker, sample.at_ns)
        self.in_flight[sample.worker] = sample.in_flight_requests
        if at_s is not None:
            self.flights.append((at_s, sum(self.in_flight.values())))

    def figures(self) -> LivePoint:
        record, done = self.record, len(self.ends_s)
        over = self.last_s if self.last_s > 0 else None
        ended = len(self.ended) >= max(record.workers, 1)
        return LivePoint(
            index=record.index,
            kind=record.kind,
            title=load_title(record.load),
            planned=record.planned_requests,
            done=done,
            failed=self.failed,
            in_flight=0 if ended else sum(self.in_flight.values()) if self.in_flight else None,
            elapsed_s=self.last_s,
            output_tokens=self.tokens,
            request_rate_per_s=None if over is None else done / over,
            output_rate_per_s=None if over is None else self.tokens / over,
            ttft_ms=_percentiles(self.ttft_ms),
            tpot_ms=_percentiles(self.tpot_ms),
            ended=ended,
        )

    def course(self) -> Course | None:
        """None before the first second has gone by."""
        span_s = max(1.0, np.ceil(self.last_s / MOST_BINS))
        bins = int(self.last_s // span_s)
        if bins < 1:
            return None
        place = np.minimum((np.array(self.ends_s) // span_s).astype(np.int64), bins)
        counts = np.bincount(place, minlength=bins + 1)[:bins]
        tokens = np.bincount(place, weights=np.array(self.sizes), minlength=bins + 1)[:bins]
        ttft = np.array(self.ttft_ms)[np.argsort(place, kind="stable")]
        flights = np.full(bins, np.nan)
        for at_s, number in self.flights:
            flights[min(int(at_s // span_s), bins - 1)] = number
        return Course(
            seconds=(np.arange(bins) + 1.0) * span_s,
            requests_per_s=counts / span_s,
            output_per_s=tokens / span_s,
            ttft_ms=np.array([_median(part) for part in np.split(ttft, np.cumsum(counts))[:bins]]),
            in_flight=flights,
            count=int(counts.sum()),
        )


class Watch:
    """Follows one run for any number of watchers; may be asked by several threads.

    Args:
        folder: the run folder.
        clock: says when to read anew, and how long the journal has been quiet.
    """

    def __init__(self, folder: Path, clock: AnchoredClock) -> None:
        self._follower = RunFollower(folder)
        self._clock = clock
        self._points: dict[int, _Point] = {}
        self._lock = threading.Lock()
        self._looked_ns: int | None = None
        self._found: tuple[LiveRun, Course | None] | None = None

    def look(self) -> tuple[LiveRun, Course | None]:
        """The run so far, and the course of its latest load point; at most three times a second read anew.

        Raises:
            RunFolderError: there is no such run any more.
        """
        with self._lock:
            now_ns = self._clock.now_ns()
            if self._found is None or self._looked_ns is None or now_ns - self._looked_ns > _LOOK_EVERY_NS:
                self._looked_ns = now_ns
                self._found = self._read()
            return self._found

    def _read(self) -> tuple[LiveRun, Course | None]:
        meta = read_meta(self._follower.folder)
        self._take()
        while self._follower.behind:
            self._take()
        now_ns = self._clock.realtime_ns()
        state = "closed" if self._follower.closed else "open"
        if state == "open" and was_killed(self._follower.folder, now_ns):
            state = "quiet"
        points = [self._points[index] for index in self._points]
        run = LiveRun(
            name=self._follower.folder.name,
            folder=str(self._follower.folder),
            model=meta.model,
            simulated=meta.simulated,
            state=state,
            points=[point.figures() for point in points],
            points_total=sum(point.kind == "measure" for point in meta.points),
            quiet_s=quiet_s(self._follower.folder, now_ns),
        )
        return run, points[-1].course() if points else None

    def _take(self) -> None:
        for frame in self._follower.look():
            if isinstance(frame, PointStart):
                self._begin(frame)
            elif isinstance(frame, PointEnd):
                point = self._points.get(frame.point.index)
                if point is not None:
                    point.ended.add(frame.worker)
                    if frame.point.end_ns is not None:
                        point.since_s(frame.worker, frame.point.end_ns)
            elif isinstance(frame, RequestRecord):
                if frame.point in self._points:
                    self._points[frame.point].add(frame)
            elif isinstance(frame, HealthSample) and frame.point in self._points:
                self._points[frame.point].sample(frame)

    def _begin(self, frame: PointStart) -> None:
        known = self._points.get(frame.point.index)
        if known is None or known.record.sitting != frame.point.sitting:
            known = self._points[frame.point.index] = _Point(frame.point)
        if frame.point.epoch_ns is not None:
            known.epochs_ns[frame.worker] = frame.point.epoch_ns


class Watches:
    """One ``Watch`` a run that somebody looks at; ``clock`` is that of all."""

    def __init__(self, clock: AnchoredClock) -> None:
        self.clock = clock
        self._kept: dict[Path, Watch] = {}
        self._lock = threading.Lock()

    def of(self, folder: Path) -> Watch:
        """That of a run folder."""
        with self._lock:
            while len(self._kept) >= 16 and folder not in self._kept:
                del self._kept[next(iter(self._kept))]
            return self._kept.setdefault(folder, Watch(folder, self.clock))

    def forget(self, folder: Path) -> None:
        """Of a run that has ended."""
        with self._lock:
            self._kept.pop(folder, None)


def was_killed(folder: Path, realtime_ns: int) -> bool:
    """Whether nobody writes to a run that was not closed. Only after a while: see ``is_written``."""
    since_s = quiet_s(folder, realtime_ns)
    return since_s is not None and since_s > _QUIET_S and not is_written(folder)


def running(watches: Watches, folders: list[Path]) -> list[LiveRun]:
    """Those of ``folders`` that go on; of the others nothing is read."""
    found = []
    for folder in folders:
        if was_killed(folder, watches.clock.realtime_ns()):
            continue
        try:
            run, _ = watches.of(folder).look()
        except InferometerError:  # it was removed meanwhile
            continue
        if run.state == "open":
            found.append(run)
    return found


def _first_known(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _percentiles(values: array[float]) -> dict[str, float | None]:
    found = stat(np.array(values, dtype=np.float64), SHOWN)
    return {} if found is None else found.percentiles


def _median(values: Any) -> float:
    present = values[~np.isnan(values)]
    return float(np.median(present)) if len(present) else float("nan")

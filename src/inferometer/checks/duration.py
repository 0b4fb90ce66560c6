"""How long a plan will take: load points, pauses, and what goes on between them. Pure, but for what passes it on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice, pairwise
from typing import NamedTuple

import msgspec

from inferometer.loadgen.progress import Observer, Progress
from inferometer.metrics.pace import Lengths, Pace
from inferometer.record.types import PointRecord, RunMeta
from inferometer.schedule import planned_offsets_ns
from inferometer.spec import LoadPoint, RunSpec
from inferometer.spec.lengths import length_plan
from inferometer.spec.session_rules import parse_think_time
from inferometer.workload.lengths import mean_lengths

ASSUMED_START_S = 1.0  # processes begin
ASSUMED_BETWEEN_S = 0.2  # requests are made, connections opened, the end is waited for
ASSUMED_END_S = 0.5  # tables are written
DRAWN = 200_000  # arrivals that are drawn to know when the last one is due
_STRAY = (0.2, 5.0)  # what is measured may correct an estimate by so much


class Overhead(NamedTuple):
    """What a run spends beside its load, in seconds."""

    start_s: float = ASSUMED_START_S
    between_s: float = ASSUMED_BETWEEN_S
    end_s: float = ASSUMED_END_S


class PointTime(NamedTuple):
    """One load point of a plan.

    Attributes:
        point: index of the load point.
        pause_s: rest before it.
        load_s: from its first request to the end of its last; infinite for a trace, whose length is in its file.
        beyond: whether it has more requests in flight than were ever measured, so that its time is a guess.
    """

    point: int
    pause_s: float
    load_s: float
    beyond: bool


class PlanTime(NamedTuple):
    """A whole plan, in seconds."""

    points: tuple[PointTime, ...]
    overhead: Overhead

    @property
    def pauses_s(self) -> float:
        """All rests together."""
        return sum(point.pause_s for point in self.points)

    @property
    def beside_s(self) -> float:
        """What is neither load nor pause."""
        return self.overhead.start_s + self.overhead.between_s * len(self.points) + self.overhead.end_s

    @property
    def total_s(self) -> float:
        """From the start to the end."""
        return sum(point.load_s for point in self.points) + self.pauses_s + self.beside_s


def plan_time(
    spec: RunSpec, points: Sequence[LoadPoint], pace: Pace, overhead: Overhead | None = None
) -> PlanTime:
    """The time that a plan takes.

    Args:
        spec: what was asked for.
        points: all load points in their order, warm-ups too.
        pace: of the server.
        overhead: beside the load; None = assumed.
    """
    times = []
    rests = False
    for point in points:
        pause_s = (spec.sweep.pause_s or 0.0) if rests else 0.0
        load_s, in_flight = _load(spec, point, pace)
        beyond = pace.reach is not None and in_flight > 1.05 * pace.reach
        times.append(PointTime(point.index, pause_s, load_s, beyond))
        rests = point.kind == "measure"
    return PlanTime(tuple(times), overhead or Overhead())


def overhead_of(meta: RunMeta) -> Overhead:
    """What a run has spent beside its load; assumed where it did not go from its start to its end in one sitting."""
    if meta.state != "complete" or len(meta.sittings) != 1:
        return Overhead()
    points = [
        (point.epoch_ns, point.end_ns, point.paused_s or 0.0)
        for point in meta.points
        if point.epoch_ns is not None and point.end_ns is not None
    ]
    anchors = [anchor["monotonic_ns"] for anchor in meta.sittings[0].anchors]
    if not points or len(anchors) < 2:
        return Overhead()
    points.sort()
    gaps = [(after[0] - before[1]) / 1e9 - after[2] for before, after in pairwise(points)]
    between_s = sorted(gaps)[len(gaps) // 2] if gaps else ASSUMED_BETWEEN_S
    start_s = (points[0][0] - anchors[0]) / 1e9 - between_s
    return Overhead(max(start_s, 0.0), max(between_s, 0.0), max((anchors[-1] - points[-1][1]) / 1e9, 0.0))


def _load(spec: RunSpec, point: LoadPoint, pace: Pace) -> tuple[float, float]:
    """Seconds from the first request to the last end, and requests in flight meanwhile."""
    lengths = lengths_of(spec, point)
    if point.trace:
        return math.inf, 0.0
    seconds, in_flight = (
        _closed(spec, point, pace, lengths) if point.closed else _open(spec, point, pace, lengths)
    )
    return seconds, in_flight


def _closed(spec: RunSpec, point: LoadPoint, pace: Pace, lengths: Lengths) -> tuple[float, float]:
    slots = float(min(point.max_concurrency or 1, point.num_prompts or math.inf))
    request_s = _unit_s(spec, point, pace.request_s(slots, lengths))
    seconds = math.inf
    if point.num_prompts is not None:
        # Slots that end at different times leave some idle while the last requests end.
        ragged = point.num_prompts % slots != 0 and not point.waves
        turns = point.num_prompts / slots + 0.5 * ragged
        seconds = math.ceil(turns) * request_s if point.waves else turns * request_s
        if point.curve is not None:
            seconds = _until(point, point.num_prompts * request_s) + request_s
    return _within(spec, point, seconds, request_s), slots


def _open(spec: RunSpec, point: LoadPoint, pace: Pace, lengths: Lengths) -> tuple[float, float]:
    limit = None if point.max_concurrency is None else float(point.max_concurrency)
    rate = point.mean_rate or math.inf
    if math.isinf(rate):  # all at once
        at_once = float(min(point.num_prompts or math.inf, limit or math.inf))
        request_s = _unit_s(spec, point, pace.request_s(at_once, lengths))
        return _within(spec, point, request_s * (point.num_prompts or 1) / at_once, request_s), at_once
    last_s, arrived = _arrivals(point, rate)
    capacity = pace.capacity_per_s(lengths, limit) / _turns(spec, point)
    in_flight = min(_in_flight(rate, pace, lengths), limit or math.inf, max(arrived, 1.0))
    if rate > capacity:  # what the server cannot keep up with piles up, and is worked off afterwards
        drain_s = max(arrived / capacity - last_s, _unit_s(spec, point, pace.request_s(1.0, lengths)))
    else:
        drain_s = _unit_s(spec, point, pace.request_s(in_flight, lengths))
    if point.duration_s is not None:
        drain_s = 0.0 if point.drain == "cut" else min(drain_s, spec.load.grace_s)
    return last_s + drain_s, in_flight


def _in_flight(rate: float, pace: Pace, lengths: Lengths) -> float:
    """Requests in flight at a rate, by Little's law: rate x latency, which itself depends on them."""
    low, high = 0.0, 2.0
    while high < 1e6 and high / pace.request_s(high, lengths) < rate:
        high *= 2.0
    for _ in range(40):
        middle = (low + high) / 2.0
        low, high = (middle, high) if middle / pace.request_s(middle, lengths) < rate else (low, middle)
    return high


def _arrivals(point: LoadPoint, rate: float) -> tuple[float, float]:
    """When the last request of an open loop is due, in seconds, and how many there are."""
    if point.num_prompts is not None and point.num_prompts <= DRAWN:
        offsets = list(islice(planned_offsets_ns(point), DRAWN))
        return (offsets[-1] / 1e9 if offsets else 0.0), float(len(offsets))
    last_s = min(
        point.duration_s or math.inf, math.inf if point.num_prompts is None else point.num_prompts / rate
    )
    return last_s, last_s * rate


def _within(spec: RunSpec, point: LoadPoint, seconds: float, request_s: float) -> float:
    """Seconds of a closed loop under its time limit, with the drain after it."""
    if point.duration_s is None or seconds <= point.duration_s:
        return seconds
    return point.duration_s + (0.0 if point.drain == "cut" else min(request_s, spec.load.grace_s))


def _until(point: LoadPoint, work: float) -> float:
    """When a concurrency that changes has given ``work`` request-seconds."""
    curve = point.curve
    assert curve is not None
    low, high = 0.0, 1.0
    while curve.area(high) < work and high < 1e9:
        high *= 2.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if curve.area(middle) < work else (low, middle)
    return high


def _turns(spec: RunSpec, point: LoadPoint) -> int:
    return max(1, spec.sessions.turns) if spec.sessions.wanted and point.kind == "measure" else 1


def _unit_s(spec: RunSpec, point: LoadPoint, request_s: float) -> float:
    """Seconds of what holds a permit: a request, or a session of several turns with its pauses."""
    later = _turns(spec, point) - 1  # a file's own number is not known beforehand
    return request_s + later * (request_s + parse_think_time(spec.sessions.think_time).mean_s)


def lengths_of(spec: RunSpec, point: LoadPoint) -> Lengths:
    """Mean tokens of prompts and answers of a load point, as far as they are known without its data."""
    if spec.workload.dataset != "random":
        return Lengths(None, spec.sampling.max_tokens or point.output_len)
    means = mean_lengths(length_plan(spec.workload, point.input_len, point.output_len))
    return Lengths(means[0], spec.sampling.max_tokens or means[1])


class Countdown:
    """Passes on what an observer is told, and adds how long the run still takes.

    The estimate of what is to come is corrected by how long the load points so far took against theirs.

    Args:
        observer: who is told.
        plan: the estimate.
    """

    def __init__(self, observer: Observer, plan: PlanTime) -> None:
        self._observer = observer
        self._plan = plan
        self._places: Mapping[int, int] = {each.point: place for place, each in enumerate(plan.points)}
        self._took_s = self._expected_s = 0.0

    def on_notice(self, text: str) -> None:
        """Pass it on."""
        self._observer.on_notice(text)

    def on_progress(self, progress: Progress) -> None:
        """Pass it on, with the time left."""
        self._observer.on_progress(msgspec.structs.replace(progress, run_left_s=self.left_s(progress)))

    def on_point_end(self, point: PointRecord) -> None:
        """Pass it on, and learn from it."""
        place = self._places.get(point.index)
        if (
            place is not None
            and point.kind == "measure"
            and point.epoch_ns is not None
            and point.end_ns is not None
        ):
            self._took_s += (point.end_ns - point.epoch_ns) / 1e9
            self._expected_s += self._plan.points[place].load_s
        self._observer.on_point_end(point)

    def left_s(self, progress: Progress) -> float | None:
        """Seconds until the run ends; None where it cannot be told."""
        place = self._place(progress)
        if place is None:
            return None
        now, rest = self._plan.points[place], self._plan.points[place + 1 :]
        if progress.kind == "pause":
            here_s = (progress.limit_s or 0.0) - progress.elapsed_s + now.load_s * self._correction
        else:
            here_s = self._here_s(progress, now.load_s)
        beside_s = self._plan.overhead.between_s * len(rest) + self._plan.overhead.end_s
        left_s = here_s + sum(point.pause_s + point.load_s * self._correction for point in rest) + beside_s
        return left_s if math.isfinite(left_s) else None

    @property
    def _correction(self) -> float:
        if not 0.0 < self._expected_s < math.inf:
            return 1.0
        return min(max(self._took_s / self._expected_s, _STRAY[0]), _STRAY[1])

    def _place(self, progress: Progress) -> int | None:
        """Where the load point under way is in the plan; a warm-up of its own stands before its point."""
        place = self._places.get(-progress.point if progress.kind == "pause" else progress.point)
        return self._places.get(progress.point) if place is None else place

    def _here_s(self, progress: Progress, expected_s: float) -> float:
        """Of the load point under way: the share that is done tells more the larger it is."""
        expected_s *= self._correction
        if not progress.planned or not progress.done:
            return max(expected_s - progress.elapsed_s, 0.0)
        done = min(progress.done / progress.planned, 1.0)
        paced_s = progress.elapsed_s * (1.0 - done) / done
        left_s = done * paced_s + (1.0 - done) * max(expected_s - progress.elapsed_s, 0.0)
        return (
            left_s
            if progress.limit_s is None
            else min(left_s, max(progress.limit_s - progress.elapsed_s, 0.0))
        )

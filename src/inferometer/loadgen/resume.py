"""Going on with a run: which load points it has, under which numbers, and what is left to measure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from inferometer.clock import AnchoredClock, utc_now
from inferometer.errors import RunFolderError
from inferometer.loadgen.conduct import CarryOut, Conduct, Finished, is_higher
from inferometer.loadgen.plan import point_record
from inferometer.record.engine import ENGINE_LOG
from inferometer.record.folder import JOURNAL, write_meta
from inferometer.record.sittings import begin_sitting, is_finished
from inferometer.record.store import StoredPoints, read_closed_point
from inferometer.record.tables import PointTable, Telemetry
from inferometer.record.types import PointRecord, RunMeta, Sitting
from inferometer.spec import LoadPoint
from inferometer.workload import RowFeed

_DEFAULTS = {field.name: field.default for field in fields(LoadPoint) if field.default is not MISSING}
_NUMBERS = ("request_rate", "burstiness")  # which may be the text "inf"


def identity_of(load: Mapping[str, Any]) -> str:
    """``LoadPoint.identity`` of a load as ``run.json`` has it, also of a version that knew fewer fields.

    The number of requests of a trace follows from its file, which is held against the stored one by itself.
    """
    whole = {**_DEFAULTS, **load}
    own = {name: value for name, value in whole.items() if name != "index"}
    if own["trace"]:
        own["num_prompts"] = None
    return json.dumps(own, sort_keys=True)


def stored_point(load: Mapping[str, Any]) -> LoadPoint:
    """A load point from what ``run.json`` has of it."""
    names = [field.name for field in fields(LoadPoint)]
    own = {name: load[name] for name in names if name in load}
    return LoadPoint(**{**own, **{name: math.inf for name in _NUMBERS if own.get(name) == "inf"}})


@dataclass
class Past:
    """What the earlier sittings of a run have left, and what was asked for now.

    Attributes:
        folder: the run folder, closed.
        lock: descriptor of its lock, which is held until the run has ended.
        meta: its ``run.json``.
        stored: its load points.
        changed: what is not as it was, and is accepted.
        redo: numbers of load points that are to be measured again.
        asked: the measured load points of the list that is asked for now, with their numbers in this run, in order.
    """

    folder: Path
    lock: int
    meta: RunMeta
    stored: StoredPoints
    changed: tuple[str, ...] = ()
    redo: frozenset[int] = frozenset()
    asked: tuple[LoadPoint, ...] = ()

    def __post_init__(self) -> None:
        self._number_anew()

    def _number_anew(self) -> None:
        """No load point has a number yet, and all those in the run are to be had."""
        self._unclaimed: dict[str, list[int]] = {}
        for point in self.stored.points:
            if point.kind == "measure":
                self._unclaimed.setdefault(identity_of(point.load), []).append(point.index)
        self._claimed: dict[int, LoadPoint] = {}
        self._next = max([point.index for point in self.stored.points], default=0) + 1

    @property
    def highest(self) -> int:
        """The highest number of a load point."""
        numbers = [point.index for point in self.stored.points] + [point.index for point in self.asked]
        return max(numbers, default=0)

    def settle(self, point: LoadPoint) -> LoadPoint:
        """The same load point under its number in this run: that of an equal one, whatever became of it, or a new one.

        A number is given once, so that of two equal load points each has its own.
        """
        if point.kind != "measure" or self._claimed.get(point.index) == point:
            return point
        waiting = self._unclaimed.get(identity_of(point.to_dict()), [])
        if waiting:
            number = point.index if point.index in waiting else waiting[0]
            waiting.remove(number)
        else:
            number, self._next = self._next, self._next + 1
        settled = self._claimed[number] = replace(point, index=number)
        return settled

    def ask(self, points: Sequence[LoadPoint]) -> None:
        """Take up the list that is asked for, in its order, in place of what was asked before."""
        self._number_anew()
        self.asked = tuple(self.settle(point) for point in points if point.kind == "measure")

    def finished(self, index: int) -> PointRecord | None:
        """The load point of that number, if it is there and need not be measured again."""
        found = next((point for point in self.stored.points if point.index == index), None)
        done = found is not None and index not in self.redo and is_finished(found, self.stored.successes)
        return found if done else None

    @property
    def missing(self) -> tuple[LoadPoint, ...]:
        """Those of the list that are to be measured."""
        left_out = {point.index for point in self.left_out}
        lacking = (point for point in self.asked if self.finished(point.index) is None)
        return tuple(point for point in lacking if point.index not in left_out)

    @property
    def left_out(self) -> tuple[LoadPoint, ...]:
        """Those of the list that would measure nothing: the server fell behind at a lower rate, see ``in_order``."""
        done = [record for point in self.asked if (record := self.finished(point.index)) is not None]
        overrun = [record for record in done if record.stop_reason == "saturated"]
        lacking = (point for point in self.asked if self.finished(point.index) is None)
        return tuple(
            point
            for point in lacking
            if point.index not in self.redo and any(is_higher(point, known) for known in overrun)
        )

    @property
    def others(self) -> tuple[PointRecord, ...]:
        """Finished ones that the list does not have."""
        asked = {point.index for point in self.asked}
        measured = [point for point in self.stored.points if point.kind == "measure"]
        return tuple(
            point for point in measured if point.index not in asked and self.finished(point.index) is not None
        )


def taken_up(past: Past, now: RunMeta) -> RunMeta:
    """``run.json`` of a run that goes on: what is asked for ``now``, with what is there.

    Load points stand in the order of the list, those that it does not have behind them. What is there of one that is
    measured again counts until the new measurement has come to its end.

    Args:
        past: what is there.
        now: as for a new run, with the load points that are to be measured.
    """
    then = past.meta
    sittings = list(then.sittings) or [Sitting(began_utc=then.created_utc, state=then.state)]
    sittings[-1] = msgspec.structs.replace(sittings[-1], notes=then.notes)
    return msgspec.structs.replace(
        now,
        run_id=then.run_id,
        created_utc=then.created_utc,
        label=then.label,
        labels=then.labels,
        simulated=now.simulated or then.simulated,
        sittings=sittings,
        nodes=list(then.nodes),
        points=list(_arranged(past, now.points)),
    )


def _arranged(past: Past, planned: Sequence[PointRecord]) -> Iterator[PointRecord]:
    begun = {point.index: point for point in past.stored.points if point.epoch_ns is not None}
    unbegun = {point.index: point for point in past.stored.points if point.epoch_ns is None}
    known = {**unbegun, **{point.index: point for point in planned}, **begun}
    yield from (point for point in known.values() if point.kind == "warmup")
    for point in past.asked:
        if point.index in known:  # else it is new, and left out
            record = known[point.index]
            yield msgspec.structs.replace(record, redo=point.index in past.redo or record.redo)
    yield from past.others


def open_sitting(folder: Path, meta: RunMeta, clock: AnchoredClock, changed: Sequence[str]) -> None:
    """Begin to measure into a run folder, new or closed: nothing that it holds is lost if the run is killed in between.

    Raises:
        RunFolderError: the folder cannot be written.
    """
    earlier = len(meta.sittings)
    begin_sitting(meta, utc_now().isoformat(timespec="seconds"), clock, changed)
    write_meta(folder, meta)  # before there is a journal: one that is there belongs to the latest sitting
    try:
        (folder / JOURNAL).mkdir(exist_ok=True)
        if earlier:
            _put_away(folder, earlier)
    except OSError as error:
        raise RunFolderError(
            f"run folder {str(folder)!r} cannot be written: {error.strerror}",
            "free some space, or fix its rights",
        ) from None


def _put_away(folder: Path, sitting: int) -> None:
    """Keep what the workers and the server of a sitting said, and drop what is derived from load points that may go."""
    for log in (*folder.glob("worker-*.log"), *folder.glob(ENGINE_LOG)):
        if log.stat().st_size == 0:
            log.unlink()
        elif ".sitting-" not in log.name:
            log.rename(log.with_name(f"{log.stem}.sitting-{sitting}.log"))
    for derived in folder.glob("vllm/point-*.json"):
        derived.unlink()


def go_on(past: Past, conduct: Conduct, feed: RowFeed) -> Conduct:
    """``conduct``, with load points that are there handed over from the tables and not carried out.

    A warm-up waits until something is to be measured, or somebody reads it; of several, the latest counts. Rows of the
    data set that earlier sittings have drawn are drawn once more and left out, so that what was sent before is not sent
    again while there is anything else, and what is sent is what an uninterrupted run would have sent.
    """

    def conducted(carry_out: CarryOut) -> None:
        conduct(_GoingOn(past, feed, carry_out).carried)

    return conducted


class _GoingOn:
    """Carries out what is missing."""

    def __init__(self, past: Past, feed: RowFeed, carry_out: CarryOut) -> None:
        self._past = past
        self._feed = feed
        self._carry_out = carry_out
        self._due: LoadPoint | None = None
        self._warm: dict[LoadPoint, Finished] = {}
        self._drawn = False

    def carried(self, point: LoadPoint) -> Finished:
        point = self._past.settle(point)
        if point.kind == "warmup":
            self._due = point
            return Finished(point_record(point), None, partial(self._read_warmup, point))
        stored = self._past.finished(point.index)
        if stored is not None:
            return Finished(stored, None, partial(read_closed_point, self._past.folder, stored))
        if self._due is not None:
            self._warm_up(self._due)
        self._draw_again()
        return self._carry_out(point)

    def _read_warmup(self, point: LoadPoint) -> tuple[PointTable, Telemetry]:
        if point not in self._warm:
            self._warm_up(point)
        return self._warm[point].read()

    def _warm_up(self, point: LoadPoint) -> None:
        if point.index != 0:
            self._draw_again()
        self._due = None
        self._warm[point] = self._carry_out(point)

    def _draw_again(self) -> None:
        """Draw what earlier sittings have drawn, once, in their order.

        The warm-up of the whole run is left out: it comes first, and has drawn the same rows anew.
        """
        if self._drawn:
            return
        self._drawn = True
        begun = [
            point for point in self._past.stored.points if point.epoch_ns is not None and point.index != 0
        ]
        for point in sorted(begun, key=lambda point: (point.sitting, point.epoch_ns)):
            self._feed.draw_again(stored_point(point.load), point.dispatched)

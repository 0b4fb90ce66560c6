"""Search: load points that follow from the results of those before, in one run folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from inferometer.api.found import Answer, answer_of
from inferometer.api.launched import Launched, as_the_engine_speaks
from inferometer.api.measuring import (
    EXIT_INTERRUPTED,
    EXIT_INVALID,
    EXIT_SLO_NOT_MET,
    RunResult,
    carried_out,
    judged,
)
from inferometer.api.preparing import prepare
from inferometer.api.resuming import Resumption, chosen, going_on, plan_on
from inferometer.client.dialects.asked import settle
from inferometer.errors import InterruptedEarlyError
from inferometer.loadgen.conduct import CarryOut, Conduct, EndOfRun, Finished
from inferometer.loadgen.progress import NullObserver, Observer
from inferometer.loadgen.resume import Past
from inferometer.loadgen.run_plan import RunPlan
from inferometer.loadgen.stop import StopSignal
from inferometer.metrics.capacity import Capacity, Probe
from inferometer.metrics.latency import NS_PER_S
from inferometer.metrics.summary import PointSummary, summarize_point
from inferometer.record.folder import read_meta
from inferometer.record.store import read_run
from inferometer.record.tables import PointTable, Telemetry
from inferometer.spec import RunSpec, resolve_ignore_eos
from inferometer.spec.search_rules import check_search, settled
from inferometer.spec.stored import check_kind, check_variable
from inferometer.tuner.objective import objectives_of
from inferometer.tuner.outlook import first_wanted
from inferometer.tuner.points import Wanted, load_of, point_of, spec_of
from inferometer.tuner.slo_search import find_capacity, start_of
from inferometer.tuner.targets import find_target

Tell = Callable[[Probe], None]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A search that came to its end.

    Attributes:
        run: the load points as a run, with ``path`` and ``summary``.
        answer: what was found; None when not one load point was measured.
        exit_code: 0 found, 3 even the lowest load fails, 5 not sure or the client was the limit, 130 interrupted.
    """

    run: RunResult
    answer: Answer | None
    exit_code: int


def search(
    spec: RunSpec,
    observer: Observer | None = None,
    stop: StopSignal | None = None,
    tell: Tell = lambda probe: None,
    going: tuple[Path, Resumption] | None = None,
) -> SearchResult:
    """Measure loads, one after the other, until what ``spec.search.target`` names is known.

    Args:
        spec: what to do; without ``search.target`` it is the largest load within limits.
        observer: told how far it is.
        stop: asked for, it ends the search early with what was measured.
        tell: told of each load point once it is judged; of a search for the largest load within limits.
        going: the folder of a search to go on with, and how.

    Raises:
        InferometerError: something a person can act on; see ``inferometer.errors``.
    """
    stop, observer, spec = stop or StopSignal(), observer or NullObserver(), settled(spec)
    check(spec)
    spec = as_the_engine_speaks(spec)
    with Launched(spec, observer, stop, None if going is None else going[0].parent) as launched:
        if going is None:
            plan = planned(spec, prepare(spec_of(spec, first_wanted(spec)), stop, launched))
            if stop.level:
                raise InterruptedEarlyError("interrupted before the first request was sent")
            folder = carried_out(plan, observer, stop, Conductor(plan.spec, tell).conduct(plan))
        else:
            folder = _went_on(spec, going, (observer, stop, tell), launched)
    return found(folder, stop)


def found(folder: Path, stop: StopSignal) -> SearchResult:
    """What a search that has ended found, its report written.

    Raises:
        InferometerError: the report cannot be made; what was measured is in the folder.
    """
    result = judged(folder, stop)
    answer = answer_of(read_run(folder), result.summary)
    return SearchResult(result, answer, EXIT_INTERRUPTED if stop.level else exit_code_of(answer))


def check(spec: RunSpec) -> None:
    """Refuse what cannot be searched for, before anything is sent.

    Raises:
        UsageError: what is wrong and what to do.
    """
    check_search(spec)
    point_of(spec, first_wanted(spec), 1)
    if spec.search.target == "slo":
        objectives_of(spec.measure.slo)
        if spec.load.warmup == 0:
            start_of(spec, None)


def planned(spec: RunSpec, plan: RunPlan) -> RunPlan:
    """The plan without load points but its warm-up; the spec with the load as it was asked for."""
    asked = settle(spec).spec
    kept = plan.spec.model_copy(
        update={name: getattr(asked, name) for name in ("load", "sweep", "shape", "workload")}
    )
    warmups = tuple(point for point in plan.points if point.kind == "warmup")[:1]
    return replace(plan, spec=kept, points=warmups, numbered=max(plan.numbered, spec.search.max_probes))


def _went_on(
    spec: RunSpec,
    going: tuple[Path, Resumption],
    told: tuple[Observer, StopSignal, Tell],
    launched: Launched,
) -> Path:
    folder, how = going
    observer, stop, tell = told
    stored = read_meta(folder).spec
    check_kind(stored, folder.name, "search")
    check_variable(stored, folder.name, spec)
    with going_on(folder, spec, how) as (past, asked):
        past.redo = chosen(past, how.redo)
        first = spec_of(asked, first_wanted(asked))
        plan = planned(asked, replace(plan_on(past, first, how, stop, launched), numbered=past.highest))
        carried_out(plan, observer, stop, Conductor(plan.spec, tell, past).conduct(plan), past)
    return folder


class Conductor:
    """Lets the search decide, and the run measure."""

    def __init__(self, spec: RunSpec, tell: Tell, past: Past | None = None) -> None:
        self._spec = spec
        self._tell = tell
        self._past = past
        self._index = 0

    def conduct(self, plan: RunPlan) -> Conduct:
        """What ``execute`` is given."""

        def conducted(carry_out: CarryOut) -> None:
            warm = [carry_out(point) for point in plan.points]
            start = self._start(warm)

            def carry(wanted: Wanted) -> tuple[PointTable, Telemetry]:
                return self._measured(carry_out, wanted)

            if self._spec.search.target == "slo":
                find_capacity(self._spec, start, carry, self._tell)
            else:
                find_target(self._spec, start, lambda wanted: self._summary(carry(wanted)))

        return conducted

    def _start(self, warm: list[Finished]) -> float:
        """The first load: that of the search that goes on, else from the warm-up's latency."""
        if self._past is not None:
            stored = [point for point in self._past.stored.points if point.kind == "measure"]
            if stored and self._spec.search.target != "max-batch":
                first = min(stored, key=lambda point: point.index)
                return load_of(self._spec.search.varied, first.load)
        tables = [finished.read()[0] for finished in warm]
        return start_of(self._spec, _latency_s(tables[0]) if tables else None)

    def _measured(self, carry_out: CarryOut, wanted: Wanted) -> tuple[PointTable, Telemetry]:
        self._index += 1
        finished = carry_out(point_of(self._spec, wanted, self._index))
        if finished.point.stop_reason in ("unreachable", "lost", "disk", "interrupted"):
            raise EndOfRun(finished.hopeless or f"the search ended early: {finished.point.stop_reason}")
        return finished.read()

    def _summary(self, measured: tuple[PointTable, Telemetry]) -> PointSummary:
        sampling = self._spec.sampling.model_copy(update={"ignore_eos": resolve_ignore_eos(self._spec)})
        return summarize_point(measured[0], self._spec.measure, sampling, measured[1])


def _latency_s(table: PointTable) -> float | None:
    """Mean time from send to end of the requests that succeeded."""
    took_ns = (table.number("end_ns") - table.number("sent_ns"))[table.text("status") == "ok"]
    known = took_ns[np.isfinite(took_ns)]
    return float(known.mean()) / NS_PER_S if len(known) else None


def exit_code_of(answer: Answer | None) -> int:
    """How a search ends that was not interrupted; see ``SearchResult``."""
    if answer is None:
        return EXIT_INVALID
    found = answer.found
    if isinstance(found, Capacity):
        by_status = {"none": EXIT_SLO_NOT_MET, "unsure": EXIT_INVALID, "client": EXIT_INVALID}
        return by_status.get(found.status, EXIT_INVALID if found.load is None else 0)
    if isinstance(found, list):
        # A batch at the end of the range is not sure to be the largest, but surely meets the limit.
        if not all(each.sure or each.batch == each.high for each in found):
            return EXIT_INVALID
        return 0 if any(each.batch is not None for each in found) else EXIT_SLO_NOT_MET
    return 0 if found.sure else EXIT_INVALID

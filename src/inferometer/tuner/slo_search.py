"""The search for the largest good load, from spec to settings, and its loop over what measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inferometer.errors import UsageError
from inferometer.metrics.capacity import Capacity, Probe
from inferometer.metrics.summary import summarize_point
from inferometer.record.tables import PointTable, Telemetry
from inferometer.spec import RunSpec, resolve_ignore_eos
from inferometer.tuner.capacity import Ask, Settings, Stop, conclude, next_step
from inferometer.tuner.objective import Objective, objectives_of
from inferometer.tuner.points import Wanted, load_of
from inferometer.tuner.reading import probe_of

Carry = Callable[[Wanted], tuple[PointTable, Telemetry] | None]
"""Measures a load; None when nothing more is to be measured."""

_START = 0.25  # of the rate of one request after the other
_LOWEST = 0.25  # of the first rate


def start_of(spec: RunSpec, e2el_s: float | None) -> float:
    """The first load.

    Args:
        spec: what was asked for.
        e2el_s: mean latency of a request at next to no load, from the warm-up; None without one.

    Raises:
        UsageError: nothing says where to begin.
    """
    lowest = spec.search.lowest
    if lowest is not None:
        return lowest
    if spec.search.varied == "max-concurrency":
        return 1.0
    if e2el_s is None:
        raise UsageError(
            "without a warm-up nothing says at which rate to begin", "give --min R, or drop --warmup 0"
        )
    start = float(f"{_START / e2el_s:.3g}")
    return start if spec.search.highest is None else min(start, spec.search.highest)


def settings_of(spec: RunSpec, objectives: Sequence[Objective], start: float) -> Settings:
    """What the spec says about a search that begins at ``start``."""
    asked = spec.search
    closed = asked.varied == "max-concurrency"
    return Settings(
        variable=asked.varied,
        start=start,
        lowest=asked.lowest or (1.0 if closed else float(f"{start * _LOWEST:.3g}")),
        highest=asked.highest,
        needs=max(objective.needs for objective in objectives),
        fixed=spec.load.num_prompts[0] if spec.load.num_prompts else None,
        max_probes=asked.max_probes,
        budget_s=asked.budget_s,
        precision=asked.precision,
        repeats=spec.sweep.repeat,
        seed=spec.load.seed,
    )


def find_capacity(spec: RunSpec, start: float, carry: Carry, tell: Callable[[Probe], None]) -> Capacity:
    """Measure until the largest good load is known, or nothing more can be measured.

    Raises:
        UsageError: the limits cannot be searched for.
    """
    objectives = objectives_of(spec.measure.slo)
    settings = settings_of(spec, objectives, start)
    probes: list[Probe] = []
    while True:
        step = next_step(probes, settings)
        if isinstance(step, Stop):
            return conclude(probes, settings, step)
        measured = carry(_wanted(step))
        if measured is None:
            return conclude(probes, settings)
        probes.append(probe_from(spec, objectives, measured))
        tell(probes[-1])


def again(spec: RunSpec, tables: Sequence[PointTable], telemetry: Telemetry) -> Capacity | None:
    """The result of a search from its load points, in order; None without any."""
    if not tables:
        return None
    objectives = objectives_of(spec.measure.slo)
    start = load_of(spec.search.varied, tables[0].point.load)
    settings = settings_of(spec, objectives, start)
    probes = [probe_from(spec, objectives, (table, telemetry)) for table in tables]
    step = next_step(probes, settings)
    return conclude(probes, settings, step if isinstance(step, Stop) else None)


def probe_from(
    spec: RunSpec, objectives: Sequence[Objective], measured: tuple[PointTable, Telemetry]
) -> Probe:
    """One load point, judged."""
    table, telemetry = measured
    sampling = spec.sampling.model_copy(update={"ignore_eos": resolve_ignore_eos(spec)})
    summary = summarize_point(table, spec.measure, sampling, telemetry)
    load = load_of(spec.search.varied, table.point.load)
    return probe_of(table, summary, objectives, spec.load.seed, load)


def _wanted(ask: Ask) -> Wanted:
    return Wanted(ask.load, ask.repeat, ask.requests)

"""One side of a comparison: one run or several, or numbers that were typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, harmonic_mean, variance
from typing import Any, NamedTuple

import msgspec

from inferometer.metrics.bootstrap import Part
from inferometer.metrics.comparing.gate import Facts
from inferometer.metrics.comparing.names import kind_of
from inferometer.metrics.comparing.units import Measured, Unit, typed_unit
from inferometer.metrics.percentiles import samples_needed

TYPED = "typed"
_RUNS_AS_UNITS = 4
_ALIKE = 2.0
"""Variance between runs / that between their repeats, up to which repeats of several runs count each for itself.

1 is to be expected where runs are alike. Measured on A/A pairs of 2 and 3 runs a side with 5 repeats each, where runs
differ by as much as repeats do: counting each repeat called 29 and 27 % of the pairs different at 5 %, this 6 and 3 %.
"""


class SideInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A side, for people.

    Attributes:
        letter: A for the first, then B ...
        label: what the user calls it.
        runs: ids; none of typed numbers.
        model: served.
        simulated: any of them.
        tool: that measured it, where another one did.
        unit: what counts as one measurement: "repeat", "run" or "value".
        repeats: how many of these there are of each load.
    """

    letter: str
    label: str
    runs: list[str]
    model: str
    simulated: bool
    tool: str = ""
    unit: str = "repeat"
    repeats: list[int] = []


class Side(NamedTuple):
    """A side with its loads; ``facts`` one a run."""

    info: SideInfo
    loads: dict[str, Measured]
    facts: list[Facts]


def side_of_runs(info: SideInfo, runs: Sequence[Mapping[str, Measured]], facts: Sequence[Facts]) -> Side:
    """Put runs together. Every repeat of every run counts as one measurement.

    From 4 runs on with several repeats each the run does, with the mean of its repeats: those of one run share a start
    of the server, and are more alike than runs are. With fewer it does so for figures by which runs do differ, see
    ``runs_differ``.
    """
    loads: dict[str, Measured] = {}
    by_run = len(runs) >= _RUNS_AS_UNITS and any(len(m.units) > 1 for run in runs for m in run.values())
    for run in runs:
        for key, measured in run.items():
            units = [_mean(measured.units)] if by_run else measured.units
            loads.setdefault(key, Measured(measured.load, [])).units.extend(units)
    repeats = [len(measured.units) for measured in loads.values()]
    info = msgspec.structs.replace(info, unit="run" if by_run else "repeat", repeats=repeats)
    return Side(info, loads, list(facts))


def side_of_values(info: SideInfo, values: Mapping[str, Sequence[float]]) -> Side:
    """A side of typed numbers, by key of the figure; several numbers are repeats, in order."""
    most = max(map(len, values.values()))
    units = [
        typed_unit({key: each[place] for key, each in values.items() if place < len(each)}, place + 1)
        for place in range(most)
    ]
    info = msgspec.structs.replace(info, unit="value", repeats=[most])
    return Side(info, {TYPED: Measured({}, units)}, [])


def parts_of(units: Sequence[Unit], key: str) -> list[Part]:
    """A figure of each of the repeats that have it.

    A percentile is there only if all repeats together have requests enough for it. Where runs differ by more than their
    repeats do, each run has one part, the mean of its repeats.
    """
    kind = kind_of(key)
    counts = [unit.counts.get(key.partition(".")[0]) for unit in units]
    told = [count for count in counts if count is not None]
    if kind is not None and kind.tail is not None and told and sum(told) < samples_needed(kind.tail):
        return []
    runs = _by_run(units, key)
    if runs_differ(units, key):
        return [_mean_part(run) for run in runs]
    return [part for run in runs for part in run]


def runs_differ(units: Sequence[Unit], key: str) -> bool:
    """Whether several runs with several repeats each differ in a figure by more than their repeats do."""
    runs = [[part.value for part in run] for run in _by_run(units, key)]
    repeated = [values for values in runs if len(values) > 1]
    if len(runs) < 2 or not repeated:
        return False
    between = variance(map(fmean, runs)) * harmonic_mean([len(values) for values in runs])
    return between > _ALIKE * fmean(map(variance, repeated))


def _by_run(units: Sequence[Unit], key: str) -> list[list[Part]]:
    found: dict[str, list[Part]] = {}
    for unit in units:
        if key in unit.parts:
            found.setdefault(unit.run, []).append(unit.parts[key])
    return list(found.values())


def common_loads(a: Side, b: Side) -> list[tuple[str, str]]:
    """Keys of the loads that both have; of two sides with one load each, that pair, whatever they are."""
    shared = [(key, key) for key in a.loads if key in b.loads]
    if not shared and len(a.loads) == 1 and len(b.loads) == 1:
        return [(next(iter(a.loads)), next(iter(b.loads)))]
    return shared


def load_of(a: Side, keys: tuple[str, str]) -> dict[str, Any]:
    """The load of a pair, as the first side asked for it."""
    return a.loads[keys[0]].load


def _mean(units: Sequence[Unit]) -> Unit:
    """A run as one measurement: the mean of its repeats, with the error inside them."""
    keys = [key for key in units[0].parts if all(key in unit.parts for unit in units)]
    parts = {key: _mean_part([unit.parts[key] for unit in units]) for key in keys}
    counts = {
        key: sum(unit.counts.get(key, 0) for unit in units)
        for key in dict.fromkeys(k for u in units for k in u.counts)
    }
    return Unit(units[0].run, 1, units[0].order, parts, counts)


def _mean_part(parts: Sequence[Part]) -> Part:
    """The mean of repeats, with the error inside them."""
    n = len(parts)
    return Part(
        fmean(p.value for p in parts), sum(p.variance for p in parts) / n**2, sum(p.freedom for p in parts)
    )

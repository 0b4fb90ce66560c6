"""What is counted in a comparison: one repeat of one load, with its figures and the error inside each of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, NamedTuple

import numpy as np

from inferometer.metrics import slo
from inferometer.metrics.bootstrap import Part, part_of
from inferometer.metrics.comparing.names import FAILED
from inferometer.metrics.counts import count_requests
from inferometer.metrics.latency import Floats, PointData
from inferometer.metrics.percentiles import percentile_name
from inferometer.metrics.series import samples_of
from inferometer.record.imported import ImportedPoint
from inferometer.record.tables import PointTable, RunRecord
from inferometer.spec.points import LoadPoint

PERCENTILES = (50.0, 90.0, 95.0, 99.0)
_NOT_OF_THE_LOAD = ("index", "kind", "repeat", "seed", "closed", "num_prompts", "duration_s")
_USUAL = {each.name: each.default for each in fields(LoadPoint) if each.default is not MISSING} | {
    "burstiness": 1.0
}
_LATENCIES = ("ttft_ms", "tpot_ms", "itl_ms", "e2el_ms")


class Unit(NamedTuple):
    """One repeat of one load.

    Attributes:
        run: its id; "" of values that were typed.
        repeat: counted from 1 in its run.
        order: when it was measured, in its run.
        parts: figures by key as in ``Kind.key``; a variance of 0 is one that is not known.
        counts: how many values stand behind a latency, by the key of the metric (``ttft_ms``).
    """

    run: str
    repeat: int
    order: int
    parts: dict[str, Part]
    counts: dict[str, int]


class Measured(NamedTuple):
    """All repeats of one load; ``load`` without what differs between repeats."""

    load: dict[str, Any]
    units: list[Unit]


def measured_loads(run: RunRecord, slos: tuple[str, ...] = ()) -> dict[str, Measured]:
    """The loads of a run by what they ask for, in the order in which they were measured.

    Args:
        run: measured, simulated or imported.
        slos: limits per request, for goodput.
    """
    found: dict[str, Measured] = {}
    for table in run.measured:
        load = table.point.load
        reported = None if run.imported is None else run.imported.of_point(table.point.index)
        parts, counts = _figures(table, slos)
        if reported is not None:
            parts = {**_reported(reported), **parts}
        measured = found.setdefault(load_key(load), Measured(_shown(load), []))
        measured.units.append(
            Unit(run.meta.run_id, len(measured.units) + 1, table.point.index, parts, counts)
        )
    return found


def load_key(load: Mapping[str, Any]) -> str:
    """What a load asks for, as text; equal for equal loads, however long each was measured."""
    asked = {
        name: value
        for name, value in load.items()
        if name not in _NOT_OF_THE_LOAD and value is not None and value != _USUAL.get(name)
    }
    if load.get("request_rate") == "inf" and load.get("max_concurrency") is None:
        asked["num_prompts"] = load.get("num_prompts")  # all at once: their number is the load
    return json.dumps(asked, sort_keys=True)


def _shown(load: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in load.items() if name not in ("index", "repeat", "seed")}


def _figures(table: PointTable, slos: tuple[str, ...]) -> tuple[dict[str, Part], dict[str, int]]:
    """The figures that the requests themselves show; of an imported run that lists none there are none."""
    parts: dict[str, Part] = {}
    counts: dict[str, int] = {}
    if not len(table.requests["index"]):
        return parts, counts
    data = PointData(table, "planned", slos)
    for key, series in samples_of(data).rates.items():
        parts[key] = part_of(series)
    for key in _LATENCIES:
        values = getattr(data, key)
        values = values[~np.isnan(values)]
        if len(values):
            counts[key] = len(values)
            parts |= _latency(key, values)
    counted = count_requests(table)
    if counted.failed_share is not None:
        ended = counted.ok + counted.failed
        share = counted.failed_share
        parts[FAILED] = Part(share, share * (1.0 - share) / ended, max(ended - 1.0, 1.0))
    good = slo.goodput(data)
    if good is not None and good.requests_per_s is not None and good.attainment is not None:
        parts["goodput_per_s"] = Part(good.requests_per_s, 0.0, 0.0)
        planned = max(counted.planned - counted.given_up, 1)
        share = good.attainment
        parts["attainment"] = Part(share, share * (1.0 - share) / planned, max(planned - 1.0, 1.0))
    return parts, counts


def _latency(key: str, values: Floats) -> dict[str, Part]:
    """Mean and percentiles; those of gaps between chunks without an error, as of these there are too many."""
    if key == "itl_ms":
        shown = np.percentile(values, PERCENTILES).tolist()
        found = {"mean": Part(float(values.mean()), 0.0, 0.0)}
        found |= {percentile_name(p): Part(v, 0.0, 0.0) for p, v in zip(PERCENTILES, shown, strict=True)}
    else:
        found = {"mean": part_of(values)} | {percentile_name(p): part_of(values, p) for p in PERCENTILES}
    return {f"{key}.{statistic}": part for statistic, part in found.items()}


def _reported(point: ImportedPoint) -> dict[str, Part]:
    """What another tool states; how sure it is, it does not say."""
    found = dict(point.values)
    for key, stat in point.stats.items():
        if stat.mean is not None:
            found[f"{key}.mean"] = stat.mean
        for p, value in stat.percentiles.items():
            found[f"{key}.{percentile_name(float(p))}"] = value
    if point.completed is not None and point.failed is not None and point.completed + point.failed > 0:
        found[FAILED] = point.failed / (point.completed + point.failed)
    return {key: Part(float(value), 0.0, 0.0) for key, value in found.items() if math.isfinite(value)}


def typed_unit(values: Mapping[str, float], repeat: int) -> Unit:
    """A repeat of which only numbers are known, as a user typed them."""
    return Unit("", repeat, repeat, {key: Part(float(v), 0.0, 0.0) for key, v in values.items()}, {})

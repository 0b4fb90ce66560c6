"""What a tracker is told of a run: parameters, one row of metrics per load point, tags. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from inferometer.metrics.percentiles import Stat
from inferometer.metrics.summary import PointSummary, RunSummary
from inferometer.record.imported import ImportedPoint
from inferometer.record.tables import RunRecord
from inferometer.spec import RunSpec, load_title
from inferometer.spec.layers import public_dict
from inferometer.spec.options import SECRET_MARK
from inferometer.version import __version__

_LONGEST_STEP = 1 << 31


class LoggedPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One load point.

    Attributes:
        point: its index.
        step: where it stands on the tracker's axis, see ``Logged.step_is``; no two points share one.
        title: the load in words.
        verdict: on it.
        values: by our key with the unit in its name ("ttft_ms.p99"); only what exists.
        at_unix_ms: when it ended; None where the run does not tell.
    """

    point: int
    step: int
    title: str
    verdict: str
    values: dict[str, float]
    at_unix_ms: int | None = None


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        name: its id.
        created_utc: when it began.
        params: the spec and the machine, flattened ("load.max_concurrency"); without secrets and what is not set.
        tags: verdict, simulated, model, labels of the user, version.
        totals: of the run as a whole.
        points: the measured load points, by rising step.
        step_is: what a step is: "concurrency", "request rate", or "load point" where loads are no whole numbers, or one
            was measured several times.
    """

    name: str
    created_utc: str
    params: dict[str, str]
    tags: dict[str, str]
    totals: dict[str, float]
    points: tuple[LoggedPoint, ...]
    step_is: str


def logged_of(run: RunRecord, summary: RunSummary) -> Logged:
    """What is told of a run."""
    step_is, steps = _steps(summary.points)
    points = sorted(
        (
            LoggedPoint(
                point=point.index,
                step=step,
                title=load_title(point.load),
                verdict=point.verdict.word,
                values=_values(run, point),
                at_unix_ms=_ended_unix_ms(run, point),
            )
            for point, step in zip(summary.points, steps, strict=True)
        ),
        key=lambda point: point.step,
    )
    return Logged(
        name=summary.run_id,
        created_utc=summary.created_utc,
        params=_params(run),
        tags=_tags(summary, step_is),
        totals=_totals(summary, points),
        points=tuple(points),
        step_is=step_is,
    )


def _params(run: RunRecord) -> dict[str, str]:
    """Parts of the spec in which nothing was asked for are left out."""
    usual = public_dict(RunSpec())
    asked = {part: values for part, values in run.meta.spec.items() if values != usual.get(part)}
    return dict(_flat({**asked, "environment": run.meta.environment}))


def _steps(points: Sequence[PointSummary]) -> tuple[str, list[int]]:
    for name, key in (("concurrency", "max_concurrency"), ("request rate", "request_rate")):
        loads = [point.load.get(key) for point in points]
        if all(_is_step(load) for load in loads) and len(set(loads)) == len(loads) > 0:
            return name, [int(load) for load in loads if load is not None]
    return "load point", [point.index for point in points]


def _is_step(load: Any) -> bool:
    return isinstance(load, int | float) and 0 <= load < _LONGEST_STEP and float(load).is_integer()


def _values(run: RunRecord, point: PointSummary) -> dict[str, float]:
    found: dict[str, float | None] = {
        **_asked(point.load),
        "ok_requests": float(point.counts.ok),
        "failed_requests": float(point.counts.failed),
        **point.values,
        **{name: value for key, stat in point.stats.items() for name, value in _of_stat(key, stat)},
        "duration_s": point.duration_s,
    }
    if point.goodput is not None:
        found["goodput_per_s"] = point.goodput.requests_per_s
        found["slo_attainment_share"] = point.goodput.attainment
    told = {key: value for key, value in found.items() if value is not None}
    reported = None if run.imported is None else run.imported.of_point(point.index)
    return told if reported is None else {**_reported(reported), **told}


def _asked(load: Mapping[str, Any]) -> dict[str, float]:
    """Names that no metric has, so that a chart can have them as its axis."""
    known = {
        "asked_concurrency": load.get("max_concurrency"),
        "asked_request_rate_per_s": load.get("request_rate"),
    }
    return {key: float(value) for key, value in known.items() if isinstance(value, int | float)}


def _of_stat(key: str, stat: Stat) -> Iterator[tuple[str, float]]:
    yield f"{key}.mean", stat.mean
    for name, value in stat.percentiles.items():
        if value is not None:  # too few requests for it
            yield f"{key}.{name}", value


def _reported(point: ImportedPoint) -> dict[str, float]:
    """What another tool reported, where its requests are not here to be counted anew."""
    found = dict(point.values)
    for key, stat in point.stats.items():
        found |= {f"{key}.p{name}": value for name, value in stat.percentiles.items()}
        if stat.mean is not None:
            found[f"{key}.mean"] = stat.mean
    return found


def _ended_unix_ms(run: RunRecord, point: PointSummary) -> int | None:
    record = next((table.point for table in run.measured if table.point.index == point.index), None)
    if record is None or record.end_ns is None or record.sitting >= len(run.meta.sittings):
        return None
    anchors = run.meta.sittings[record.sitting].anchors
    if not anchors:
        return None
    return (record.end_ns - anchors[0]["monotonic_ns"] + anchors[0]["realtime_ns"]) // 1_000_000


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Leaves by dotted name; secrets, empty values and what is not set are left out."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _flat(part, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list | tuple):
        parts = [str(part) for part in value if SECRET_MARK not in str(part)]
        if parts:
            yield prefix, " ".join(parts)
    elif value is not None and str(value) and SECRET_MARK not in str(value):
        yield prefix, str(value).lower() if isinstance(value, bool) else str(value)


def _tags(summary: RunSummary, step_is: str) -> dict[str, str]:
    found = {
        "verdict": summary.verdict.word,
        "simulated": str(summary.simulated).lower(),
        "state": summary.state,
        "model": summary.model,
        "label": summary.label,
        "tool": "inferometer" if summary.imported is None else summary.imported.tool,
        "inferometer_version": __version__,
        "step_is": step_is,
    }
    return {**{f"label.{key}": text for key, text in summary.labels.items()},
            **{key: text for key, text in found.items() if text}}  # fmt: skip


def _totals(summary: RunSummary, points: Sequence[LoggedPoint]) -> dict[str, float]:
    totals = {
        "run.load_points": float(len(points)),
        "run.ok_requests": float(sum(point.counts.ok for point in summary.points)),
        "run.failed_requests": float(sum(point.counts.failed for point in summary.points)),
    }
    for key in ("output_throughput_per_s", "request_throughput_per_s", "goodput_per_s"):
        reached = [point.values[key] for point in points if key in point.values]
        if reached:
            totals[f"run.peak_{key}"] = max(reached)
    return totals

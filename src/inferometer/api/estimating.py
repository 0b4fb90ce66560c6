"""How long a run will take: from an earlier run of the same server and model, or from a stated assumption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from inferometer.checks.duration import Overhead, PlanTime, overhead_of, plan_time
from inferometer.errors import InferometerError, UsageError
from inferometer.metrics.pace import Pace, pace_of
from inferometer.metrics.summary import PointSummary, summarize
from inferometer.record.folder import JOURNAL, RUN_JSON, read_meta
from inferometer.record.store import read_run
from inferometer.record.types import RunMeta
from inferometer.spec import LoadPoint, RunSpec
from inferometer.spec.stored import was_simulated


@dataclass(frozen=True, slots=True)
class TimeEstimate:
    """How long a plan will take.

    Attributes:
        plan: the times.
        pace: what they follow from.
        run: name of the run that the pace was measured in; None = it is assumed.
    """

    plan: PlanTime
    pace: Pace
    run: str | None


class _Measured(NamedTuple):
    """The pace of a run, what it spent beside its load, and its name."""

    pace: Pace
    overhead: Overhead
    name: str | None


class _Points(msgspec.Struct):
    """What of ``summary.json`` the pace needs."""

    points: list[PointSummary]


def estimate(spec: RunSpec, points: Sequence[LoadPoint]) -> TimeEstimate:
    """How long ``points``, warm-ups too, will take.

    Taken from the run that ``--estimate-from`` names, else from the newest closed run in ``--out`` that measured the
    same address, and the same model where one is named; without any from an assumption. No server is asked.

    Raises:
        InferometerError: the named run cannot be used.
    """
    named = spec.sweep.estimate_from
    pace, overhead, name = _newest(spec) if named is None else _named(Path(named))
    if pace.assumed and named is not None:
        raise UsageError(f"--estimate-from {named}: no load point of it succeeded", "name another run")
    return TimeEstimate(plan_time(spec, points, pace, overhead), pace, name)


def _named(folder: Path) -> _Measured:
    folder = folder.resolve()
    if not (folder / RUN_JSON).is_file():
        raise UsageError(
            f"--estimate-from {folder} is no run folder", "name one, as `inferometer runs list` shows"
        )
    return _measured(folder)


def _newest(spec: RunSpec) -> _Measured:
    """The newest closed run of the same server and model in which anything succeeded; assumed without one."""
    folders = (
        path.parent for path in Path(spec.output.out).glob(f"*/{RUN_JSON}") if not path.parent.is_symlink()
    )
    found = (_usable(spec, folder) for folder in sorted(folders, reverse=True))
    return next(filter(None, found), _Measured(Pace(), Overhead(), None))


def _usable(spec: RunSpec, folder: Path) -> _Measured | None:
    """What a run tells of this server and model; None where it tells nothing, or cannot be read."""
    try:
        if (folder / JOURNAL).is_dir() or not _same(spec, read_meta(folder)):
            return None
        found = _measured(folder)
    except InferometerError:
        return None
    return None if found.pace.assumed else found


def _same(spec: RunSpec, meta: RunMeta) -> bool:
    """Whether a run measured the server and model that a spec names."""
    asked = spec.endpoint
    if was_simulated(meta.spec):
        return False
    if (meta.spec.get("endpoint") or {}).get("url") != asked.url:
        return False
    return asked.model is None or asked.model == meta.model


def _measured(folder: Path) -> _Measured:
    """What a stored run tells."""
    points = _reported(folder) or summarize(read_run(folder)).points
    return _Measured(pace_of(points), overhead_of(read_meta(folder)), folder.name)


def _reported(folder: Path) -> list[PointSummary] | None:
    """The load points of ``summary.json``; None where the run was never reported, or by another version."""
    try:
        return msgspec.json.decode((folder / "summary.json").read_bytes(), type=_Points).points
    except (OSError, msgspec.DecodeError):
        return None

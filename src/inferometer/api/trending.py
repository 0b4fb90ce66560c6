"""The history of a run's case: stored runs of the same model, load and hardware."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inferometer.api.comparing import loads_and_facts
from inferometer.errors import RunFolderError, UsageError
from inferometer.metrics.comparing.gate import Facts
from inferometer.metrics.comparing.names import kind_named
from inferometer.metrics.comparing.sides import parts_of
from inferometer.metrics.comparing.trend import Trend, Visit, trend_of
from inferometer.metrics.comparing.units import Measured
from inferometer.record.folder import read_meta
from inferometer.record.store import read_run
from inferometer.record.types import RunMeta

_SAME = ("kind", "model", "API", "data set", "data options", "stream", "sampling", "device")
_HISTORY_FACTOR = 3  # runs read at most: so many times the lookback


def trends(
    folder: Path, out: Path, figures: Sequence[str], *, lookback: int = 20, limit: float = 5.0
) -> list[Trend]:
    """Figures of each load of a run over the runs of the same case up to it. INVALID runs are left out.

    Args:
        folder: of the run that the history is to end with.
        out: directory of run folders.
        figures: names.
        lookback: how many runs before one it is held against.
        limit: of z.

    Raises:
        UsageError: no such figure, or the run has none of them.
        RunFolderError: not a run folder.
    """
    kinds = [kind_named(name) for name in figures]
    loads, facts = loads_and_facts(read_run(folder))
    history = _history(read_meta(folder), folder, out, lookback * _HISTORY_FACTOR)
    known = [(meta, *loads_and_facts(read_run(path))) for path, meta in history]
    same_case = [(meta, own) for meta, own, told in known if _case(told) == _case(facts)]
    same_case.append((read_meta(folder), loads))
    found = []
    for key, measured in loads.items():
        for kind in kinds:
            visits = [visit for meta, own in same_case if (visit := _visit(meta, own.get(key), kind.key))]
            if visits and visits[-1].run == same_case[-1][0].run_id:
                found.append(trend_of(kind, measured.load, visits, lookback=lookback, limit=limit))
    if not found:
        raise UsageError(
            f"{folder.name} has no {' or '.join(kind.name for kind in kinds)}",
            "name another figure with --metric",
        )
    return found


def _history(meta: RunMeta, folder: Path, out: Path, most: int) -> list[tuple[Path, RunMeta]]:
    """Closed runs of the same model before this one, oldest first."""
    found = []
    for path in out.glob("*/run.json"):
        if path.parent.is_symlink() or path.parent.resolve() == folder.resolve():
            continue
        try:
            other = read_meta(path.parent)
        except RunFolderError:
            continue  # `runs list` names those that cannot be read
        earlier = (other.created_utc, other.run_id) < (meta.created_utc, meta.run_id)
        alike = other.model == meta.model and other.simulated == meta.simulated
        judged_invalid = (other.verdict or {}).get("word") == "INVALID"
        if earlier and alike and other.state != "running" and not judged_invalid:
            found.append((path.parent, other))
    return sorted(found, key=lambda pair: (pair[1].created_utc, pair[1].run_id))[-most:]


def _case(facts: Facts) -> dict[str, str]:
    return {name: facts.asked[name] for name in _SAME if name in facts.asked}


def _visit(meta: RunMeta, measured: Measured | None, key: str) -> Visit | None:
    values = [] if measured is None else [part.value for part in parts_of(measured.units, key)]
    if not values or min(values) <= 0.0:
        return None
    return Visit(
        run=meta.run_id, created_utc=meta.created_utc, value=sum(values) / len(values), repeats=len(values)
    )

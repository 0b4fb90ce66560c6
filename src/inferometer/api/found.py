"""What a search found, worked out anew from the load points in its folder: raw is truth, ``search.json`` is derived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from inferometer.metrics.capacity import Capacity
from inferometer.metrics.summary import PointSummary, RunSummary, stored_spec
from inferometer.metrics.targets import KneeResult, MaxBatchResult, PeakResult
from inferometer.record.folder import read_meta, write_atomic
from inferometer.record.store import read_run
from inferometer.record.tables import RunRecord
from inferometer.record.types import RunMeta
from inferometer.report.max_batch import write_max_batch
from inferometer.spec import RunSpec
from inferometer.spec.stored import target_of
from inferometer.tuner.ledger import NoMoreProbes
from inferometer.tuner.points import Wanted, load_of
from inferometer.tuner.slo_search import again
from inferometer.tuner.targets import find_target

SEARCH_JSON = "search.json"
SCHEMA = "inferometer.search/1"

_EVIDENCE = ("probes", "curve", "rounds")

Found = Capacity | PeakResult | KneeResult | list[MaxBatchResult]


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a search.

    Attributes:
        target: "slo", "peak-throughput", "knee" or "max-batch".
        variable: the load that was varied.
        found: what was found.
    """

    target: str
    variable: str
    found: Found


def is_search(meta: RunMeta) -> bool:
    """Whether a run is that of a search."""
    return target_of(meta.spec) is not None


def answer_of(record: RunRecord, summary: RunSummary) -> Answer | None:
    """What the load points of a stored search say; None for other runs, and where nothing was measured.

    Raises:
        RunFolderError, UsageError: the stored spec cannot be read.
    """
    if not is_search(record.meta) or not record.measured:
        return None
    spec = spec_in(record.meta)
    tables = sorted(record.measured, key=lambda table: table.point.index)
    if spec.search.target == "slo":
        capacity = again(spec, tables, record.telemetry)
        return None if capacity is None else Answer("slo", spec.search.varied, capacity)
    start = load_of(spec.search.varied, tables[0].point.load) if spec.search.target != "max-batch" else 1.0
    found = find_target(spec, start, _stored_figures(spec, summary))
    return Answer(str(spec.search.target), spec.search.varied, found)


def stored_answer(folder: Path, summary: RunSummary) -> Answer | None:
    """``answer_of`` the run in a folder; its tables are read only where it is that of a search.

    Raises:
        RunFolderError: it is no closed run folder.
    """
    return answer_of(read_run(folder), summary) if is_search(read_meta(folder)) else None


def write_answer(folder: Path, answer: Answer, model: str) -> None:
    """Write ``search.json``, and for a largest batch the two CSV files of ``performance_maxbs``.

    Raises:
        RunFolderError: a file cannot be written.
    """
    found = {"schema": SCHEMA, "target": answer.target, "variable": answer.variable, "found": answer.found}
    write_atomic(folder / SEARCH_JSON, msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    if isinstance(answer.found, list):
        write_max_batch(answer.found, folder, model)


def answer_data(answer: Answer) -> dict[str, Any]:
    """What was found in a few names, without the load points that it rests on; a largest batch as a list of cases."""
    said = {"target": answer.target, "variable": answer.variable}
    if isinstance(answer.found, list):
        return said | {"cases": [_short(case) for case in answer.found]}
    return said | _short(answer.found)


def _short(found: Capacity | PeakResult | KneeResult | MaxBatchResult) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(found)
    return {name: value for name, value in data.items() if name not in _EVIDENCE}


def spec_in(meta: RunMeta) -> RunSpec:
    """The spec of a stored search, with the loads that it kept fixed."""
    whole = stored_spec(meta)
    load = type(whole.load).model_validate(meta.spec.get("load", {}))
    return whole.model_copy(update={"load": load})


def _stored_figures(spec: RunSpec, summary: RunSummary) -> Any:
    """Hands out what was measured of a load, so that the search is conducted once more without a server."""
    known: dict[tuple[Any, ...], PointSummary] = {
        _key(_asked(spec, point.load), int(point.load.get("repeat", 1)), point.load): point
        for point in summary.points
    }

    def figures(wanted: Wanted) -> PointSummary:
        lengths = (
            {}
            if wanted.lengths is None
            else dict(zip(("input_len", "output_len"), wanted.lengths, strict=True))
        )
        key = _key(wanted.load, wanted.repeat, lengths)
        found = known.get(key) or (
            None if lengths else next((p for k, p in known.items() if k[:2] == key[:2]), None)
        )
        if found is None:
            raise NoMoreProbes("the search was ended before it was sure")
        return found

    return figures


def _asked(spec: RunSpec, load: Mapping[str, Any]) -> float:
    together = spec.search.target == "max-batch"
    return load_of("max-concurrency" if together else spec.search.varied, load)


def _key(load: float, repeat: int, lengths: Mapping[str, Any]) -> tuple[Any, ...]:
    return (float(load), repeat, lengths.get("input_len"), lengths.get("output_len"))

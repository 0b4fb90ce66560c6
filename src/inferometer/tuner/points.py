"""The load points of a search: those of a run in everything but the one load that is varied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from inferometer.spec import LoadPoint, RunSpec, derive_seed, load_points


class Wanted(NamedTuple):
    """A load to measure.

    Attributes:
        load: value of the load that is varied.
        repeat: which measurement of it, from 1.
        requests: or sessions, where these arrive; None = as many as a run of that load sends.
        lengths: tokens of prompt and answer, where they are not those of the spec.
        together: the requests are one static batch: sent together, and the next ones only when all have ended.
    """

    load: float
    repeat: int
    requests: int | None = None
    lengths: tuple[int, int] | None = None
    together: bool = False


def spec_of(spec: RunSpec, wanted: Wanted) -> RunSpec:
    """The spec of a run of that one load."""
    load: dict[str, Any] = {}
    if spec.search.varied == "max-concurrency" or wanted.together:
        load["max_concurrency"] = (round(wanted.load),)
    else:
        load["request_rate"] = (wanted.load,)
    if wanted.requests is not None and spec.load.duration_s is None:
        load["num_prompts"] = (wanted.requests,)
    parts: dict[str, Any] = {
        "load": spec.load.model_copy(update=load),
        "sweep": spec.sweep.model_copy(update={"repeat": 1}),
    }
    if wanted.together:
        parts["shape"] = spec.shape.model_copy(update={"waves": True})
    if wanted.lengths is not None:
        sizes = {"input_len": wanted.lengths[:1], "output_len": wanted.lengths[1:]}
        parts["workload"] = spec.workload.model_copy(update=sizes)
    return spec.model_copy(update=parts)


def point_of(spec: RunSpec, wanted: Wanted, index: int) -> LoadPoint:
    """The load point number ``index`` of the search.

    Each has a seed of its own: with one pattern of arrivals for all, what that pattern has of its own would not
    average out, however many load points there are.

    Raises:
        UsageError: the load does not fit the rest of the spec.
    """
    point = load_points(spec_of(spec, wanted))[0]
    seed = derive_seed(spec.load.seed, f"probe {index}")
    return replace(point, index=index, repeat=wanted.repeat, seed=seed)


def load_of(variable: str, load: Mapping[str, Any]) -> float:
    """The value that the search varied, from a load point as ``run.json`` has it."""
    return float(load["max_concurrency" if variable == "max-concurrency" else "request_rate"])

"""Measured beside predicted, request by request: what a fit reaches, and what it reaches where it had not looked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from inferometer.simulator.calibration.blocks import Kind, LeftOut, blocks_of
from inferometer.simulator.calibration.evidence import Observed
from inferometer.simulator.calibration.evidence_fit import Evidence, JointFit, Mask, replayed, seconds_of
from inferometer.simulator.calibration.fit import Floats, coefficients_of
from inferometer.simulator.calibration.replay import Times
from inferometer.simulator.calibration.table import Habits, predict

METRICS: Final = ("ttft", "tpot", "e2el")
_FEWEST_FOR_P99: Final = 100
_POOR: Final = 0.25


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Values of one load point, an element a request that counted, in the order of arrival. NaN = there is none.

    Attributes:
        name: of the load point.
        configuration: of it.
        at_s: arrival, from the load point's first request.
        block: block of time; -1 = in none.
        measured: seconds, by metric.
        fitted: by the fit to everything.
        blocked: by the fit that had not seen the request's block.
        elsewhere: by the fit that had not seen its configuration.
        members: by each refit of the ensemble.
    """

    name: str
    configuration: str
    at_s: Floats
    block: np.ndarray[tuple[int], np.dtype[np.int64]]
    measured: dict[str, Floats]
    fitted: dict[str, Floats]
    blocked: dict[str, Floats]
    elsewhere: dict[str, Floats]
    members: tuple[dict[str, Floats], ...] = ()


class ComparedValues(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a table of load points, or step records; as ``Compared``, with one value each.

    Attributes:
        name: what they are.
        metric: ``ttft`` or ``tpot`` of a load point, ``step`` of a record.
        measured, fitted: seconds.
        left_out: by the fit that had not seen it.
    """

    name: str
    metric: str
    measured: Floats
    fitted: Floats
    left_out: Floats


def compare(
    evidence: Evidence, whole: JointFit, left: Sequence[LeftOut], members: Sequence[Floats]
) -> list[Compared]:
    """Every load point of the runs, measured and predicted."""
    rows = []
    for place, seen in enumerate(evidence.observed):
        chosen = seen.used
        rows.append(
            Compared(
                name=seen.name,
                configuration=seen.configuration,
                at_s=seen.run.times.arrival_s[chosen],
                block=blocks_of(chosen)[chosen],
                measured=columns(seen, seen.run.times, chosen),
                fitted=columns(seen, replayed(seen, evidence, whole.fit.logs), chosen),
                blocked=_left_out(evidence, place, left, "block"),
                elsewhere=_left_out(evidence, place, left, "configuration"),
                members=tuple(columns(seen, replayed(seen, evidence, logs), chosen) for logs in members),
            )
        )
    return rows


def columns(seen: Observed, times: Times, chosen: Mask) -> dict[str, Floats]:
    """TTFT, TPOT and E2EL of the chosen requests, seconds."""
    found = (times.ttft_s(), times.tpot_s(seen.run.load.outputs()), times.e2e_s())
    return {name: values[chosen] for name, values in zip(METRICS, found, strict=True)}


def _left_out(evidence: Evidence, place: int, left: Sequence[LeftOut], kind: Kind) -> dict[str, Floats]:
    seen = evidence.observed[place]
    found = {name: np.full(len(seen.used), np.nan) for name in METRICS}
    for each in left:
        out = each.out.requests[place]
        if each.kind == kind and out.any():
            told = columns(seen, replayed(seen, evidence, each.logs), out)
            for name, values in told.items():
                found[name][out] = values
    return {name: values[seen.used] for name, values in found.items()}


def compare_steps(evidence: Evidence, whole: JointFit, left: Sequence[LeftOut]) -> list[ComparedValues]:
    """The step records, measured and predicted; empty without any."""
    if not evidence.steps:
        return []
    shapes = np.array([record.shape for record in evidence.steps], dtype=np.float64)

    def told(logs: Floats) -> Floats:
        return seconds_of(shapes, coefficients_of(logs), evidence.experts)

    blind = np.full(len(shapes), np.nan)
    for each in left:
        if each.out.steps.any():
            blind[each.out.steps] = told(each.logs)[each.out.steps]
    measured = np.array([record.step_s for record in evidence.steps])
    return [
        ComparedValues(
            name="step records", metric="step", measured=measured, fitted=told(whole.fit.logs), left_out=blind
        )
    ]


def compare_points(evidence: Evidence, whole: JointFit, left: Sequence[LeftOut]) -> list[ComparedValues]:
    """The rows of a table, measured and predicted; empty without any."""
    if not evidence.points:
        return []

    habits = whole.habits or Habits()

    def told(logs: Floats) -> dict[str, Floats]:
        cost = coefficients_of(logs)
        found = [predict(point, evidence.limits, cost, habits, evidence.experts) for point in evidence.points]
        return {
            "ttft": np.array([each.ttft_s for each in found]),
            "tpot": np.array([each.tpot_s for each in found]),
        }

    blind = {name: np.full(len(evidence.points), np.nan) for name in ("ttft", "tpot")}
    for each in left:
        if each.out.points.any():
            for name, values in told(each.logs).items():
                blind[name][each.out.points] = values[each.out.points]
    measured = {
        "ttft": [np.nan if point.ttft_s is None else point.ttft_s for point in evidence.points],
        "tpot": [np.nan if point.tpot_s is None else point.tpot_s for point in evidence.points],
    }
    return [
        ComparedValues(
            name="table", metric=name, measured=np.array(measured[name]), fitted=values, left_out=blind[name]
        )
        for name, values in told(whole.fit.logs).items()
    ]


def off(predicted: Floats, measured: Floats) -> Floats:
    """Predicted over measured, less 1, where both are there."""
    known = np.isfinite(predicted) & np.isfinite(measured) & (measured > 0)
    found: Floats = predicted[known] / measured[known] - 1
    return found


def errors_of(compared: Sequence[Compared], which: str) -> dict[str, float]:
    """Errors over all load points, as shares, of the predictions of one kind.

    For each metric ``X_mape`` is the mean absolute error of one request, ``X_median`` its median, ``X_mean`` the
    largest error of a load point's mean with its sign, and ``ttft_p99`` that of its 99th percentile, where a load
    point has the 100 requests for it.

    Args:
        compared: load points.
        which: ``fitted``, ``blocked`` or ``elsewhere``.
    """
    found: dict[str, float] = {}
    for name in METRICS:
        pairs = [_known(getattr(each, which)[name], each.measured[name]) for each in compared]
        pairs = [pair for pair in pairs if len(pair[0])]
        if not pairs:
            continue
        each = np.abs(np.concatenate([off(*pair) for pair in pairs]))
        found[f"{name}_mape"], found[f"{name}_median"] = float(each.mean()), float(np.median(each))
        found[f"{name}_mean"] = _worst(float(told.mean() / real.mean() - 1) for told, real in pairs)
        late = [pair for pair in pairs if len(pair[0]) >= _FEWEST_FOR_P99]
        if name == "ttft" and late:
            found["ttft_p99"] = _worst(
                float(np.percentile(told, 99) / np.percentile(real, 99) - 1) for told, real in late
            )
    return found


def errors_of_values(compared: Sequence[ComparedValues], which: str) -> dict[str, float]:
    """As ``errors_of``, of tables and step records: ``step_mape``, ``ttft_mape`` ..."""
    found: dict[str, float] = {}
    for values in compared:
        each = np.abs(off(getattr(values, which), values.measured))
        if len(each):
            found[f"{values.metric}_mape"] = float(each.mean())
            found[f"{values.metric}_median"] = float(np.median(each))
    return found


def held_out(requests: Sequence[Compared], values: Sequence[ComparedValues]) -> dict[str, float]:
    """All errors on what fits had not seen, by ``blocks_...``, ``configurations_...``, ``table_...``, ``steps_...``."""
    found = _named("blocks", errors_of(requests, "blocked"))
    found |= _named("configurations", errors_of(requests, "elsewhere"))
    return found | _of_values(values, "left_out")


def poor_fit(errors: Mapping[str, float]) -> list[str]:
    """A sentence where the model does not describe what was measured: a median held-out error is above a quarter."""
    far = {name: value for name, value in errors.items() if name.endswith("_median") and value > _POOR}
    if not far:
        return []
    worst = max(far, key=far.__getitem__)
    kind, metric = worst.removesuffix("_median").split("_")
    return [
        f"the model does not describe what was measured (held-out {kind}: half of the {metric.upper()} errors are "
        f"above {far[worst]:.0%}): look for a disturbed run (its verdict), flags that --engine-args does not say, or "
        "another --engine, and calibrate again"
    ]


def fit_errors(requests: Sequence[Compared], values: Sequence[ComparedValues]) -> dict[str, float]:
    """All errors of the fit on what it saw, by ``requests_...``, ``table_...`` and ``steps_...``."""
    return _named("requests", errors_of(requests, "fitted")) | _of_values(values, "fitted")


def _of_values(values: Sequence[ComparedValues], which: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for prefix, is_step in (("table", False), ("steps", True)):
        chosen = [each for each in values if (each.metric == "step") == is_step]
        found |= _named(prefix, errors_of_values(chosen, which))
    return found


def _named(prefix: str, errors: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}_{name}": value for name, value in errors.items()}


def _known(told: Floats, real: Floats) -> tuple[Floats, Floats]:
    known = np.isfinite(told) & np.isfinite(real)
    return told[known], real[known]


def _worst(values: Iterable[float]) -> float:
    return max(values, key=abs)

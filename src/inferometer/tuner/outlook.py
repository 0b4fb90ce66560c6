"""What a search will cost, told before it begins."""

from __future__ import annotations

from inferometer.spec import RunSpec
from inferometer.tuner.capacity import FEWEST_AT_LIMIT, MOST_TIMES_NEEDS, SCOUT_REQUESTS
from inferometer.tuner.objective import objectives_of
from inferometer.tuner.points import Wanted
from inferometer.tuner.targets import batch_cases

_SCOUTS = (3, 5)  # as a rule


def first_wanted(spec: RunSpec) -> Wanted:
    """A load point like those of the search, to see beforehand whether the rest of the spec allows it.

    Raises:
        UsageError: limits, lengths or batch sizes cannot be read.
    """
    asked = spec.search
    if asked.target == "max-batch":
        case = batch_cases(spec)[0]
        return Wanted(case.low, 1, case.low, (case.input_tokens, case.output_tokens), together=True)
    requests = None
    if asked.target == "slo" and spec.load.num_prompts is None:
        requests = max(objective.needs for objective in objectives_of(spec.measure.slo))
    return Wanted(asked.lowest or asked.highest or 1.0, 1, requests)


def outlook(spec: RunSpec) -> list[str]:
    """How many load points and requests, and how long, in sentences.

    Raises:
        UsageError: as ``first_wanted``.
    """
    asked = spec.search
    loads = {"max-concurrency": "requests in flight"}.get(asked.variable, asked.variable.replace("-", " "))
    if asked.target != "slo":
        each = " for each pair of lengths" if asked.target == "max-batch" else ""
        return [f"looks for {asked.target}: at most {asked.max_probes} load points{each}", *_budget(spec)]
    bounds = _bounds(spec)
    lines = [f"looks for the largest {loads} with {' '.join(spec.measure.slo)}{bounds}"]
    fixed = spec.load.num_prompts[0] if spec.load.num_prompts else None
    if spec.load.duration_s is not None and fixed is None:
        seconds = asked.max_probes * spec.load.duration_s
        return [
            *lines,
            f"at most {asked.max_probes} load points of {spec.load.duration_s:g} s: {_minutes(seconds)}",
            *_budget(spec),
        ]
    if fixed is not None:
        total = (2 + FEWEST_AT_LIMIT) * fixed, asked.max_probes * fixed
        lines.append(f"{2 + FEWEST_AT_LIMIT} to {asked.max_probes} load points of {fixed:,} requests each")
    else:
        needs = max(objective.needs for objective in objectives_of(spec.measure.slo))
        near = max(asked.max_probes - _SCOUTS[0], 1)
        total = (
            _SCOUTS[0] * SCOUT_REQUESTS + FEWEST_AT_LIMIT * needs,
            round(_SCOUTS[1] * SCOUT_REQUESTS + 2 * needs + (near - 2) * MOST_TIMES_NEEDS * needs),
        )
        lines.append(
            f"{_SCOUTS[0]} to {_SCOUTS[1]} short load points, then {FEWEST_AT_LIMIT} to {near} near the limit of "
            f"{needs:,} to {round(MOST_TIMES_NEEDS * needs):,} requests, as many as an interval of "
            f"+-{asked.precision:.3g} of the load takes; a wider --precision, or --num-prompts, costs less"
        )
    if asked.variable != "max-concurrency":
        times = ", ".join(
            f"{_minutes(total[0] / r)} to {_minutes(total[1] / r)} at {r:g}/s" for r in (1.0, 10.0, 100.0)
        )
        lines.append(f"{total[0]:,} to {total[1]:,} requests in all: {times}")
    else:
        lines.append(f"{total[0]:,} to {total[1]:,} requests in all, or more where more are in flight")
    return [*lines, *_budget(spec)]


def _bounds(spec: RunSpec) -> str:
    low, high = spec.search.lowest, spec.search.highest
    words = ([] if low is None else [f"from {low:g}"]) + ([] if high is None else [f"up to {high:g}"])
    return f", {' '.join(words)}" if words else ""


def _budget(spec: RunSpec) -> list[str]:
    budget_s = spec.search.budget_s
    if budget_s is None:
        return []
    return [f"ends when its load points have taken {_minutes(budget_s)} together, with what is known by then"]


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"

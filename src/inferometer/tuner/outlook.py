"""What a search will cost, told before it begins."""

from __future__ import annotations

from inferometer.spec import RunSpec
from inferometer.tuner.batch_round import STATISTICS
from inferometer.tuner.capacity import FEWEST_AT_LIMIT, MOST_TIMES_NEEDS, SCOUT_REQUESTS
from inferometer.tuner.objective import objectives_of
from inferometer.tuner.points import Wanted
from inferometer.tuner.targets import batch_budget, batch_cases, batch_limit

_SCOUTS = (3, 5)  # as a rule


def first_wanted(spec: RunSpec) -> Wanted:
    """A load point like those of the search, to see beforehand whether the rest of the spec allows it.

    Raises:
        UsageError: limits, lengths or batch sizes cannot be read.
    """
    asked = spec.search
    if asked.target == "max-batch":
        batch_limit(spec)
        case = batch_cases(spec)[0]
        return Wanted(case.low, 1, case.low, (case.input_tokens, case.output_tokens), together=True)
    requests = None
    if asked.target == "slo" and spec.load.num_prompts is None:
        requests = max(objective.needs for objective in objectives_of(spec.measure.slo))
    return Wanted(asked.lowest or asked.highest or 1.0, 1, requests)


def outlook(spec: RunSpec) -> list[str]:
    """What is looked for, how many load points and requests that takes, and how long, in sentences.

    Raises:
        UsageError: as ``first_wanted``.
    """
    asked = spec.search
    if asked.target == "max-batch":
        return [*_of_batches(spec), *_budget(spec)]
    loads = {"max-concurrency": "requests in flight"}.get(asked.varied, asked.varied.replace("-", " "))
    if asked.target != "slo":
        what = f"the {'knee' if asked.target == 'knee' else 'peak'} of {asked.objective.replace('-', ' ')}"
        against = f" against mean {asked.knee_latency.upper()}" if asked.target == "knee" else ""
        most = f"at most {asked.max_probes} load points{_each(spec)}"
        return [f"looks for {what}{against} over {loads}{_bounds(spec)}: {most}", *_budget(spec)]
    number = "number of " if asked.varied == "max-concurrency" else ""
    first = f"looks for the largest {number}{loads} with {' '.join(spec.measure.slo)}{_bounds(spec)}"
    if spec.load.duration_s is not None and not spec.load.num_prompts:
        return [first, f"at most {asked.max_probes} load points{_each(spec)}", *_budget(spec)]
    told, total = _requests_of(spec)
    if asked.varied != "max-concurrency":
        times = ", ".join(
            f"{_minutes(total[0] / r)} to {_minutes(total[1] / r)} at {r:g}/s" for r in (1.0, 10.0, 100.0)
        )
        times = f": {times}"
    else:
        times = ", or more where more are in flight"
    return [first, told, f"{total[0]:,} to {total[1]:,} {_sent(spec)} in all{times}", *_budget(spec)]


def _of_batches(spec: RunSpec) -> list[str]:
    cases, limit = batch_cases(spec), batch_limit(spec)
    each = f" for each of {len(cases)} pairs of lengths" if len(cases) > 1 else ""
    what = f"{STATISTICS[limit.statistic]} <= {limit.limit_ms:g} ms"
    return [f"looks for the largest static batch with {what}: at most {batch_budget(spec)} load points{each}"]


def _sent(spec: RunSpec) -> str:
    """What a load point is so many of."""
    return "sessions" if spec.sessions.wanted else "requests"


def _each(spec: RunSpec) -> str:
    """How long a load point is, where the user said so."""
    if spec.load.num_prompts:
        return f" of {spec.load.num_prompts[0]:,} {_sent(spec)} each"
    if spec.load.duration_s is None:
        return ""
    seconds = spec.search.max_probes * spec.load.duration_s
    return f" of {spec.load.duration_s:g} s: {_minutes(seconds)}"


def _requests_of(spec: RunSpec) -> tuple[str, tuple[int, int]]:
    """How many load points of how many requests a search within limits takes, in words, and requests in all."""
    asked, most = spec.search, spec.search.max_probes
    fewest = min(_SCOUTS[0] - 1 + FEWEST_AT_LIMIT, most)
    if spec.load.num_prompts:
        fixed = spec.load.num_prompts[0]
        several = f"{fewest} to {most}" if fewest < most else f"{most}"
        return f"{several} load points{_each(spec)}", (fewest * fixed, most * fixed)
    needs = max(objective.needs for objective in objectives_of(spec.measure.slo))
    scouts = [min(count, most) for count in _SCOUTS]
    near = max(most - scouts[0], 0)
    fewest = min(FEWEST_AT_LIMIT, near)
    largest = round(MOST_TIMES_NEEDS * needs)
    total = (
        scouts[0] * SCOUT_REQUESTS + fewest * needs,
        scouts[1] * SCOUT_REQUESTS + min(near, 2) * needs + max(near - 2, 0) * largest,
    )
    several = f"{fewest} to {near}" if fewest < near else f"{near}"
    told = (
        f"{_SCOUTS[0]} to {_SCOUTS[1]} short load points, then {several} near the limit of "
        f"{needs:,} to {largest:,} {_sent(spec)}, as many as an interval of +-{100 * asked.precision:.3g} % takes; "
        "a wider --precision, or --num-prompts, costs less"
    )
    if near < FEWEST_AT_LIMIT:
        told = (
            f"{most} load points, too few to know the load to +-{100 * asked.precision:.3g} % (--max-probes)"
        )
    return told, total


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
    if seconds < 600:
        return f"{seconds / 60:.2g} min"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"

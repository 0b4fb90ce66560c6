"""The other targets of a search, from the spec to the functions that look for them."""

from __future__ import annotations

from collections.abc import Callable

from inferometer.errors import UsageError
from inferometer.metrics.summary import PointSummary
from inferometer.metrics.targets import KneeResult, MaxBatchResult, PeakResult
from inferometer.spec import RunSpec
from inferometer.spec.batch_ranges import parse_batch_ranges
from inferometer.tuner.batch_round import BatchCase, BatchLimit
from inferometer.tuner.knee import KneeOptions, find_knee
from inferometer.tuner.ledger import Bounds, Measure, NoMoreProbes
from inferometer.tuner.max_batch import BatchOptions, find_max_batches
from inferometer.tuner.peak import PeakOptions, find_peak
from inferometer.tuner.points import Wanted

Figures = Callable[[Wanted], PointSummary]
"""Measures a load; raises ``NoMoreProbes`` when nothing more is to be measured."""

_MOST_IN_FLIGHT = 1024
_MOST_TIMES_START = 4096.0
_ROUNDS, _FEWEST_REQUESTS = 6, 32
_FEWEST_IN_BATCHES = 8  # small batches are sent several times
_OF_BATCHES = 2  # times the budget for each pair of lengths: a batch is found to the request


def find_target(
    spec: RunSpec, start: float, figures: Figures
) -> PeakResult | KneeResult | list[MaxBatchResult]:
    """What ``--target`` names, other than "slo".

    Args:
        spec: what was asked for.
        start: the lowest load.
        figures: measures.

    Raises:
        UsageError: what is needed for it is not given.
    """
    asked = spec.search
    figures = _within_budget(figures, asked.budget_s)
    if asked.target == "max-batch":
        return _max_batches(spec, figures)
    closed = asked.varied == "max-concurrency"
    top = asked.highest or (_MOST_IN_FLIGHT if closed else start * _MOST_TIMES_START)
    bounds = Bounds(start, float(top), whole=closed)

    def measure(load: float, repeat: int) -> PointSummary:
        return figures(Wanted(load, repeat, _requests(spec, load) if closed else None))

    if asked.target == "knee":
        return find_knee(measure, KneeOptions(bounds, asked.objective, asked.knee_latency, asked.max_probes))
    permits = None if closed or not spec.load.max_concurrency else spec.load.max_concurrency[0]
    options = PeakOptions(bounds, asked.objective, closed, permits, asked.tolerance, asked.max_probes)
    return find_peak(measure, options)


def _within_budget(figures: Figures, budget_s: float | None) -> Figures:
    """``figures`` until load points have taken ``budget_s`` together."""
    spent_s = 0.0

    def measured(wanted: Wanted) -> PointSummary:
        nonlocal spent_s
        if budget_s is not None and spent_s >= budget_s:
            raise NoMoreProbes(
                f"the budget of {budget_s:g} s is spent, {spent_s:.0f} s of it measuring (--budget)"
            )
        found = figures(wanted)
        spent_s += found.duration_s or 0.0
        return found

    return measured


def _requests(spec: RunSpec, in_flight: float) -> int | None:
    """Enough rounds of a closed loop for a steady window between ramp and tail, unless the user said how many."""
    return None if spec.load.num_prompts else max(_FEWEST_REQUESTS, round(_ROUNDS * in_flight))


def batch_cases(spec: RunSpec) -> list[BatchCase]:
    """Pairs of lengths with the batch sizes to look at.

    Raises:
        UsageError: lists do not pair up, or a range cannot be read.
    """
    inputs, outputs = spec.workload.input_len, spec.workload.output_len
    if not inputs or not outputs:
        raise UsageError(
            "--target max-batch needs the length of prompts and answers", "give --input-len and --output-len"
        )
    count = max(len(inputs), len(outputs))
    if any(len(values) not in (1, count) for values in (inputs, outputs)):
        raise UsageError(
            f"--input-len has {len(inputs)} values, --output-len {len(outputs)}",
            "give lists of equal length; one value serves all",
        )
    ranges = parse_batch_ranges(spec.search.batch_range, count)
    every = [values * (count // len(values)) for values in (list(inputs), list(outputs))]
    return [BatchCase(before, after, *limits) for before, after, limits in zip(*every, ranges, strict=True)]


def batch_limit(spec: RunSpec) -> BatchLimit:
    """What every batch is held against.

    Raises:
        UsageError: there is no limit.
    """
    limit_s = spec.search.tpot_limit_s
    if limit_s is None:
        raise UsageError("--target max-batch needs a limit on the time per token", "give --tpot-limit 50ms")
    return BatchLimit(limit_s * 1e3, spec.search.tpot_statistic)


def batch_budget(spec: RunSpec) -> int:
    """Load points for each pair of lengths."""
    return _OF_BATCHES * spec.search.max_probes


def _max_batches(spec: RunSpec, figures: Figures) -> list[MaxBatchResult]:
    def measure(case: BatchCase) -> Measure:
        def one(load: float, repeat: int) -> PointSummary:
            lengths = (case.input_tokens, case.output_tokens)
            batch = round(load)
            rounds = -(-_FEWEST_IN_BATCHES // batch)
            return figures(Wanted(load, repeat, rounds * batch, lengths, together=True))

        return one

    options = BatchOptions(batch_budget(spec))
    return find_max_batches(measure, batch_cases(spec), batch_limit(spec), options)

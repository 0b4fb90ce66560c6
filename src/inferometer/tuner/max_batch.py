"""The largest static batch whose time per non-first token stays within a limit (modeltest's ``performance_maxbs``).

The original halves [lb, rb] and loads the model anew for each probe, offline. Here the engine behind an endpoint is
measured, so the search begins at the small end and goes up, two or four times as far each step (a batch that is far
too large may cost the server its life), and then closes in between the largest batch that met the limit and the
smallest that did not: at the batch where a straight line between their times meets the limit, and half-way every
other time, so that it is never slower than twice a bisection. As a measured time is not certain, and need not rise
with the batch, the answer and the batch after it are measured again, one batch well beyond is measured unless it was,
and all probes are looked over for one that contradicts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from inferometer.metrics.load_curve import Noise
from inferometer.metrics.summary import PointSummary
from inferometer.metrics.targets import BatchRound, MaxBatchResult
from inferometer.tuner.batch_round import STATISTICS, BatchCase, BatchLimit, read_round
from inferometer.tuner.ledger import Ledger, Measure, NoMoreProbes

_FAR = 4
_BEYOND = 1.5
_REPEATS = 2
_MOST_REPEATS = 4


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How much a case may cost, and how well the answer has to be known.

    Attributes:
        max_probes: load points per case.
        precision: share of the batch that noise may leave open in an answer that is sure; one request at least.
    """

    max_probes: int = 24
    precision: float = 0.03


def find_max_batches(
    measure: Callable[[BatchCase], Measure],
    cases: Sequence[BatchCase],
    limit: BatchLimit,
    options: BatchOptions = BatchOptions(),
) -> list[MaxBatchResult]:
    """One result per case, in order; each case has the whole budget of probes for itself.

    Args:
        measure: gives what measures the batches of a case.
        cases: lengths and allowed batch sizes.
        limit: on the time per non-first token.
        options: budget and precision.
    """
    return [find_max_batch(measure(case), case, limit, options) for case in cases]


def find_max_batch(
    measure: Measure,
    case: BatchCase,
    limit: BatchLimit,
    options: BatchOptions = BatchOptions(),
) -> MaxBatchResult:
    """The largest batch of one case that meets the limit.

    Deterministic given what ``measure`` returns. ``measure`` may raise ``NoMoreProbes``; then the result says what is
    known until there.
    """

    def read(summary: PointSummary, batch: float, repeat: int) -> BatchRound:
        return read_round(summary, int(batch), repeat, case, limit)

    search = _BatchSearch(Ledger(measure, read, options.max_probes), case, limit, options)
    ended = None
    try:
        search.gallop()
        search.settle()
    except NoMoreProbes as end:
        ended = end.reason
    return _result(search, ended)


class _BatchSearch:
    def __init__(
        self, ledger: Ledger[BatchRound], case: BatchCase, limit: BatchLimit, options: BatchOptions
    ) -> None:
        self.ledger = ledger
        self.case = case
        self.limit = limit
        self.options = options

    @property
    def batches(self) -> list[int]:
        """Batches that were measured, rising."""
        return sorted({entry.batch for entry in self.ledger.entries})

    @property
    def noise(self) -> Noise:
        return Noise([times for batch in self.batches if len(times := self.times(batch)) > 1])

    def times(self, batch: int) -> list[float]:
        """Every time per token that was measured of a batch."""
        rounds = self.ledger.of(batch)
        return [
            r.non_first_token_ms for r in rounds if r.met is not None and r.non_first_token_ms is not None
        ]

    def time_ms(self, batch: int) -> float | None:
        times = self.times(batch)
        return float(np.mean(times)) if times else None

    def refused(self, batch: int) -> str | None:
        """Why the server did not carry a batch, whatever its time per token."""
        return next((r.remark for r in self.ledger.of(batch) if r.met is False and not r.carried), None)

    def met(self, batch: int) -> bool | None:
        """Whether a batch meets the limit, on the mean of its repeats; None without evidence."""
        if self.refused(batch) is not None:
            return False
        time_ms = self.time_ms(batch)
        return None if time_ms is None else time_ms <= self.limit.limit_ms

    def surely(self, batch: int) -> bool:
        """Whether chance cannot turn the answer for a batch."""
        time_ms = self.time_ms(batch)
        if self.refused(batch) is not None or time_ms is None:
            return True
        half = self.noise.half_width(len(self.times(batch))) * time_ms
        return abs(time_ms - self.limit.limit_ms) > half

    @property
    def largest_met(self) -> int | None:
        """Below the smallest batch that does not meet the limit."""
        too_large = self.smallest_not_met
        met = [b for b in self.batches if self.met(b) and (too_large is None or b < too_large)]
        return met[-1] if met else None

    @property
    def smallest_not_met(self) -> int | None:
        return next((batch for batch in self.batches if not self.met(batch)), None)

    def gallop(self) -> None:
        """Upwards, until a batch does not meet the limit or there are no larger ones."""
        batch = self.case.low
        while True:
            self.ledger.probe(batch)
            if not self.met(batch) or batch >= self.case.high:
                return
            batch = min(self._stride(batch), self.case.high)

    def _stride(self, batch: int) -> int:
        """Twice as far; four times where a line through the last two batches is still within the limit there."""
        times = [(b, t) for b in self.batches[-2:] if (t := self.time_ms(b)) is not None]
        if len(times) == 2:
            (first, low_ms), (last, high_ms) = times
            expected_ms = high_ms + (high_ms - low_ms) * (_FAR * batch - last) / (last - first)
            if expected_ms <= self.limit.limit_ms:
                return batch * _FAR
        return batch * 2

    def settle(self) -> None:
        """Close in, and measure the two batches at the border again, until the border stays where it is."""
        bisect = False
        while True:
            low, high = self.largest_met, self.smallest_not_met
            if low is not None and high is not None and high - low > 1:
                self.ledger.probe(self._inside(low, high, bisect))
                bisect = not bisect
                continue
            border = [batch for batch in (low, high) if batch is not None and self.refused(batch) is None]
            again = [batch for batch in border if self._wants_repeat(batch)]
            if not again:
                break
            self.ledger.probe(min(again, key=lambda batch: len(self.times(batch))))
        if high is not None and (further := self._further(high)) is not None:
            self.ledger.probe(further)

    def _further(self, high: int) -> int | None:
        """A batch well beyond the border, so that a time which falls again does not stay hidden."""
        further = min(math.ceil(high * _BEYOND), self.case.high)
        too_slow = self.met(high) is False and self.refused(high) is None
        seen = any(batch >= further for batch in self.batches)
        return None if not too_slow or seen or self.largest_met is None else further

    def _wants_repeat(self, batch: int) -> bool:
        count = len(self.times(batch))
        if self.met(batch) is None:
            return False  # it was tried often enough
        return count < _REPEATS or (count < _MOST_REPEATS and not self.surely(batch) and not self.precise())

    def precise(self) -> bool:
        """Whether chance may move the border by no more than the precision."""
        reach = self.reach()
        answer = self.largest_met
        return reach is not None and answer is not None and reach <= max(1.0, self.options.precision * answer)

    def reach(self) -> float | None:
        """By how many requests chance may move the border: the noise of the time / its slope over the batch."""
        near = [
            (b, t) for b in self.batches if self.refused(b) is None and (t := self.time_ms(b)) is not None
        ]
        answer = self.largest_met
        if answer is None or len(near) < 2:
            return None
        near = sorted(near, key=lambda pair: abs(math.log(pair[0] / answer)))[:4]
        slope = float(np.polyfit([b for b, _ in near], [t for _, t in near], 1)[0])
        half_ms = self.noise.half_width(len(self.times(answer))) * self.limit.limit_ms
        return half_ms / slope if slope > 0.0 else None

    def _inside(self, low: int, high: int, bisect: bool) -> int:
        """Where the straight line between both meets the limit, or half-way."""
        first, last = self.time_ms(low), self.time_ms(high)
        middle = (low + high) // 2
        if bisect or first is None or last is None or self.refused(high) is not None or last <= first:
            return middle
        met = low + (high - low) * (self.limit.limit_ms - first) / (last - first)
        return min(max(math.floor(met), low + 1), high - 1)


def _result(search: _BatchSearch, ended: str | None) -> MaxBatchResult:
    answer = search.largest_met
    reach = search.reach()
    high = search.smallest_not_met
    at_least, at_most = answer, answer
    if answer is not None and reach is not None and not _both_sure(search, answer, high):
        at_least = max(math.floor(answer - reach), search.case.low)
        at_most = min(math.ceil(answer + reach), search.case.high)
    doubts = _doubts(search, answer, ended)
    return MaxBatchResult(
        input_tokens=search.case.input_tokens,
        output_tokens=search.case.output_tokens,
        low=search.case.low,
        high=search.case.high,
        limit_ms=search.limit.limit_ms,
        statistic=STATISTICS[search.limit.statistic],
        batch=answer,
        best=None if answer is None else _mean_round([r for r in search.ledger.of(answer) if r.evidence]),
        at_least=at_least,
        at_most=at_most,
        limited_by=_limited_by(search, answer, high),
        sure=not doubts,
        why=_why(search, answer, high),
        doubts=doubts,
        rounds=list(search.ledger.entries),
    )


def _both_sure(search: _BatchSearch, answer: int, high: int | None) -> bool:
    return search.surely(answer) and (high is None or search.surely(high))


def _limited_by(search: _BatchSearch, answer: int | None, high: int | None) -> str:
    name = STATISTICS[search.limit.statistic]
    if high is None and answer is None:
        return "nothing: no batch was measured"
    if high is None:
        where = "the end of the range" if answer == search.case.high else "the end of the search"
        return f"{where}: {answer} still meets the limit"
    refused = search.refused(high)
    if search.met(high) is None:
        return f"the load generator, at batch {high}: {search.ledger.of(high)[0].remark}"
    if refused is not None:
        return f"the server, at batch {high}: {refused}"
    return (
        f"{name}: {search.time_ms(high):,.4g} ms at batch {high}, the limit is {search.limit.limit_ms:g} ms"
    )


def _why(search: _BatchSearch, answer: int | None, high: int | None) -> list[str]:
    said = []
    name = STATISTICS[search.limit.statistic]
    for batch in (answer, high):
        if batch is not None and (time_ms := search.time_ms(batch)) is not None:
            times = len(search.times(batch))
            half = search.noise.half_width(times) * time_ms
            said.append(f"batch {batch}: {name} {time_ms:,.4g} ms +-{half:.2g} ({times} measured)")
    return said


def _doubts(search: _BatchSearch, answer: int | None, ended: str | None) -> list[str]:
    high = search.smallest_not_met
    found = [] if ended is None else [f"the search ended early: {ended}"]
    if high is not None and search.met(high) is None:
        found.append(_limited_by(search, answer, high))
    if answer is not None and high is None:
        found.append(f"larger batches were not asked for: {_limited_by(search, answer, high)}")
    better = [batch for batch in search.batches if high is not None and batch > high and search.met(batch)]
    if better:
        told = ", ".join(map(str, better))
        found.append(f"not monotone: batch {high} does not meet the limit, but {told} does")
    if answer is not None and not _both_sure(search, answer, high) and not search.precise():
        found.append("repeats differ too much to know the batch to the precision that was asked for")
    remark = next(
        (entry.remark for entry in search.ledger.of(answer or 0) if entry.remark and entry.evidence), None
    )
    return [*found, *([f"batch {answer}: {remark}"] if remark else [])]


def _mean_round(rounds: Sequence[BatchRound]) -> BatchRound:
    """The repeats of a batch as one round."""
    first = rounds[0]

    def mean(name: str) -> float | None:
        known = [value for entry in rounds if (value := getattr(entry, name)) is not None]
        return float(np.mean(known)) if known else None

    return BatchRound(
        batch=first.batch,
        repeat=len(rounds),
        index=first.index,
        carried=True,
        met=True,
        total_time_s=mean("total_time_s"),
        prefill_all_ms=mean("prefill_all_ms"),
        prefill_average_ms=mean("prefill_average_ms"),
        non_first_token_ms=mean("non_first_token_ms"),
        non_first_token_throughput=mean("non_first_token_throughput"),
        e2e_throughput=mean("e2e_throughput"),
        remark=next((entry.remark for entry in rounds if entry.remark), None),
    )

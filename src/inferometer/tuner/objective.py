"""What a search holds a load point against: limits with an interval for what was measured, and a scale to search on.

The scale ("margin") is above 0 where a limit is met, 0 at the limit, and close to a straight line of the load near it,
so that a few noisy probes place the crossing: L / y - 1 for a latency y with limit L (in a queue 1 / y falls in a
straight line to 0 at saturation), log odds of the limit - log odds measured for a share of requests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import msgspec
import numpy as np

from inferometer.errors import UsageError
from inferometer.metrics.bootstrap import Interval, block_interval, block_length
from inferometer.metrics.capacity import Reading
from inferometer.metrics.latency import Bools, Floats, PointData
from inferometer.metrics.percentiles import samples_needed
from inferometer.metrics.slo import LATENCIES, RATES, PointLimit, RequestLimit, parse_slos
from inferometer.spec import derive_seed

_LEAST_VALUES = 100
FEWEST_VALUES = 500  # of a mean, or of a share whose limit would do with fewer
_FEW = 10  # occurrences from which on a share is drawn anew rather than reckoned
_MOST_VALUES = 20_000  # gaps of a probe that are resampled; more make the interval no better known
_RESAMPLES = 200
_Z = 1.959964
_UNKNOWN_LATENCY = 1.0  # standard error of L / y, as a part of it, where it cannot be reckoned
_UNKNOWN_SHARE = 1.0
_PER_EXCURSION = (
    1.4  # standard error of a percentile x root of the excursions beyond it / scale of its tail, simulated
)
_PER_BLOCK = 20.0
_FAR_BEYOND = 1e3  # times the limit
_NEVER_FAILED = 2.0  # margin of a load at which nothing failed
_CLEARLY = 0.01  # chance that as many are beyond the limit at a load that meets it


@dataclass(frozen=True, slots=True)
class Objective:
    """One limit of a search.

    Attributes:
        text: as it was written.
        kind: "percentile" or "mean" of a latency in ms, or "share" of requests that failed; an attainment is a
            percentile of the worst latency / limit of each request.
        metric: a name of ``metrics.slo.LATENCIES``, "attainment" or "failed".
        percentile: 0 to 100, of a percentile.
        limit: ms, or the largest share.
        needs: values that a probe should have to be judged by it.
        per_request: limits that each request has to meet, of an attainment.
    """

    text: str
    kind: Literal["percentile", "mean", "share"]
    metric: str
    percentile: float
    limit: float
    needs: int
    per_request: tuple[str, ...] = ()

    @property
    def least(self) -> int:
        """Values without which nothing is said."""
        if self.metric == "failed":
            return self.needs
        proper = samples_needed(self.percentile) if 0 < self.percentile < 100 else 0
        return min(self.needs, max(_LEAST_VALUES, proper))

    @property
    def limits_ms(self) -> tuple[tuple[str, float], ...]:
        """Every latency that is limited in it, and its limit."""
        if self.metric == "attainment":
            return tuple((limit.metric, limit.limit_ms) for limit in parse_slos(self.per_request)[0])
        return () if self.metric == "failed" else ((self.metric, self.limit),)

    def read(self, data: PointData, seed: int) -> Reading:
        """What a load point says of the limit."""
        if self.metric == "failed":
            return self._share(_failures(data), seed)
        if self.metric == "attainment":
            return self._attainment(_worst_ratios(data), seed)
        values = LATENCIES[self.metric](data)
        return self._latency(values[~np.isnan(values)], seed)

    def _latency(self, values: Floats, seed: int) -> Reading:
        count, beyond = len(values), int((values > self.limit).sum())
        enough = count >= self.least
        statistic: Callable[[Floats], float] = np.mean
        if self.kind == "percentile":
            p = self.percentile
            statistic = lambda v: float(np.percentile(v, p))  # noqa: E731
        measured = None if not count else float(statistic(values) if enough else values.max())
        if self.kind == "mean" and count:
            measured = float(values.mean())
        interval = _interval(values, statistic, seed) if enough else None
        apart = None if measured is None or self.kind == "mean" else excursions(values, measured)
        margin = None if measured is None else self.limit / measured - 1.0
        error = _UNKNOWN_LATENCY * ((margin or 0.0) + 1.0)
        if interval is not None and interval.low > 0 and measured is not None:
            error = (self.limit / interval.low - self.limit / interval.high) / (2.0 * _Z)
            if apart is None:
                error *= _few_blocks(values)
            else:
                error = max(
                    error, self.limit / measured * _tail_error(values, self.percentile, measured, apart)
                )
        return Reading(
            slo=self.text,
            measured=measured,
            low=None if interval is None else interval.low,
            high=None if interval is None else interval.high,
            limit=self.limit,
            unit="ms",
            values=count,
            beyond=beyond if self.kind == "percentile" else None,
            excursions=apart,
            enough=enough,
            met=_met(interval, self.limit) if interval else self._from_few(beyond, count, measured),
            margin=margin,
            error=error,
        )

    def _attainment(self, ratios: Floats, seed: int) -> Reading:
        """Judged as a percentile of the worst ratio, told as the share of requests beyond a limit."""
        judged = replace(self, limit=1.0)._latency(ratios, seed)
        beyond = np.asarray(ratios > 1.0, dtype=np.float64)
        interval = _share_interval(beyond, seed) if len(beyond) else None
        return msgspec.structs.replace(
            judged,
            measured=float(beyond.mean()) if len(beyond) else None,
            low=None if interval is None else interval.low,
            high=None if interval is None else interval.high,
            beyond=int(beyond.sum()),
            limit=self.limit,
            unit="share",
        )

    def _from_few(
        self, beyond: int, count: int, measured: float | None
    ) -> Literal["met", "not met", "unclear"]:
        """What a scout shows: far too many beyond the limit are no chance, none of them proves nothing."""
        if measured is None:
            return "unclear"
        if self.kind == "mean":
            return "not met" if measured > 1.5 * self.limit else "unclear"
        return "not met" if _chance(beyond, count, 1.0 - self.percentile / 100.0) < _CLEARLY else "unclear"

    def _share(self, violations: Floats, seed: int) -> Reading:
        count, beyond = len(violations), int(violations.sum())
        enough = count >= self.least
        interval = _share_interval(violations, seed) if count else None
        smoothed = (beyond + 0.5) / (count + 1.0)
        error = _UNKNOWN_SHARE
        if interval is not None:
            error = max(_logit(interval.high) - _logit(max(interval.low, 0.2 / (count + 1.0))), 0.1) / (
                2.0 * _Z
            )
        met = _met(interval, self.limit) if interval else "unclear"
        if self.metric == "failed" and met == "unclear" and count and beyond <= self.limit * count:
            met = "met"  # to prove a limit of 0.1 % takes 3,000 requests without a failure; a service fails abruptly
        if not enough and met == "met":
            met = "unclear"
        margin = _logit(max(self.limit, 1e-6)) - _logit(smoothed) if count else None
        if self.metric == "failed" and margin is not None and not beyond:
            margin, error = max(margin, _NEVER_FAILED), _UNKNOWN_SHARE
        return Reading(
            slo=self.text,
            measured=beyond / count if count else None,
            low=None if interval is None else interval.low,
            high=None if interval is None else interval.high,
            limit=self.limit,
            unit="share",
            values=count,
            beyond=beyond,
            enough=enough,
            met=met,
            margin=margin,
            error=error,
        )


def objectives_of(slos: Sequence[str]) -> tuple[Objective, ...]:
    """The limits of a search from their texts.

    Raises:
        UsageError: none; one cannot be read; a limit per request without a share of requests that has to meet it; a
            throughput, of which more load brings more.
    """
    if not slos:
        raise UsageError(
            "a search needs a limit that the largest load still meets",
            'give --slo "p99_ttft<=500ms" "p99_tpot<=50ms", or --target peak-throughput',
        )
    per_request, per_point = parse_slos(slos)
    floors = [limit for limit in per_point if limit.metric in RATES]
    if floors:
        raise UsageError(
            f"SLO {floors[0].text!r}: more load brings more throughput, so it is no upper limit of the load",
            "leave it out; for the largest throughput give --target peak-throughput",
        )
    shares = [limit for limit in per_point if limit.metric == "attainment"]
    if per_request and not shares:
        raise UsageError(
            f"SLO {per_request[0].text!r} is a limit on each request, and it is not said how many have to meet it",
            'add a share: --slo "attainment>=95%"',
        )
    if shares and not per_request:
        raise UsageError(
            f"SLO {shares[0].text!r} is a share of requests without a limit that they are to meet",
            "add one: --slo ttft:500 tpot:50",
        )
    return tuple(_objective(limit, per_request) for limit in per_point)


def _objective(limit: PointLimit, per_request: Sequence[RequestLimit]) -> Objective:
    if limit.metric == "attainment":
        text = f"{limit.text} ({' '.join(each.text for each in per_request)})"
        share = 1.0 - limit.limit
        needs = max(FEWEST_VALUES, samples_needed(100.0 * limit.limit)) if share > 0 else 1000
        own = tuple(each.text for each in per_request)
        return Objective(text, "percentile", "attainment", 100.0 * limit.limit, share, needs, own)
    if limit.metric == "failed":
        return Objective(limit.text, "share", "failed", 0.0, limit.limit, 1)
    if limit.statistic == "mean":
        return Objective(limit.text, "mean", limit.metric, 0.0, limit.limit, FEWEST_VALUES)
    p = float(limit.statistic[1:])
    return Objective(
        limit.text, "percentile", limit.metric, p, limit.limit, max(FEWEST_VALUES, samples_needed(p))
    )


def _ended(data: PointData) -> Bools:
    """The requests that ended by themselves."""
    return np.isin(data.table.text("status").astype(str), ("cancelled", "aborted"), invert=True)


def _failures(data: PointData) -> Floats:
    """1 for each request that ended by itself and failed, else 0, in the order in which they were due."""
    return np.asarray(data.table.text("status") != "ok", dtype=np.float64)[_ended(data)]


def _worst_ratios(data: PointData) -> Floats:
    """Of each request that ended by itself the largest of latency / limit; a failed one is far beyond any limit.

    A share of requests meets all its limits exactly where that percentile of this ratio is at most 1.
    """
    limits, _ = parse_slos(data.slo)
    worst = np.zeros(int(data.ok.sum()))
    for limit in limits:
        values = LATENCIES[limit.metric](data)
        if (
            limit.metric == "tpot"
        ):  # an answer of one token has none and meets any limit on it, as for goodput
            values = np.where(data.output_tokens <= data.first_chunk_tokens, 0.0, values)
        worst = np.maximum(worst, np.where(np.isnan(values), _FAR_BEYOND, values / limit.limit_ms))
    ratios = np.full(len(data.ok), _FAR_BEYOND)
    ratios[data.ok] = worst
    return ratios[_ended(data)]


def _interval(values: Floats, statistic: Callable[[Floats], float], seed: int) -> Interval | None:
    thinned = values[:: max(1, -(-len(values) // _MOST_VALUES))]
    return block_interval(thinned, statistic, seed=derive_seed(seed, "interval"), resamples=_RESAMPLES)


def _share_interval(violations: Floats, seed: int) -> Interval | None:
    """Drawn anew in blocks; where the one or the other is rare, Wilson's interval for independent requests."""
    count, beyond = len(violations), float(violations.sum())
    if min(beyond, count - beyond) >= _FEW:
        return _interval(violations, np.mean, seed)
    share = beyond / count
    centre = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    # Where none, or all, are beyond, one end is the share itself; rounding would leave a trace of it.
    low = 0.0 if not beyond else max(0.0, centre - half)
    return Interval(low, 1.0 if beyond == count else min(1.0, centre + half), 0.95)


def excursions(values: Floats, level: float) -> int:
    """How often a series rose above ``level`` from its median or below, at least 1.

    In a queue slow requests come in clusters, as many as wait for the same reason: that many are as good as one. A
    percentile with ten values beyond it that all belong to one excursion is known no better than by one value.
    """
    side = np.where(values > level, 1, np.where(values <= np.median(values), -1, 0))
    decided = side[side != 0]
    return max(1, int(((decided[1:] == 1) & (decided[:-1] == -1)).sum()))


def _few_blocks(values: Floats) -> float:
    """By how much a bootstrap of so many blocks underrates the error of a mean, from simulated queues."""
    return math.sqrt(1.0 + _PER_BLOCK * block_length(values) / len(values))


def _tail_error(values: Floats, p: float, measured: float, apart: int) -> float:
    """Standard error of percentile ``p`` as a part of it, by the excursions beyond it and an exponential tail.

    A bootstrap of the one excursion that a short series may have had cannot show that there might have been none.
    """
    tail = max(1.0 - p / 100.0, 1.0 / len(values))
    if tail >= 0.4:
        return 0.0
    scale = (measured - float(np.median(values))) / math.log(0.5 / tail)
    few = math.sqrt(1.0 + 2.0 / apart)  # the percentile of a series with few excursions lies low on top of it
    return _PER_EXCURSION * scale / measured * few / math.sqrt(apart)


def _met(interval: Interval, limit: float) -> Literal["met", "not met", "unclear"]:
    if interval.high <= limit:
        return "met"
    return "not met" if interval.low > limit else "unclear"


def _logit(share: float) -> float:
    inside = min(max(share, 1e-9), 1.0 - 1e-9)
    return math.log(inside / (1.0 - inside))


def _chance(beyond: int, count: int, share: float) -> float:
    """Probability of at least so many of ``count`` when each is beyond with probability ``share``."""
    below = sum(math.comb(count, k) * share**k * (1.0 - share) ** (count - k) for k in range(beyond))
    return max(0.0, 1.0 - below)

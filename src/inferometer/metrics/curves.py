"""What had come by each moment of a load point, as curves: tokens, prompts, answers; and requests in flight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.metrics.counts import cut_off_rows
from inferometer.metrics.latency import Bools, Floats, PointData
from inferometer.metrics.throughput import tokens_of

_GRAINS = 1 << 16


@dataclass(frozen=True, slots=True)
class Curve:
    """How much had come by each moment, in ns from the point's epoch.

    Between two arrivals it rises evenly: what came at the second was in the making since the first, so a synchronous
    step of the engine that crosses the edge of a window counts in it by its share.

    Attributes:
        at_ns: moments of arrival, rising.
        total: all that had come by then.
    """

    at_ns: Floats
    total: Floats

    def by(self, moments_ns: Floats) -> Floats:
        """What had come by each of the moments."""
        if not len(self.at_ns):
            return np.zeros(len(moments_ns))
        return np.asarray(np.interp(moments_ns, self.at_ns, self.total), dtype=np.float64)

    def rates(self, edges_ns: Floats) -> Floats:
        """What came per second between consecutive edges."""
        return np.diff(self.by(edges_ns)) / np.diff(edges_ns) * 1e9


def curve(at_ns: Floats, amounts: Floats | None = None) -> Curve:
    """The curve of arrivals in any order; one each when no amounts are given; a time of NaN never came.

    Times are kept to 1/65,536 of their span: exact sorting of millions of chunks would take longer than all the rest.
    """
    came = ~np.isnan(at_ns)
    at_ns, amounts = at_ns[came], None if amounts is None else amounts[came]
    if not len(at_ns):
        return Curve(at_ns, at_ns)
    if len(at_ns) <= _GRAINS:
        moments, place = np.unique(at_ns, return_inverse=True)
        return Curve(moments, np.cumsum(np.bincount(place, weights=amounts).astype(np.float64)))
    first = float(at_ns.min())
    span = float(at_ns.max()) - first
    place = np.minimum((at_ns - first) * (_GRAINS / max(span, 1.0)), _GRAINS - 1).astype(np.int32)
    weights = np.bincount(place, weights=amounts, minlength=_GRAINS).astype(np.float64)
    filled = np.flatnonzero(np.bincount(place, minlength=_GRAINS))
    moments = np.asarray(first + (filled + 0.5) * (span / _GRAINS), dtype=np.float64)
    return Curve(moments, np.cumsum(weights[filled]))


def output_curve(data: PointData) -> Curve | None:
    """Output tokens by arrival, of successful requests and of those that the end of the load point cut off.

    The server made the tokens of both. A chunk of unknown token count has its share of what its request has left; one
    of a request that was cut off, whose sum is not known, as many as chunks of the successful ones had on average. An
    answer that came in one piece was in the making from its send to its end: taken as one arrival, those that end
    together would come as pulses. None when the tokens of a successful request are not known.
    """
    tokens = tokens_of(data)
    if tokens is None:
        return None
    chunks = data.output_chunks
    in_one = np.ones(len(data.output_tokens), dtype=bool)
    in_one[chunks.row] = False
    cut_ns, cut_tokens = _cut_off_chunks(data, cut_off_rows(data.table))
    per_chunk = float(tokens.mean()) if len(tokens) else 1.0
    came = np.concatenate((tokens, np.where(np.isnan(cut_tokens), per_chunk, cut_tokens)))
    arrived = curve(np.concatenate((chunks.recv_ns, cut_ns)), came)
    if not in_one.any():
        return arrived
    made = spread(data.column("sent_ns")[in_one], data.end_ns[in_one], data.output_tokens[in_one])
    moments = np.union1d(arrived.at_ns, made.at_ns)
    return Curve(moments, arrived.by(moments) + made.by(moments))


def input_curve(data: PointData) -> Curve | None:
    """Input tokens of successful requests, spread as in ``request_curve``; None when those of one are not known."""
    if np.isnan(data.input_tokens).any():
        return None
    return spread(data.column("sent_ns"), data.end_ns, data.input_tokens)


def request_curve(data: PointData) -> Curve:
    """Successful requests, each spread evenly over its time from send to end.

    In a window it counts by the share of its time that lies inside. Counting ends would be as right in the long run,
    but where requests end together, one wave more or less at the edge of a window is a large part of it.
    """
    return spread(data.column("sent_ns"), data.end_ns, np.ones(len(data.end_ns)))


def chunk_curve(data: PointData) -> Curve:
    """Output chunks, or answers where there are none: what stands for tokens that are not known."""
    return curve(data.output_chunks.recv_ns) if len(data.output_chunks.row) else request_curve(data)


def in_flight(start_ns: Floats, end_ns: Floats, edges_ns: Floats) -> Floats:
    """Time-weighted mean of the spans that are under way, between consecutive edges."""
    return np.diff(_time_since(start_ns, edges_ns) - _time_since(end_ns, edges_ns)) / np.diff(edges_ns)


def in_flight_during(start_ns: Floats, end_ns: Floats, from_ns: Floats, to_ns: Floats) -> Floats:
    """Time-weighted mean of the spans that are under way in each of some stretches of time; NaN for an empty one."""
    length = np.where(to_ns > from_ns, to_ns - from_ns, np.nan)
    begun = _time_since(start_ns, to_ns) - _time_since(start_ns, from_ns)
    over = _time_since(end_ns, to_ns) - _time_since(end_ns, from_ns)
    return np.asarray((begun - over) / length, dtype=np.float64)


def spread(start_ns: Floats, end_ns: Floats, amounts: Floats) -> Curve:
    """The curve of amounts that come evenly from their start to their end; those without either are left out."""
    known = ~np.isnan(start_ns) & ~np.isnan(end_ns)
    start_ns, amounts = start_ns[known], amounts[known]
    end_ns = np.maximum(end_ns[known], start_ns + 1.0)
    pace = amounts / (end_ns - start_ns)
    moments = np.unique(np.concatenate((start_ns, end_ns)))
    came = _time_since(start_ns, moments, pace) - _time_since(end_ns, moments, pace)
    return Curve(moments, np.maximum.accumulate(came) if len(came) else came)


def _time_since(moments_ns: Floats, at_ns: Floats, weights: Floats | None = None) -> Floats:
    """Weighted sum over the moments that have passed at ``at_ns`` of how long ago they were."""
    order = np.argsort(moments_ns)
    ordered = moments_ns[order]
    weight = np.ones(len(ordered)) if weights is None else weights[order]
    passed = np.searchsorted(ordered, at_ns, side="right")
    heavy = np.concatenate(([0.0], np.cumsum(weight)))
    dated = np.concatenate(([0.0], np.cumsum(weight * ordered)))
    return np.asarray(heavy[passed] * at_ns - dated[passed], dtype=np.float64)


def _cut_off_chunks(data: PointData, cut: Bools) -> tuple[Floats, Floats]:
    """Arrival and tokens of the output chunks of requests that were cut off."""
    if not cut.any():
        return np.empty(0), np.empty(0)
    theirs = PointData(data.table)
    theirs.ok = cut
    return theirs.output_chunks.recv_ns, theirs.output_chunks.tokens

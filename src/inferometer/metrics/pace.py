"""How fast a server was: TTFT and TPOT over requests in flight, to tell how long other load points will take.

The axis is requests in flight, because closed and open loops meet there: a closed loop holds its concurrency, an open
one has rate x latency requests in flight (Little's law), which the run has measured. In between latencies are
interpolated; beyond, they grow along the line through the two largest loads. Latency that grows linearly with requests
in flight is a throughput that levels off, at 1 / slope, as batching servers do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from inferometer.metrics.summary import PointSummary

ASSUMED_TTFT_S = 0.2
ASSUMED_TPOT_S = 0.02
ASSUMED_OUTPUT_TOKENS = 256
_LEAST_SHARE = (
    0.25  # of the latency at the smallest measured load: below it a line to the left is not believed
)
_SEARCHED = 24  # doublings of requests in flight in which the highest throughput is looked for


class Seen(NamedTuple):
    """One measured load: requests in flight, and what a request took on the average."""

    in_flight: float
    ttft_s: float
    tpot_s: float
    tail_s: float
    input_tokens: float | None
    output_tokens: float


class Lengths(NamedTuple):
    """Mean tokens of prompts and answers; None = not known beforehand."""

    input_tokens: float | None
    output_tokens: float | None


class Pace:
    """Mean time of a request, by requests in flight and lengths.

    Args:
        seen: what was measured; without anything, a server that load does not slow is assumed.
    """

    def __init__(self, seen: Iterable[Seen] = ()) -> None:
        self.seen = sorted(seen)

    @property
    def assumed(self) -> bool:
        """Whether nothing was measured."""
        return not self.seen

    @property
    def reach(self) -> float | None:
        """Most requests in flight that were measured; None where nothing was."""
        return self.seen[-1].in_flight if self.seen else None

    def request_s(self, in_flight: float, lengths: Lengths) -> float:
        """From the send of a request to its end, in seconds, with so many requests in flight."""
        near = self._alike(lengths)
        if not near:
            tokens = lengths.output_tokens or ASSUMED_OUTPUT_TOKENS
            return ASSUMED_TTFT_S + ASSUMED_TPOT_S * (tokens - 1)
        tokens = lengths.output_tokens or near[-1].output_tokens
        tpot_s = _level(near, in_flight, lambda seen: seen.tpot_s)
        ttft_s = _level(near, in_flight, lambda seen: seen.ttft_s)
        if lengths.input_tokens and near[-1].input_tokens:
            # Prefill takes time in proportion to the prompt; the least is one step of the engine.
            ttft_s = max(ttft_s * lengths.input_tokens / near[-1].input_tokens, min(tpot_s, ttft_s))
        return ttft_s + tpot_s * max(tokens - 1.0, 0.0) + near[0].tail_s

    def capacity_per_s(self, lengths: Lengths, limit: float | None = None) -> float:
        """The most requests per second, with at most ``limit`` in flight; infinite where nothing was measured."""
        if self.assumed and limit is None:
            return math.inf
        most = limit or 2.0**_SEARCHED
        tried = [each for each in (2.0**power for power in range(_SEARCHED + 1)) if each < most] + [most]
        return max(each / self.request_s(each, lengths) for each in tried)

    def _alike(self, lengths: Lengths) -> list[Seen]:
        """The loads whose lengths come closest to these."""
        if not self.seen:
            return []
        nearest = min(_apart(seen, lengths) for seen in self.seen)
        return [seen for seen in self.seen if _apart(seen, lengths) <= nearest + 0.05]


def pace_of(points: Sequence[PointSummary]) -> Pace:
    """The pace of the server that these load points measured."""
    return Pace(seen for point in points if (seen := seen_of(point.load, point)) is not None)


def seen_of(load: Mapping[str, Any], point: PointSummary) -> Seen | None:
    """What one load point tells; None when nothing succeeded, or tokens are not known."""
    mean = {key: found.mean for key, found in point.stats.items()}
    output_tokens, e2el_ms = mean.get("output_tokens"), mean.get("e2el_ms")
    in_flight = point.values.get("concurrency_mean")
    if load.get("closed") and load.get("max_concurrency") is not None:
        in_flight = float(load["max_concurrency"])
    if output_tokens is None or e2el_ms is None or not in_flight:
        return None
    ttft_ms, tpot_ms = mean.get("ttft_ms"), mean.get("tpot_ms")
    if ttft_ms is None:  # not streamed: all of it grows with the tokens
        ttft_ms, tpot_ms = 0.0, e2el_ms / max(output_tokens, 1.0)
    elif tpot_ms is None:  # one token each
        tpot_ms = 0.0
    return Seen(
        in_flight,
        ttft_ms / 1e3,
        tpot_ms / 1e3,
        mean.get("tail_ms", 0.0) / 1e3,
        mean.get("input_tokens"),
        output_tokens,
    )


def _apart(seen: Seen, lengths: Lengths) -> float:
    """How far lengths are from those of a measured load, as a sum of logarithms."""
    pairs = ((seen.input_tokens, lengths.input_tokens), (seen.output_tokens, lengths.output_tokens))
    return sum(abs(math.log(a / b)) for a, b in pairs if a and b)


def _level(seen: Sequence[Seen], in_flight: float, value: Callable[[Seen], float]) -> float:
    """``value`` at so many requests in flight: between two measured loads, or on the line through the last two."""
    places = _averaged(seen, value)
    if len(places) == 1:
        # One load says nothing of the slope: between "no slower" and "not one request more".
        ((at, level),) = places
        return level * math.sqrt(max(in_flight / at, 1.0))
    for (left, low), (right, high) in pairwise(places):
        if in_flight <= right:
            line = low + (high - low) * (in_flight - left) / (right - left)
            return max(line, _LEAST_SHARE * low) if in_flight < left else line
    (left, low), (right, high) = places[-2:]
    return high + max((high - low) / (right - left), 0.0) * (in_flight - right)


def _averaged(seen: Sequence[Seen], value: Callable[[Seen], float]) -> list[tuple[float, float]]:
    """Requests in flight and mean value, each number of requests once."""
    found: dict[float, list[float]] = {}
    for each in seen:
        found.setdefault(each.in_flight, []).append(value(each))
    return [(at, sum(values) / len(values)) for at, values in sorted(found.items())]

"""What failures say about the limits of a gateway: refusals by rate, and calls that are ended after a fixed time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import numpy as np

from inferometer.metrics.latency import NS_PER_S, Bools, Floats
from inferometer.record.tables import PointTable

_FEWEST = 5  # failures of one kind that times are looked at for
_FEWEST_SECONDS = 2  # with refusals in them
_FEWEST_IN_FLIGHT = 2
_STEADY = 0.1  # of their number, between the 10th and the 90th percentile
_SHORTEST_LIMIT_S = 1.0
_SPREAD = 0.02  # of a limit's length, between the 10th and the 90th percentile
_SPREAD_S = 0.1  # but at least: answers to a timeout have a way to go
_REFUSED = (429, 503)

_MEANS = {
    408: "the server, or a gateway in front of it, gave up waiting for the request",
    429: "the server, or a gateway in front of it, refuses what is above its limit",
    502: "a gateway did not get a proper answer from the server behind it",
    503: "the server, or a gateway in front of it, takes no more requests: its queue is full, or it is not ready",
    504: "a gateway gave up waiting for the server behind it",
}
# What to do about an answer that a gateway gives in place of the server, by HTTP status.
NEXT_STEPS = {
    408: "see whether --url leads through a slow network, or send shorter prompts",
    429: "lower --max-concurrency or --request-rate, or have the limit raised (API gateways often allow 100 "
    "requests/s for a service)",
    502: "see whether the server behind the gateway is up, and its log; or give its own address to --url",
    503: "lower the load, or see the server's log",
    504: "lower the load, shorten the answers with --max-tokens, or have the gateway's time limit raised",
}
_SHORTEN = "shorten the answers with --max-tokens, or have the limit raised"
_STREAM = "stream the answers (drop --no-stream), shorten them with --max-tokens, or have the limit raised"


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What the failures of one kind mean.

    Attributes:
        status: how the requests ended.
        http_status: the status they were answered with, if any.
        count: how many there are.
        meaning: in a sentence, with what was measured.
        next_step: what to do about it.
        accepted_per_s: requests per second that were let through while others were refused; None = not known.
        accepted_in_flight: how many of those were being answered when others were refused, the median.
        limit_s: the time after which all of them ended; None when there is no such time.
    """

    status: str
    http_status: int | None
    count: int
    meaning: str
    next_step: str
    accepted_per_s: float | None = None
    accepted_in_flight: float | None = None
    limit_s: float | None = None


def read_failures(table: PointTable, stream: bool = True) -> list[Reading]:
    """Readings of the failures of a load point that a limit may explain, most frequent first.

    Args:
        table: the load point.
        stream: whether streams were asked for; a gateway often limits only calls that are answered in one piece.
    """
    found = [*_answered(table, _SHORTEN if stream else _STREAM), *_cut(table)]
    return sorted(found, key=lambda reading: -reading.count)


def _answered(table: PointTable, limited: str) -> Iterator[Reading]:
    http_status = table.number("http_status")
    for code in _MEANS:
        rows = http_status == code
        count = int(rows.sum())
        if not count:
            continue
        let = _let_through(table, rows) if code in _REFUSED else None
        limit_s = _fixed_time(table, rows) if code in (408, 504) else None
        means = _MEANS[code]
        if let is not None:
            means += f"; while it refused, it let about {_round(let.per_s)} requests/s through"
            if let.steady:
                means += (
                    f", always with about {let.in_flight:,.0f} of them in flight: the limit may be on either"
                )
        if limit_s is not None:
            about = f"about {_round(limit_s)} s"
            means += f", each time after {about}: a limit of {about} for a synchronous call"
        yield Reading(
            status="http_error",
            http_status=code,
            count=count,
            meaning=f"HTTP {code}: {means}",
            next_step=limited if limit_s is not None else NEXT_STEPS[code],
            accepted_per_s=None if let is None else let.per_s,
            accepted_in_flight=None if let is None else let.in_flight,
            limit_s=limit_s,
        )


def _cut(table: PointTable) -> Iterator[Reading]:
    """Answers that were cut off, all after the same time."""
    rows = np.asarray(table.text("status") == "truncated", dtype=bool)
    limit_s = _fixed_time(table, rows)
    if limit_s is not None:
        yield Reading(
            status="truncated",
            http_status=None,
            count=int(rows.sum()),
            meaning=f"answers were cut off about {_round(limit_s)} s after they were asked for: a gateway or the "
            "server ends calls that take longer",
            next_step=_SHORTEN,
            limit_s=limit_s,
        )


def _round(value: float) -> str:
    """As exact as such a limit can be known."""
    return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


class _Let(NamedTuple):
    """What was accepted while other requests were refused.

    Attributes:
        per_s: requests per second, the median of the seconds.
        in_flight: accepted and not ended when one was refused, the median.
        steady: whether those were always about as many, as under a limit of concurrent requests.
    """

    per_s: float
    in_flight: float
    steady: bool


def _let_through(table: PointTable, refused: Bools) -> _Let | None:
    """What was accepted while other requests were refused; None where that was too short to say.

    Whole seconds from the first refusal on are looked at, and of them those with refusals: before the first one, a
    limit may have allowed a burst, and a second without any says nothing of a limit.
    """
    sent_ns, end_ns = table.number("sent_ns"), table.number("end_ns")
    accepted = ~np.isnan(table.number("http_status")) & ~refused & ~np.isnan(sent_ns)
    times_s = sent_ns[refused & ~np.isnan(sent_ns)] / NS_PER_S
    if len(times_s) < _FEWEST:
        return None
    first_s = float(times_s.min())
    seconds = int(times_s.max() - first_s)
    if seconds < _FEWEST_SECONDS:
        return None
    edges = first_s + np.arange(seconds + 1)
    refusals, _ = np.histogram(times_s, edges)
    let, _ = np.histogram(sent_ns[accepted] / NS_PER_S, edges)
    if (refusals > 0).sum() < _FEWEST_SECONDS:
        return None
    flying = _in_flight(sent_ns[accepted], end_ns[accepted], times_s * NS_PER_S)
    low, middle, high = np.percentile(flying, (10, 50, 90))
    steady = bool(middle >= _FEWEST_IN_FLIGHT and high - low <= max(1.0, _STEADY * middle))
    return _Let(float(np.median(let[refusals > 0])), float(middle), steady)


def _in_flight(sent_ns: Floats, end_ns: Floats, at_ns: Floats) -> Floats:
    """How many had been sent and had not ended at each of these times."""
    sent = np.searchsorted(np.sort(sent_ns), at_ns, side="right")
    ended = np.searchsorted(np.sort(end_ns[~np.isnan(end_ns)]), at_ns, side="right")
    return np.asarray(sent - ended, dtype=np.float64)


def _fixed_time(table: PointTable, rows: Bools) -> float | None:
    """The time from send to end that these requests have in common, if no good one took longer; in seconds."""
    took_s = (table.number("end_ns") - table.number("sent_ns")) / NS_PER_S
    ok = np.asarray(table.text("status") == "ok", dtype=bool)
    mine = took_s[rows & ~np.isnan(took_s)]
    if len(mine) < _FEWEST:
        return None
    low, middle, high = np.percentile(mine, (10, 50, 90))
    allowed_s = max(_SPREAD * middle, _SPREAD_S)
    longest_good_s = np.nanmax(took_s[ok], initial=0.0)
    if middle < _SHORTEST_LIMIT_S or high - low > allowed_s or longest_good_s > middle + allowed_s:
        return None
    return float(middle)

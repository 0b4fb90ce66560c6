"""When a load point is stopped because going on would show nothing new: too many errors, or a server that falls behind.

The decisions are pure functions of counts. They are taken in the parent, on the sum over all workers, some four times a
second, and have to hold under so many looks.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from inferometer.loadgen.progress import Progress

LEAST_ENDED = 20  # requests, before errors are judged
BY_CHANCE = 1e-4  # of a single look; many looks at one load point are far from independent
LEAST_S = 10.0  # of a window in which in-flight requests are judged
LEAST_DONE = 20  # requests that ended in such a window
GROWTH = 0.05  # of the arrivals: what a server leaves undone that falls behind
SIGMAS = 4.0
STRONG_GROWTH = 0.2  # of the arrivals: what no server leaves undone that has filled
MOST_SPEED_UP = 1.0  # sigma, of the ends in the second half of a window

SoftReason = Literal["errors", "saturated"]


def binomial_tail(count: int, trials: int, share: float) -> float:
    """The probability of ``count`` or more successes in ``trials`` of probability ``share``; exact.

    Args:
        count: above ``trials * share``, so that the terms fall.
        trials: at least ``count``.
        share: 0 to 1.
    """
    if count <= 0:
        return 1.0
    if share <= 0.0:
        return 0.0
    if share >= 1.0:
        return 1.0
    log_term = math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
    term = math.exp(log_term + count * math.log(share) + (trials - count) * math.log1p(-share))
    total, odds = term, share / (1.0 - share)
    for more in range(count, trials):
        term *= (trials - more) / (more + 1) * odds
        total += term
        if term < 1e-12 * total:
            break
    return min(1.0, total)


def too_many_errors(failed: int, ended: int, share: float) -> bool:
    """Whether the failed share is above ``share`` beyond chance: an exact one-sided binomial test.

    That is, the lower bound of the failed share (Clopper and Pearson 1934, one-sided, 99.99 %) is above ``share``. From
    20 requests on; with a share of 0, any failure among them is one too many.
    """
    if ended < LEAST_ENDED or failed <= share * ended:
        return False
    return binomial_tail(failed, ended, share) < BY_CHANCE


def falls_behind(at_s: Sequence[float], started: Sequence[int], done: Sequence[int]) -> bool:
    """Whether requests pile up because the server ends fewer than arrive, rather than because it still fills.

    Looked for in windows that end now and reach back over two thirds of the load point so far, and over 10, 20, 40 ...
    seconds. In one of them in-flight requests grew

    - by more than 5 % of the arrivals, and
    - by more than 4 sigma of what arrivals and ends vary by chance. Their number is a sum of independent steps: a line
      fitted to it, with errors taken to be independent (the slope test of GuideLLM's over-saturation stop, whose idea
      this is), would find a trend in the wandering of any busy queue;

    and it is not that the first answers are still to come:

    - the window begins after twice the mean time that a request has taken (by Little's law), and the ends did not speed
      up within it by more than 1 sigma; or in-flight requests grew by more than 20 % of the arrivals over the two
      thirds, and the ends did not speed up at all, now and when two thirds of the time had gone by.

    At 1.2 times the rate that a server carries, about 1,400 arrivals tell, and hardly ever more than 4,000. Answers of
    which a few take far longer than all others (60 s beside 0.2 s) look like a server that falls behind until the first
    of those have ended.

    Args:
        at_s: times of the looks, increasing.
        started: requests sent until then.
        done: requests that had ended by then.
    """
    if not at_s or at_s[-1] < 1.5 * LEAST_S or not done[-1]:
        return False
    now_s = at_s[-1]
    third_s = now_s / 3.0
    if _overrun(at_s, started, done):
        earlier = bisect_left(at_s, now_s / 1.5)
        if _overrun(at_s[:earlier], started[:earlier], done[:earlier]):
            return True
    settled_s = 2.0 * _time_in_system_s(at_s, started, done)
    begins = [third_s]
    while now_s - begins[-1] > 2.0 * LEAST_S:
        begins.append(now_s - (now_s - begins[-1]) / 2.0)
    return any(
        begin >= settled_s
        and _grew(at_s, started, done, begin, GROWTH)
        and _speed_up(at_s, done, begin) <= MOST_SPEED_UP
        for begin in begins
    )


def _overrun(at_s: Sequence[float], started: Sequence[int], done: Sequence[int]) -> bool:
    """Whether far more arrive than end, and the server gets no faster."""
    third_s = at_s[-1] / 3.0 if at_s else 0.0
    return _grew(at_s, started, done, third_s, STRONG_GROWTH) and _speed_up(at_s, done, third_s) <= 0.0


def _time_in_system_s(at_s: Sequence[float], started: Sequence[int], done: Sequence[int]) -> float:
    """How long requests took on average, by Little's law."""
    looks = zip(at_s, started, done, strict=True)
    area = before_s = 0.0
    for now_s, begun, ended in looks:
        area += (begun - ended) * (now_s - before_s)
        before_s = now_s
    return area / done[-1]


def _grew(
    at_s: Sequence[float], started: Sequence[int], done: Sequence[int], from_s: float, share: float
) -> bool:
    """Whether in-flight requests grew by more than a share of the arrivals, beyond chance."""
    if not at_s:
        return False
    first = bisect_left(at_s, from_s)
    arrivals, ends = started[-1] - started[first], done[-1] - done[first]
    growth = arrivals - ends
    return ends >= LEAST_DONE and growth > share * arrivals and growth > SIGMAS * math.sqrt(arrivals + ends)


def _speed_up(at_s: Sequence[float], done: Sequence[int], from_s: float) -> float:
    """By how many sigma more ended in the second half of a window than its share of time."""
    first, middle = bisect_left(at_s, from_s), bisect_left(at_s, (from_s + at_s[-1]) / 2.0)
    ends = done[-1] - done[first]
    share = (at_s[-1] - at_s[middle]) / (at_s[-1] - at_s[first])
    return (done[-1] - done[middle] - share * ends) / math.sqrt(max(1.0, ends * share * (1.0 - share)))


class SoftStop:
    """Looks at a load point as it goes on.

    Args:
        load: the load point, as ``StartPoint.load``: which reasons it may be stopped for.
    """

    def __init__(self, load: Mapping[str, Any]) -> None:
        self._share: float | None = load.get("stop_on_errors")
        self._saturation = bool(load.get("stop_on_saturation"))
        self.level = 2 if load.get("drain") == "cut" else 1
        self._at_s: list[float] = []
        self._started: list[int] = []
        self._done: list[int] = []

    @classmethod
    def of(cls, load: Mapping[str, Any]) -> SoftStop | None:
        """One for a load point that may be stopped; None for one that may not."""
        wanted = load.get("stop_on_errors") is not None or load.get("stop_on_saturation")
        return cls(load) if wanted else None

    def look(self, progress: Progress) -> SoftReason | None:
        """Why the load point is to be stopped; None when it goes on.

        Args:
            progress: of all workers together.
        """
        if self._share is not None and too_many_errors(progress.failed, progress.done, self._share):
            return "errors"
        if not self._saturation or (self._at_s and progress.elapsed_s <= self._at_s[-1]):
            return None
        self._at_s.append(progress.elapsed_s)
        self._started.append(progress.done + progress.in_flight)
        self._done.append(progress.done)
        return "saturated" if falls_behind(self._at_s, self._started, self._done) else None

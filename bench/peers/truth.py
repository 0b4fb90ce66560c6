"""What really happened, from the truth server's own log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from peers.cases import Case
from peers.results import Gaps, Statistics

NS_PER_MS = 1e6
NS_PER_S = 1e9


class Served(Protocol):
    """One request in the server's log; ns of CLOCK_MONOTONIC."""

    @property
    def received_ns(self) -> int:
        """When its last byte was read."""

    @property
    def sent_ns(self) -> NDArray[np.int64]:
        """When each content chunk left."""


@dataclass(frozen=True)
class Truth:
    """What the server saw of one run.

    The span of a run is from its first request to the end of the last answer that the tool counts: some tools keep
    sending until they have counted enough, and drop what is then under way.

    Attributes:
        requests: answered to the end within the span.
        events: content chunks sent, those after the span too.
        span_s: its length.
        requests_per_s: ``requests / span_s``; in an open loop the rate of arrivals.
        events_per_s: chunks sent within the span per second of it.
        ttft, itl: of ``requests``, in ms, in the meaning of the tool that is judged.
    """

    requests: int
    events: int
    span_s: float
    requests_per_s: float
    events_per_s: float
    ttft: Statistics
    itl: Statistics


def truth_of(log: Mapping[str, Served], case: Case, gaps: Gaps, completed: int | None = None) -> Truth | None:
    """The truth of one run; None when nothing was answered.

    Args:
        log: the server's.
        case: what the tool was asked for.
        gaps: what the tool calls ITL.
        completed: how many requests the tool counts; None = not known.
    """
    served = [request for request in log.values() if len(request.sent_ns)]
    if not served:
        return None
    whole = [request for request in served if len(request.sent_ns) >= case.tokens]
    whole.sort(key=lambda request: int(request.sent_ns[-1]))
    whole = whole[:completed]
    end_ns = max(int(request.sent_ns[-1]) for request in whole or served)
    span_s = (end_ns - min(request.received_ns for request in served)) / NS_PER_S
    sent = np.concatenate([request.sent_ns for request in served])
    received = np.array([request.received_ns for request in whole], np.int64)
    first = np.array([request.sent_ns[0] for request in whole], np.int64)
    rate = len(whole) / span_s
    if case.streams is None and len(whole) > 1:
        rate = (len(whole) - 1) * NS_PER_S / float(np.ptp(received))
    return Truth(
        requests=len(whole),
        events=len(sent),
        span_s=span_s,
        requests_per_s=rate,
        events_per_s=int(np.count_nonzero(sent <= end_ns)) / span_s,
        ttft=_statistics((first - received) / NS_PER_MS),
        itl=_statistics(_gaps_ms([request.sent_ns for request in whole], gaps, case)),
    )


def _gaps_ms(sent: list[NDArray[np.int64]], gaps: Gaps, case: Case) -> NDArray[np.float64]:
    several = [times for times in sent if len(times) > 1]
    unknown = gaps is Gaps.STEPS and case.itl_ms is None
    if not several or unknown:
        return np.empty(0)
    if gaps is Gaps.REQUESTS:
        return np.array([(times[-1] - times[0]) / (len(times) - 1) for times in several]) / NS_PER_MS
    found = np.concatenate([np.diff(times) for times in several]) / NS_PER_MS
    if gaps is Gaps.FRAMES:
        found = np.concatenate([found, np.zeros(2 * len(sent))])
    return found


def _statistics(values: NDArray[np.float64]) -> Statistics:
    if not len(values):
        return Statistics(None, None, None)
    p50, p99 = np.percentile(values, (50, 99))
    return Statistics(float(values.mean()), float(p50), float(p99))

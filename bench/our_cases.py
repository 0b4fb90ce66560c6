"""The loads under which our own load generator is measured, and what it must reach: data, no code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Slowing = Literal["hogs", "sigstop", "nice"]


@dataclass(frozen=True)
class Case:
    """One load on the truth server.

    Attributes:
        name: how results are filed.
        title: for people.
        requests: how many are sent.
        tokens: content chunks per answer.
        streams: requests in flight (closed loop); None = open loop.
        rate: Poisson arrivals per second (open loop).
        itl_s: gap between two chunks of the server.
        ttft_s: from request to first chunk.
        flood: the server has no pace.
        tls: the same over TLS.
        workers: processes of the load generator.
        slowed: how the client is held up on purpose.
        repeats: most repetitions; for what takes minutes.
        own_cores: fewest cores that the load generator needs for itself; the server has one more.
    """

    name: str
    title: str
    requests: int
    tokens: int
    streams: int | None = None
    rate: float | None = None
    itl_s: float = 0.02
    ttft_s: float = 0.05
    flood: bool = False
    tls: bool = False
    workers: int = 1
    slowed: Slowing | None = None
    repeats: int = 99
    own_cores: int = 1

    @property
    def ideal_s(self) -> float:
        """How long the server takes for one answer."""
        return self.ttft_s + (self.tokens - 1) * self.itl_s


@dataclass(frozen=True)
class Goal:
    """What a metric of a case must reach.

    Attributes:
        case: name of the case.
        metric: its key in the results of the case.
        op: how the measured value must stand to ``limit``.
        limit: in the unit of the metric.
        words: the metric with its unit, for people.
    """

    case: str
    metric: str
    op: Literal["<=", ">="]
    limit: float
    words: str

    def met(self, value: float) -> bool:
        """Whether ``value`` reaches the goal."""
        return value <= self.limit if self.op == "<=" else value >= self.limit


_512 = Case("paced512", "512 streams x 256 tokens, 20 ms apart", 2048, 256, streams=512)
_SLOW = replace(_512, requests=1024)

_FLOOD = Case(
    "flood",
    "flood, 64 streams x 512 tokens",
    6400,
    512,
    streams=64,
    itl_s=0.0,
    ttft_s=0.0,
    flood=True,
)

CASES = (
    _512,
    Case(
        "paced2000",
        "2,000 streams x 128 tokens, 50 ms apart",
        6000,
        128,
        streams=2000,
        itl_s=0.05,
        ttft_s=0.05,
    ),
    _FLOOD,
    Case("open2000", "open loop, 2,000 requests/s x 4 tokens, 10 s", 20_000, 4, rate=2000.0),
    Case(
        "streams10000",
        "10,000 streams, 1 event/s each, 2 workers, 60 s",
        10_100,  # more than streams: a plateau ends with the first permit that goes back unused
        61,
        streams=10_000,
        itl_s=1.0,
        ttft_s=1.0,
        workers=2,
        repeats=1,
    ),
    replace(_512, name="workers2", title="512 streams x 256 tokens, 2 workers", workers=2),
    replace(_FLOOD, name="flood2", title="flood, 2 workers on 2 cores", workers=2, own_cores=2),
    replace(_512, name="tls512", title="512 streams x 256 tokens, TLS", tls=True),
    replace(_SLOW, name="slowed-hogs", title="slowed: two busy loops on its core", slowed="hogs"),
    replace(
        _SLOW, name="slowed-sigstop", title="slowed: SIGSTOP for 50 ms, twice a second", slowed="sigstop"
    ),
    replace(_SLOW, name="slowed-nice", title="slowed: nice 19 beside a busy loop", slowed="nice"),
)

# Which cases each row of the table is made of, for --only.
ROWS = {
    "workers1vs2": ("paced512", "workers2", "flood", "flood2"),
    "slowed": ("slowed-hogs", "slowed-sigstop", "slowed-nice"),
}


def _error_bounds(case: str) -> tuple[Goal, Goal]:
    return (
        Goal(case, "error_p99_us", "<=", 30, "error of chunk times p99, us"),
        Goal(case, "error_p999_us", "<=", 500, "error of chunk times p99.9, us"),
    )


GOALS = (
    Goal("paced512", "us_per_event", "<=", 8.0, "CPU per event, whole life after imports, us"),
    *_error_bounds("paced512"),
    Goal("paced2000", "streams_held", ">=", 2000, "streams held at once"),
    Goal("paced2000", "rate_off_percent", "<=", 0.5, "output rate below the ideal, %"),
    *_error_bounds("paced2000"),
    Goal("flood", "events_per_s", ">=", 400_000, "events/s"),
    Goal("open2000", "send_rate_off_percent", "<=", 0.1, "rate off the plan, %"),
    Goal("open2000", "send_lag_p99_ms", "<=", 1.0, "send lag p99, ms"),
    Goal("open2000", "ms_per_request", "<=", 0.12, "CPU per request, after imports, ms"),
    Goal("streams10000", "streams_held", ">=", 10_000, "streams held at once"),
    Goal("streams10000", "valid", ">=", 1, "VALID (1 = yes)"),
    Goal("streams10000", "kib_per_stream", "<=", 25, "memory per stream, KiB"),
    Goal("workers2", "cpu_ratio_to_paced512", "<=", 1.15, "CPU per event of 2 workers / of 1"),
    Goal("flood2", "rate_ratio_to_flood", ">=", 1.7, "events/s of 2 workers / of 1"),
    Goal("tls512", "cpu_ratio_to_paced512", "<=", 2.0, "CPU per event of TLS / of plain"),
    *_error_bounds("tls512"),
    *(
        Goal(case.name, "honest", ">=", 1, "error within the bounds, or INVALID (1 = yes)")
        for case in CASES
        if not case.flood
    ),
)


def quick(case: Case) -> Case:
    """The same shape with a fraction of the requests: to see that it works, not to quote."""
    if case.streams is None:
        return replace(case, requests=max(100, case.requests // 10), repeats=1)
    if case.itl_s >= 1:
        return replace(case, requests=510, streams=500, tokens=5, repeats=1)
    streams = case.streams if case.flood else case.streams // 4
    return replace(case, requests=streams * 2, streams=streams, tokens=min(case.tokens, 64), repeats=1)

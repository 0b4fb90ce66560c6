"""What a search for the largest good load found: data for reports and files, worked out in the tuner."""

from __future__ import annotations

from typing import Literal

import msgspec

Outcome = Literal["met", "not met", "unclear", "overload", "client"]
"""All limits hold; one does not; chance decides; the load outran the server; the client could not make the load."""

Status = Literal["found", "bracketed", "unsure", "none", "at least", "client", "unfinished"]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe measured of one limit, in the unit of the limit.

    Attributes:
        slo: the limit as it was written.
        measured: None when there were no values; with fewer values than its percentile takes, the largest of them.
        low: 95 % interval of ``measured`` by block bootstrap over the requests in time order; None when not known.
        values: how many values there were.
        beyond: how many of them were beyond the limit; None for a mean.
        enough: whether the percentile had as many values as it takes.
        margin: distance to the limit on the scale of the search, above 0 when it is met; see ``objective``.
        error: standard error of ``margin``.
        excursions: how often the values rose beyond the percentile from their median; see ``objective.excursions``.
    """

    slo: str
    measured: float | None
    low: float | None
    high: float | None
    limit: float
    unit: str
    values: int
    beyond: int | None
    enough: bool
    met: Literal["met", "not met", "unclear"]
    margin: float | None
    error: float
    excursions: int | None = None


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """A load point of a search.

    Attributes:
        load: requests or sessions per second, or how many in flight.
        repeat: which measurement of this load.
        index: of the load point in the run.
        requests: sent.
        arrivals: what the load counts: requests, or of sessions their first turns.
        duration_s: from the first send to the last end.
        outcome: what it says of the load.
        why: the reason for an outcome that is neither met nor decided by a limit.
        readings: one per limit; empty when the client could not make the load.
        request_throughput_per_s: of the successful requests.
        carried_per_s: what the server completed per second while more came in than it could carry; None otherwise.
    """

    load: float
    repeat: int
    index: int
    requests: int
    arrivals: int
    duration_s: float
    outcome: Outcome
    why: str = ""
    readings: list[Reading] = []
    request_throughput_per_s: float | None = None
    output_throughput_per_s: float | None = None
    e2el_ms: float | None = None
    carried_per_s: float | None = None

    @property
    def enough(self) -> bool:
        """Whether every percentile had as many values as it takes: else the probe only shows the way."""
        return bool(self.readings) and all(reading.enough for reading in self.readings)

    @property
    def failed(self) -> bool:
        """Whether the load is too much."""
        return self.outcome in ("not met", "overload")


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a search.

    Attributes:
        variable: what was varied: "request-rate", "session-rate" or "max-concurrency".
        status: "found" within the precision that was asked for; "bracketed" with a wider interval; "unsure" when the
            probes contradict a smooth falling curve; "none" when even the lowest load fails; "at least" when the
            highest allowed load is still good; "client" when the client could not make more load; "unfinished".
        load: the largest load that meets all limits; None when there is none, or none is known.
        low: 95 % interval of ``load``; None when not known.
        limited_by: the limit that is crossed first.
        limited_share: how often it was, among repetitions of the estimate within its errors (0 to 1).
        carried_per_s: what the server completed per second when more came in; None when that was never seen.
        why: in words, for every status but "found".
    """

    variable: str
    status: Status
    load: float | None
    low: float | None = None
    high: float | None = None
    limited_by: str | None = None
    limited_share: float | None = None
    carried_per_s: float | None = None
    why: str = ""
    probes: list[Probe] = []

"""One load of one run, with all its repeats: what a row of a table is computed from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from inferometer.metrics.latency import Floats, Origin, PointData
from inferometer.metrics.nodes import nodes_told
from inferometer.metrics.rows import Row, rows_of
from inferometer.metrics.summary import PointSummary, RunSummary
from inferometer.metrics.verdict import Word, decide, worst
from inferometer.record.tables import RunRecord
from inferometer.record.types import RunMeta


@dataclass(frozen=True)
class Measured:
    """A load, measured once or several times.

    Counts and durations of a row are sums over the repeats, rates their mean; latencies are those of the
    requests of all repeats together.

    Attributes:
        run: the run's summary.
        meta: what was asked, and of whom.
        row: the load, and which load points measured it.
        points: their summaries.
        data: their requests, latencies counted from the send, as other tools do.
        nodes: how many nodes serve; None = not told.
    """

    run: RunSummary
    meta: RunMeta
    row: Row
    points: tuple[PointSummary, ...]
    data: tuple[PointData, ...]
    nodes: int | None = None

    @cached_property
    def planned(self) -> tuple[PointData, ...]:
        """The same requests, latencies counted from the planned time."""
        return tuple(PointData(data.table, "planned", data.slo) for data in self.data)

    @property
    def load(self) -> dict[str, Any]:
        """As asked."""
        return self.row.load

    @property
    def rate(self) -> float | str | None:
        """Requests per second, "inf" for all at once, None in a closed loop or a replay."""
        rate: float | str | None = self.load.get("request_rate")
        return rate

    @property
    def static(self) -> bool:
        """Whether the number of requests in flight was fixed, rather than their arrivals."""
        limited = self.load.get("max_concurrency") is not None
        return bool(self.load.get("closed")) or (self.rate == "inf" and limited)

    @property
    def verdict(self) -> Word:
        """The worst of its load points and of the run as a whole."""
        own = decide(self.run.verdict.conditions).word
        return worst([own, *(point.verdict.word for point in self.points)])

    def sample(self, of: Callable[[PointData], Floats], origin: Origin = "sent") -> Floats:
        """The values of all repeats that exist; computed once."""
        if (of, origin) not in self._samples:
            data = self.data if origin == "sent" else self.planned
            values: Floats = np.concatenate([of(each) for each in data])
            self._samples[of, origin] = values[~np.isnan(values)]
        return self._samples[of, origin]

    @cached_property
    def _samples(self) -> dict[tuple[Callable[[PointData], Floats], Origin], Floats]:
        return {}

    def mean(self, of: Callable[[PointData], float | None]) -> float | None:
        """The mean over the repeats of a number that each has; None when one has it not."""
        values = [of(each) for each in self.data]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known and len(known) == len(values) else None

    def sum(self, of: Callable[[PointData], float | None]) -> float | None:
        """The same, added up."""
        mean = self.mean(of)
        return None if mean is None else mean * len(self.data)

    def count(self, of: Callable[[PointSummary], int]) -> int:
        """A count of requests, all repeats together."""
        return sum(of(point) for point in self.points)

    def asked(self, part: str, name: str) -> Any:
        """A value of the spec as it was asked for; None when it was not."""
        return self.meta.spec.get(part, {}).get(name)


def _nodes_told(record: RunRecord) -> int | None:
    endpoint = record.meta.spec.get("endpoint", {})
    return nodes_told([endpoint.get("url", ""), *endpoint.get("more_url", ())])


def loads_of(record: RunRecord, summary: RunSummary, nodes: int | None = None) -> list[Measured]:
    """The loads of a run, in the order in which they were first measured.

    Args:
        record: the run.
        summary: its numbers.
        nodes: how many nodes serve, where the run does not say it itself.
    """
    points = {point.index: point for point in summary.points}
    slo = tuple(record.meta.spec.get("measure", {}).get("slo", ()))
    data = {table.point.index: PointData(table, "sent", slo) for table in record.measured}
    told = nodes or record.meta.spec.get("sweep", {}).get("nodes_served") or _nodes_told(record)
    return [
        Measured(
            summary,
            record.meta,
            row,
            tuple(points[index] for index in row.points),
            tuple(data[index] for index in row.points),
            told,
        )
        for row in summary.rows or rows_of([(point.index, point.load) for point in summary.points])
    ]

"""One load point, made ready for its pictures."""

from __future__ import annotations

from dataclasses import dataclass

from inferometer.metrics.latency import PointData
from inferometer.metrics.summary import PointSummary
from inferometer.record.tables import PointTable, Telemetry
from inferometer.report.plots.model import Mark
from inferometer.report.plots.terms import STEADY
from inferometer.report.words import Words


@dataclass(frozen=True, slots=True)
class Place:
    """A load point.

    Attributes:
        name: of its load.
        data: its successful requests, latencies from the headline origin.
        telemetry: of the whole run.
    """

    name: Words
    data: PointData
    summary: PointSummary
    telemetry: Telemetry

    @property
    def table(self) -> PointTable:
        """All its requests."""
        return self.data.table

    @property
    def index(self) -> int:
        """Its number in the run."""
        return self.summary.index

    @property
    def link(self) -> str:
        """What charts over its time zoom together by."""
        return f"time-{self.index}"

    @property
    def window(self) -> tuple[Mark, ...]:
        """Its steady window, where it has one."""
        steady = self.summary.steady
        if steady is None or steady.window is None:
            return ()
        span = steady.window
        return (Mark(name=STEADY, kind="window", axis="x", start=span.start_s, end=span.end_s, zone=True),)

    def key(self, stem: str) -> str:
        """The key of a picture of this load point."""
        return f"{stem}-{self.index}"

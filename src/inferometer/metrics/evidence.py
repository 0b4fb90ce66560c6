"""What the conditions of a verdict look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inferometer.metrics.counts import Counts
from inferometer.metrics.latency import PointData
from inferometer.metrics.percentiles import Stat
from inferometer.record.tables import PointTable, Telemetry
from inferometer.spec import Measure, Sampling


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the conditions of one load point look at.

    Attributes:
        data: successful requests, latencies from the headline origin.
        stats: statistics by metric key.
        telemetry: what was sampled during the run.
    """

    data: PointData
    counts: Counts
    stats: Mapping[str, Stat]
    measure: Measure
    sampling: Sampling
    telemetry: Telemetry

    @property
    def table(self) -> PointTable:
        """All requests of the point."""
        return self.data.table

    @property
    def fixed_length(self) -> bool:
        """Whether every answer was asked to have exactly its target length (the default for random data)."""
        asked = self.sampling.ignore_eos
        return self.table.point.dataset.get("name") == "random" if asked is None else asked

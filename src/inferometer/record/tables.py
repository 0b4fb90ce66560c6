"""Columns of a closed run, as the metrics room reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inferometer.record.imported import Imported
from inferometer.record.prediction import Prediction
from inferometer.record.types import PointRecord, RunMeta

Column = NDArray[np.float64] | NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class PointTable:
    """The rows of one load point, as columns of equal length.

    Numeric columns are float64 with NaN for "absent". Times keep their names (``sent_ns``) and are nanoseconds
    **relative to the point's epoch**, which float64 holds exactly for more than 100 days. Text columns
    (``status``, ``error``, ``finish_reason``, ``session``, ``prompt``, ``output``) are object arrays with
    None for "absent"; ``streamed`` is 0.0 or 1.0.

    Attributes:
        point: the load point.
        requests: one row a request, a column per field of ``RequestRecord``, ordered by ``index``.
        chunks: one row an SSE event: ``request`` (= ``index`` of its request), ``recv_ns``, ``tokens``
            (NaN = unknown), ``chars``, ``kind``, ``read``, ``lag_ns`` (NaN = unknown); ordered by request,
            then by arrival.
    """

    point: PointRecord
    requests: Mapping[str, Column]
    chunks: Mapping[str, Column]

    def number(self, name: str) -> NDArray[np.float64]:
        """A numeric request column."""
        return self.requests[name]  # type: ignore[return-value]

    def text(self, name: str) -> NDArray[np.object_]:
        """A text request column."""
        return self.requests[name]  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What was sampled beside the requests, one row a value, ordered by point and time.

    Attributes:
        point: ``index`` of the load point.
        at_ns: end of the span that the value is of, CLOCK_MONOTONIC.
        source: who was sampled, such as "client/0", the worker 0 of the load generator.
        name: what, with its unit at the end ("rss_bytes"); see ``inferometer.record.types.HealthSample``.
        value: the value. One that was not known has no row.
    """

    point: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    at_ns: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    source: NDArray[np.object_] = field(default_factory=lambda: np.empty(0, np.object_))
    name: NDArray[np.object_] = field(default_factory=lambda: np.empty(0, np.object_))
    value: NDArray[np.float64] = field(default_factory=lambda: np.empty(0, np.float64))

    def series(self, point: int, source: str, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Times and values of one thing during one load point, oldest first; empty when there are none."""
        wanted = (self.point == point) & (self.source == source) & (self.name == name)
        return self.at_ns[wanted], self.value[wanted]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A closed run folder: everything that is known of a run. Immutable."""

    path: Path
    meta: RunMeta
    tables: tuple[PointTable, ...]
    telemetry: Telemetry = field(default_factory=Telemetry)
    prediction: Prediction | None = None  # of a simulated run
    imported: Imported | None = None  # of a run that another tool measured

    @property
    def measured(self) -> tuple[PointTable, ...]:
        """The load points that count: no warm-up, and none that the run did not come to."""
        return tuple(t for t in self.tables if t.point.kind == "measure" and t.point.epoch_ns is not None)

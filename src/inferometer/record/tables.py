"""Columns of a closed run, as the metrics room reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
class RunRecord:
    """A closed run folder: everything that is known of a run. Immutable."""

    path: Path
    meta: RunMeta
    tables: tuple[PointTable, ...]

    @property
    def measured(self) -> tuple[PointTable, ...]:
        """The load points that count: no warm-up, and none that the run did not come to."""
        return tuple(t for t in self.tables if t.point.kind == "measure" and t.point.epoch_ns is not None)

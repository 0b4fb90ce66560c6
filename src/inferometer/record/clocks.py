"""Times of other machines on the axis of the machine that led the run. Pure.

Every machine counts CLOCK_MONOTONIC from a moment of its own, and at a rate of its own. Journals keep what the worker's
machine read; a ``ClockMark`` says what its clock was ahead of ours at one moment. Between two marks the difference is
taken to change evenly, before the first and after the last to be constant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferometer.record.types import ChunkColumns, ClockMark, HealthSample, PointRecord, RequestRecord

_SPANS = ("receive_lag_max_ns", "blur_max_ns")  # of a request: no moments
REQUEST_TIMES = tuple(
    name for name in RequestRecord.__struct_fields__ if name.endswith("_ns") and name not in _SPANS
)


class ClockMap:
    """From one machine's clock to ours.

    Args:
        marks: of that machine, at least one.
    """

    def __init__(self, marks: Sequence[ClockMark]) -> None:
        ordered = sorted(marks, key=lambda mark: mark.at_ns)
        # Differences to the first mark, which float64 holds exactly; the times themselves it would round.
        self._at_ns, self._offset_ns = ordered[0].at_ns, ordered[0].offset_ns
        self._times = np.array([mark.at_ns - self._at_ns for mark in ordered], dtype=np.float64)
        self._offsets = np.array([mark.offset_ns - self._offset_ns for mark in ordered], dtype=np.float64)

    def ours(self, theirs_ns: int) -> int:
        """The moment at which that machine's clock showed ``theirs_ns``, by our clock."""
        ahead = float(np.interp(theirs_ns - self._at_ns, self._times, self._offsets))
        return theirs_ns - self._offset_ns - round(ahead)

    def all_ours(self, theirs_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """``ours`` of many moments."""
        ahead = np.interp((theirs_ns - self._at_ns).astype(np.float64), self._times, self._offsets)
        return theirs_ns - self._offset_ns - np.rint(ahead).astype(np.int64)

    def request(self, record: RequestRecord) -> RequestRecord:
        """A request with our times."""
        return msgspec.structs.replace(record, **self._moved(record, REQUEST_TIMES))

    def point(self, point: PointRecord) -> PointRecord:
        """A worker's share of a load point with our times."""
        return msgspec.structs.replace(point, **self._moved(point, ("epoch_ns", "end_ns")))

    def sample(self, sample: HealthSample) -> HealthSample:
        """A health sample with our time."""
        return msgspec.structs.replace(sample, at_ns=self.ours(sample.at_ns))

    def chunks(self, chunks: ChunkColumns) -> ChunkColumns:
        """The chunks of a request with our times."""
        times = np.frombuffer(chunks.recv_ns, dtype="<i8")
        return msgspec.structs.replace(chunks, recv_ns=self.all_ours(times).astype("<i8").tobytes())

    def _moved(self, what: msgspec.Struct, names: Sequence[str]) -> dict[str, Any]:
        values = {name: getattr(what, name) for name in names}
        return {name: self.ours(value) for name, value in values.items() if value is not None}


def clock_maps(marks: Sequence[ClockMark]) -> Mapping[int, ClockMap]:
    """By worker; workers without a mark ran on our own machine."""
    whose: dict[int, list[ClockMark]] = {}
    for mark in marks:
        for worker in mark.workers:
            whose.setdefault(worker, []).append(mark)
    return {worker: ClockMap(own) for worker, own in whose.items()}

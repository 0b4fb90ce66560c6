"""What another tool's figures say beside ours, and why they differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from inferometer.metrics.latency import NS_PER_MS, PointData
from inferometer.metrics.throughput import output_throughput
from inferometer.metrics.views import statistics

_SAME = 0.005  # relative; closer figures are told as equal


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of another tool and the one of ours that people hold against it.

    Attributes:
        name: what the tool calls it.
        value: the tool's, in the unit of ours (ms, or per second).
        ours: key of ``_OURS``.
        why: why the two can differ, as a clause that has the tool for its subject.
        rounding: what the tool rounds away at most, in the unit of the value.
    """

    name: str
    value: float | None
    ours: str
    why: str
    rounding: float = 0.0


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with ours beside it."""

    figure: Figure
    our_value: float | None
    unit: str

    @property
    def same(self) -> bool:
        """Whether both are known and within 0.5 %, or the tool's rounding, of each other."""
        theirs, ours = self.figure.value, self.our_value
        if theirs is None or ours is None:
            return theirs is ours
        return abs(theirs - ours) <= max(_SAME * max(abs(theirs), abs(ours)), self.figure.rounding)


_OURS: dict[str, Callable[[PointData], float | None]] = {
    "TTFT": lambda data: statistics.mean(data.ttft_ms),
    "TPOT": lambda data: statistics.mean(data.tpot_ms),
    "ITL": lambda data: statistics.mean(data.itl_ms),
    "E2EL": lambda data: statistics.mean(data.e2el_ms),
    "output throughput": output_throughput,
}


def differences(data: PointData, figures: Sequence[Figure]) -> list[Difference]:
    """Each figure beside ours: means of latencies in ms, counted from the origin of ``data``, and rates per second."""
    return [
        Difference(
            figure=figure,
            our_value=_OURS[figure.ours](data),
            unit="per s" if figure.ours.endswith("throughput") else "ms",
        )
        for figure in figures
    ]


def queueing_ms(data: PointData) -> float | None:
    """Mean time from when requests were due to when they were sent: no other tool's TTFT has it."""
    return statistics.mean((data.column("sent_ns") - data.column("planned_ns")) / NS_PER_MS)

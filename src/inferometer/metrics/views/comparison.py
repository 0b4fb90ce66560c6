"""What another tool's figures say beside ours, and why they differ."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from inferometer.metrics.latency import Origin, PointData
from inferometer.metrics.throughput import input_throughput, output_throughput, request_throughput
from inferometer.metrics.views import statistics
from inferometer.record.tables import PointTable

_SAME = 0.005  # relative; closer figures are told as equal


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of another tool and the one of ours that people hold against it.

    Attributes:
        name: what the tool calls it.
        value: the tool's, in the unit of ours (ms, or per second).
        ours: key of ``our_figures``.
        why: why the two can differ, as a clause that has the tool for its subject.
    """

    name: str
    value: float | None
    ours: str
    why: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with ours beside it."""

    figure: Figure
    our_value: float | None
    unit: str

    @property
    def same(self) -> bool:
        """Whether both are known and within 0.5 % of each other."""
        theirs, ours = self.figure.value, self.our_value
        if theirs is None or ours is None:
            return theirs is ours
        return abs(theirs - ours) <= _SAME * max(abs(theirs), abs(ours))


def our_figures(table: PointTable, origin: Origin = "sent") -> dict[str, float | None]:
    """Means of our latencies in ms, counted from ``origin``, and our rates per second."""
    data = PointData(table, origin)
    return {
        "TTFT": statistics.mean(data.ttft_ms),
        "TPOT": statistics.mean(data.tpot_ms),
        "ITL": statistics.mean(data.itl_ms),
        "E2EL": statistics.mean(data.e2el_ms),
        "TTFAT": statistics.mean(data.ttfat_ms),
        "second token gap": statistics.mean(data.second_token_gap_ms),
        "request throughput": request_throughput(data),
        "input throughput": input_throughput(data),
        "output throughput": output_throughput(data),
    }


def differences(table: PointTable, figures: Sequence[Figure]) -> list[Difference]:
    """Each figure beside ours; latencies of ours count from the send, as those of all tools do."""
    ours = our_figures(table)
    return [
        Difference(
            figure=figure,
            our_value=ours[figure.ours],
            unit="per s" if figure.ours.endswith("throughput") else "ms",
        )
        for figure in figures
    ]


def queueing_ms(table: PointTable) -> float | None:
    """Mean time from when requests were due to when they were sent: no other tool's TTFT has it."""
    data = PointData(table, "planned")
    return statistics.mean((data.column("sent_ns") - data.origin_ns) / 1e6)

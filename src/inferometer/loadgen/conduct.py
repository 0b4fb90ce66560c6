"""Which load points a run carries out: a fixed list, or one after the other as their results say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from inferometer.record.tables import PointTable, Telemetry
from inferometer.record.types import PointRecord
from inferometer.spec import LoadPoint


class Finished(NamedTuple):
    """A load point that has come to its end.

    Attributes:
        point: how it went.
        hopeless: why further load points would measure nothing (the server is gone, no request succeeded), in words;
            None when they might.
        read: its requests and what was sampled beside them, from the run that is still going on.
    """

    point: PointRecord
    hopeless: str | None
    read: Callable[[], tuple[PointTable, Telemetry]]


CarryOut = Callable[[LoadPoint], Finished]
Conduct = Callable[[CarryOut], None]
"""Carries out load points, in the order of ``index``, by calling what it is given; returns when there are no more."""


class EndOfRun(Exception):  # noqa: N818 - no error: it takes a conductor off the stage
    """No further load point is carried out: the user stopped the run, or going on would measure nothing.

    Args:
        reason: for the notes of the run; None when the user wanted it.
        left_out: load points that were to come.
        whole: whether the run has measured all it was to measure.
    """

    def __init__(self, reason: str | None = None, left_out: int = 0, *, whole: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.left_out = left_out
        self.whole = whole


def in_order(points: Sequence[LoadPoint]) -> Conduct:
    """One load point after the other; after one at which nothing succeeded the rest is left out."""

    def conduct(carry_out: CarryOut) -> None:
        for place, point in enumerate(points, start=1):
            finished = carry_out(point)
            if finished.hopeless is not None:
                left = len(points) - place
                raise EndOfRun(finished.hopeless, left, whole=not left)

    return conduct

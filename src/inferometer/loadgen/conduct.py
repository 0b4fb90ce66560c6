"""Which load points a run carries out: a fixed list, or one after the other as their results say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from inferometer.record.tables import PointTable, Telemetry
from inferometer.record.types import PointRecord
from inferometer.spec import LoadPoint, load_title


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


# Fields of a load point that say nothing of what a server has to do for a request, or follow from the rate.
_FOLLOWS_FROM_RATE = {
    *("index", "request_rate", "num_prompts", "duration_s", "repeat", "seed"),
    *("ramp_from", "ramp_time_s", "spike_at_s", "spike_time_s"),
}
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
    """One load point after the other; after one at which nothing succeeded the rest is left out.

    After one that was stopped because the server fell behind, those are left out that differ from it in a higher rate
    alone.
    """

    def conduct(carry_out: CarryOut) -> None:
        overrun: list[PointRecord] = []
        left_out = 0
        for place, point in enumerate(points, start=1):
            # A warm-up of one load point alone goes with it.
            judged = points[place] if point.kind == "warmup" and point.index < 0 else point
            if any(is_higher(judged, known) for known in overrun):
                left_out += point.kind == "measure"
                continue
            finished = carry_out(point)
            if finished.hopeless is not None:
                left = sum(each.kind == "measure" for each in points[place:])
                raise EndOfRun(finished.hopeless, left, whole=not left)
            if finished.point.stop_reason == "saturated":
                overrun.append(finished.point)
        if left_out:
            names = ", ".join(f"{known.index} ({load_title(known.load)})" for known in overrun)
            reason = f"the server fell behind at load point {names}, and would at higher rates"
            raise EndOfRun(reason, left_out, whole=True)

    return conduct


def is_higher(point: LoadPoint, than: PointRecord) -> bool:
    """Whether a load point is like one that was carried out, of the same repeat or another, but for a higher rate.

    How many requests it sends may differ too, as that often follows from the rate.
    """
    rate, known = point.request_rate, than.load.get("request_rate")
    if rate is None or not isinstance(known, int | float) or rate <= known:
        return False
    own = point.to_dict()
    return all(own[name] == than.load.get(name) for name in own.keys() - _FOLLOWS_FROM_RATE)

"""A figure over the history of one case: the same model, load and hardware, run after run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from inferometer.metrics.changepoints import level_changes
from inferometer.metrics.comparing.names import Kind

FEWEST_BEFORE = 5
_SHORTEST_LEVEL = 2
_SMALLEST_SPREAD = 1e-3  # of the level: a history that repeats itself exactly would make any change infinite


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the history.

    Attributes:
        run: its id.
        created_utc: when.
        value: of the figure, the mean of its repeats.
        repeats: how many.
        z: how many standard deviations of the runs before it lies off their mean; None with fewer than 5 before.
        new_level: whether a new level begins here.
    """

    run: str
    created_utc: str
    value: float
    repeats: int
    z: float | None = None
    new_level: bool = False


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one load over time.

    Attributes:
        figure: which.
        load: as asked.
        visits: oldest first.
        lookback: how many runs before one it is held against.
        limit: of z, beyond which a run is out of the ordinary.
        word: what the latest run is: "worse", "better", "usual", or "unknown" with fewer than 5 runs before it.
    """

    figure: Kind
    load: dict[str, object]
    visits: list[Visit]
    lookback: int
    limit: float
    word: Literal["worse", "better", "usual", "unknown"]


def trend_of(
    figure: Kind, load: dict[str, object], visits: Sequence[Visit], *, lookback: int = 20, limit: float = 5.0
) -> Trend:
    """Hold each run against those before it, as Conbench does (lookback z-score), and look for changes of level.

    z is of logarithms of the values. A run is held against those of its own level, once that has five; until then
    against the level before it, so that the first runs of a worse level do not pass as usual. Single runs that were
    out of the ordinary are left out of what later ones are held against.

    Args:
        figure: which.
        load: as asked.
        visits: oldest first, their values above 0.
        lookback: most runs before one.
        limit: of z.
    """
    logs = np.log([visit.value for visit in visits])
    starts = set(level_changes(logs, _SHORTEST_LEVEL))
    judged, level, before = [], list[float](), list[float]()
    for place, visit in enumerate(visits):
        if place in starts:
            before, level = level, []
        own = len(level) >= FEWEST_BEFORE or not before
        z = _z(float(logs[place]), (level if own else before)[-lookback:])
        if not own or z is None or abs(z) <= limit:
            level.append(float(logs[place]))
        judged.append(msgspec.structs.replace(visit, z=z, new_level=place in starts))
    last = judged[-1].z if judged else None
    word: Literal["worse", "better", "usual", "unknown"] = "unknown"
    if last is not None:
        rises = (last > 0) == (figure.better == "higher")
        word = "usual" if abs(last) <= limit else "better" if rises else "worse"
    return Trend(figure=figure, load=load, visits=judged, lookback=lookback, limit=limit, word=word)


def _z(value: float, before: Sequence[float]) -> float | None:
    if len(before) < FEWEST_BEFORE:
        return None
    spread = max(float(np.std(before, ddof=1)), _SMALLEST_SPREAD)
    return (value - float(np.mean(before))) / spread

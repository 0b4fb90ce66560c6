"""A straight line through points of which some are far off, and the band in which 90 % of them lie."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from inferometer.metrics.latency import Floats
from inferometer.report.plots.sizes import evenly
from inferometer.report.words import Words

_MOST = 1000  # points: half a million pairs
_FEWEST = 20
_SPREAD = 1.3  # largest / smallest x, below which there is no line to speak of

FORMULA = Words(
    "Line: slope = median of the slopes of all pairs, level = median of y - slope x (Theil-Sen); band: from the 5th to "
    "the 95th percentile of the residuals, 90 % of the points. It tells of the range measured, not of what is beyond.",
    "直线：斜率 = 所有点对斜率的中位数，截距 = y - 斜率·x 的中位数（Theil-Sen）；带：残差的第 5 到第 95 百分位，"
    "含 90 % 的点。只说明测量过的范围，不能外推。",
)


class Line(NamedTuple):
    """y = level + slope x, with the 5th and 95th percentile of what the points lie beside it.

    Attributes:
        first, last: smallest and largest x of the points.
        points: how many it is made of.
    """

    slope: float
    level: float
    below: float
    above: float
    first: float
    last: float
    points: int

    def at(self, x: Floats) -> Floats:
        """Heights at each x."""
        return np.asarray(self.level + self.slope * x, dtype=np.float64)


def theil_sen(x: Floats, y: Floats) -> Line | None:
    """The line of Theil (1950) and Sen (1968), which up to 29 % of wild points cannot move far.

    Of more than 1,000 points those at equal distances in the order of x, then of y, are taken: the same points give the
    same line.

    Returns:
        None with fewer than 20 points, or where x hardly differs.
    """
    known = ~np.isnan(x) & ~np.isnan(y)
    x, y = x[known], y[known]
    if len(x) < _FEWEST or not float(x.max()) > _SPREAD * max(float(x.min()), 0.0):
        return None
    order = np.lexsort((y, x))
    taken = order[evenly(len(order), _MOST)]
    across, up = x[taken], y[taken]
    first, second = np.triu_indices(len(taken), 1)
    run = across[second] - across[first]
    apart = run > 0
    slope = float(np.median((up[second] - up[first])[apart] / run[apart]))
    level = float(np.median(y - slope * x))
    below, above = np.percentile(y - level - slope * x, (5.0, 95.0))
    return Line(slope, level, float(below), float(above), float(x.min()), float(x.max()), len(x))

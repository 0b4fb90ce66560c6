"""How the load points of a run follow one another."""

from __future__ import annotations

from inferometer.spec.fields import option
from inferometer.spec.kinds import Part, PositiveInt


class Sweep(Part):
    """Repeats, order and pauses of load points."""

    repeat: PositiveInt = option(
        1, "measure each load point so many times, in rounds, so that chance shows", metavar="N"
    )

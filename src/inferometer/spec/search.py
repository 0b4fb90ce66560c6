"""What ``inferometer search`` looks for, and how much it may spend on it."""

from __future__ import annotations

from inferometer.spec.fields import option
from inferometer.spec.kinds import Part, PositiveInt


class Search(Part):
    """A search for the largest load that a service carries; the lists of ``Load`` are not its load points."""

    max_probes: PositiveInt = option(12, "load points that the search may measure", metavar="N")

"""How a load changes while a load point goes on: ramps, bursts, spikes, requests given up, reasons to stop early."""

from __future__ import annotations

from inferometer.spec.fields import option
from inferometer.spec.kinds import Part, PositiveInt


class Shape(Part):
    """How the load changes over a load point."""

    burst: PositiveInt = option(1, "requests that arrive together; the mean rate stays as asked", metavar="N")

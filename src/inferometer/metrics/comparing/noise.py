"""What runs of the same thing differ by, learned from repeats of one: A/A."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from inferometer.metrics.bootstrap import t_quantile
from inferometer.metrics.comparing.effects import CONFIDENCE, TOLD, Noise
from inferometer.metrics.comparing.names import kind_of
from inferometer.metrics.comparing.ranks import fewest_for
from inferometer.metrics.comparing.sides import Side, parts_of

SCHEMA = "inferometer.noise/1"
NOISE_JSON = "noise.json"  # beside the run folders
FEWEST = fewest_for(1.0 - CONFIDENCE)


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Of one figure: standard deviation of the logarithms of the repeats, about that / mean; how many repeats."""

    spread: float
    repeats: int


class LoadNoise(msgspec.Struct, frozen=True, kw_only=True):
    """Of one load; ``key`` as in ``units.load_key``, spreads by key of the figure."""

    model: str
    simulated: bool
    hardware: str
    key: str
    load: dict[str, object]
    runs: list[str]
    spreads: dict[str, Spread]

    @property
    def place(self) -> tuple[str, bool, str, str]:
        """What it is the noise of."""
        return self.model, self.simulated, self.hardware, self.key


class NoiseBook(msgspec.Struct, frozen=True, kw_only=True):
    """``noise.json``: the noise of each model, hardware and load that was looked at."""

    schema: str = SCHEMA
    loads: list[LoadNoise] = []

    def learned(self, found: Sequence[LoadNoise]) -> NoiseBook:
        """With what was found in place of what was known of the same."""
        new = {each.place for each in found}
        kept = [each for each in self.loads if each.place not in new]
        return msgspec.structs.replace(self, loads=[*kept, *found])

    def of(self, side: Side, key: str) -> Mapping[str, Noise]:
        """The noise of one load of a side, by figure; empty where nothing was learned of it."""
        wanted = (side.info.model, side.info.simulated, hardware_of(side), key)
        for each in self.loads:
            if each.place == wanted:
                return {name: Noise(one.spread, one.repeats) for name, one in each.spreads.items()}
        return {}


def hardware_of(side: Side) -> str:
    """The device as the runs tell it; "" where they do not."""
    return next((facts.asked["device"] for facts in side.facts if "device" in facts.asked), "")


def noise_of(side: Side) -> list[LoadNoise]:
    """The noise of each load of a side, of the figures that it has of 4 repeats or more.

    Fewer tell next to nothing of it: of 2 a threshold would be 13 standard deviations wide.
    """
    found = []
    for key, measured in side.loads.items():
        spreads = {}
        for name in dict.fromkeys(name for unit in measured.units for name in unit.parts):
            kind = kind_of(name)
            values = [part.value for part in parts_of(measured.units, name)]
            if kind is None or kind.absolute or len(values) < FEWEST or min(values) <= 0.0:
                continue
            spreads[name] = Spread(spread=float(np.std(np.log(values), ddof=1)), repeats=len(values))
        if spreads:
            found.append(
                LoadNoise(
                    model=side.info.model,
                    simulated=side.info.simulated,
                    hardware=hardware_of(side),
                    key=key,
                    load=dict(measured.load),
                    runs=side.info.runs,
                    spreads=spreads,
                )
            )
    return found


def threshold_from(noise: Noise, a: int, b: int) -> float:
    """The change that two sides of the same thing, of ``a`` and ``b`` repeats, stay below in 19 of 20 comparisons."""
    freedom = noise.repeats - 1.0 if noise.repeats > 1 else TOLD
    half = t_quantile(0.5 + CONFIDENCE / 2.0, freedom) * noise.spread * math.sqrt(1.0 / a + 1.0 / b)
    return math.expm1(half)

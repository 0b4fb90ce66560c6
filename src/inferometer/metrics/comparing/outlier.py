"""One repeat far off from the others of its side, where most of the uncertainty comes from it alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any, NamedTuple

from inferometer.metrics.bootstrap import Part
from inferometer.metrics.comparing.effects import Effect, effect
from inferometer.metrics.comparing.sides import Side, parts_of, runs_differ
from inferometer.metrics.comparing.units import Unit

FEWEST = 4
_FAR = 5.0
_NORMAL = 1.4826
"""Standard deviation / median absolute deviation of a normal distribution (Rousseeuw & Croux 1993)."""
_SMALLEST = 1e-3  # of the level: repeats that are all but equal would make any other one far


class FarOff(NamedTuple):
    """A repeat by its place among the values of its side, and the median of the others."""

    place: int
    value: float
    others: float


def far_off(values: Sequence[float]) -> FarOff | None:
    """The one value that is more than 5 robust spreads from the median, on logarithms.

    A spread is the median absolute deviation scaled to a standard deviation. None with fewer than 4 values, with values
    of 0 or below, and where several are as far off: then the side is that wide. Of normal values 8 in 100 sides of 4
    or 5 have one; those that ``outlier_notes`` tells of are 3 to 6 in 100 pairs of sides of 4 or 5, 1 to 2 of 7.
    """
    if len(values) < FEWEST or min(values) <= 0.0:
        return None
    logs = [math.log(value) for value in values]
    middle = median(logs)
    away = [abs(each - middle) for each in logs]
    limit = _FAR * max(_NORMAL * median(away), _SMALLEST)
    far = [place for place, each in enumerate(away) if each > limit]
    if len(far) != 1:
        return None
    (place,) = far
    return FarOff(place, values[place], median([*values[:place], *values[place + 1 :]]))


def outlier_notes(
    sides: tuple[Side, Side], keys: tuple[str, str], effects: Sequence[Effect]
) -> Iterator[str]:
    """A sentence for each repeat that is far off in figures that decide, and alone makes them as uncertain as they are.

    Args:
        sides: the two.
        keys: of the load, on each.
        effects: at that load, judged.
    """
    units = [side.loads[key].units for side, key in zip(sides, keys, strict=True)]
    where = _where(sides[0].loads[keys[0]].load)
    told: dict[tuple[str, str], list[str]] = {}
    for each in effects:
        if not each.primary or each.basis != "repeats":
            continue
        parts = [parts_of(own, each.figure.key) for own in units]
        found = [far_off([part.value for part in own]) for own in parts]
        if not any(found) or not _clearer_without(each, parts, found):
            continue
        for side, own, far in zip(sides, units, found, strict=True):
            if far is not None:
                who = side.info.letter, _name(own, each.figure.key, far.place)
                told.setdefault(who, []).append(
                    f"{each.figure.title} {_figure(far.value)} {each.figure.unit} "
                    f"(median of the others {_figure(far.others)})"
                )
    for (letter, name), figures in told.items():
        yield (
            f"side {letter}{where}: {name} is far off from the others, {', '.join(figures)}, and most of the "
            "uncertainty comes from it: measure that side again"
        )


def _clearer_without(whole: Effect, parts: Sequence[Sequence[Part]], found: Sequence[FarOff | None]) -> bool:
    """Whether without those repeats the interval is less than half as wide, or leaves no doubt where it did."""
    a, b = (
        [part for place, part in enumerate(own) if far is None or place != far.place]
        for own, far in zip(parts, found, strict=True)
    )
    left = effect(whole.figure, a, b, whole.threshold)
    if left.low is None or left.high is None or whole.low is None or whole.high is None:
        return False
    within = -whole.threshold <= left.low and left.high <= whole.threshold
    narrower = left.high - left.low < (whole.high - whole.low) / 2.0
    return narrower or (whole.word == "unsure" and (within or left.low * left.high > 0.0))


def _name(units: Sequence[Unit], key: str, place: int) -> str:
    """The run and repeat behind a place among ``parts_of``: parts stand run by run."""
    runs: dict[str, list[Unit]] = {}
    for unit in units:
        if key in unit.parts:
            runs.setdefault(unit.run, []).append(unit)
    if runs_differ(units, key):
        return f"run {list(runs)[place]}"
    unit = [unit for own in runs.values() for unit in own][place]
    if not unit.run:
        return f"value {unit.repeat}"
    alone = len(runs[unit.run]) == 1
    return f"run {unit.run}" if alone else f"repeat {unit.repeat} of run {unit.run}"


def _where(load: dict[str, Any]) -> str:
    for name, word in (("max_concurrency", "concurrency {}"), ("request_rate", "{} req/s")):
        if load.get(name) is not None:
            return f" at {word.format(load[name])}"
    return ""


def _figure(value: float) -> str:
    return f"{value:,.1f}" if abs(value) >= 100.0 else f"{value:.3g}"

"""By how much a figure differs between two sides, how sure that is, and what it means in one word.

The unit is the repeat. Ratios are compared on logarithms, so that +10 % there and -9.1 % back are the same change;
shares by their difference. The interval is Welch's t interval over the repeats' own values; requests inside a repeat
are alike and never counted as if they were runs. "Better" and "worse" take (1) Welch's p, corrected by Holm over the
primary figures, (2) the exact rank test, which no distribution misleads and which 3 + 3 repeats never pass, and (3) a
change as large as the practical threshold.

Why this: measured by ``bench/compare_calibration.py`` on simulated runs with run-to-run noise of four kinds, 5 + 5
repeats and three primary figures; the table is in that file. Studentised hierarchical bootstrap (runs, then blocks of
requests): too many A/A pairs called different. Percentiles of it, and Welch's interval widened to the error inside the
runs: that error is in the runs' own values already, and counting it twice loses power. Percentiles over runs alone: far
too many A/A pairs called different, as 5 values spread too little. With 5 + 5 repeats that spread by 1 % a change
of 5 % is found in 99 % of the cases; by 2 % in 75 %, where a single test, uncorrected, finds 87 %, and 7 + 7 find 93 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from inferometer.metrics.bootstrap import Part, t_quantile
from inferometer.metrics.comparing.names import FAILED, Kind
from inferometer.metrics.comparing.ranks import rank_test
from inferometer.metrics.latency import Floats

Word = Literal["better", "worse", "same", "unsure", "absent"]
Basis = Literal["repeats", "within-run only", "noise told", "nothing"]
CONFIDENCE = 0.95
POWER = 0.8
ASSUMED_NOISE = 0.02
"""Standard deviation between runs of the same thing / mean, where nothing at all is known of it.

Ours, not measured on the user's machine, and always said beside the number: AscendCloud's users accept three repeats
whose throughput stays within 5 %, which three values of a standard deviation of 2 % do in about 4 of 5 cases (their
range is 1.7 standard deviations on average).
"""
TOLD = 1e6
"""Degrees of freedom of a spread that a person states."""
LOUD = 0.1
"""A threshold learned from noise above this calls nothing the same: it would hide changes that anybody would see."""
_MOST_REPEATS = 100_000
_MOST_LOG = 700.0  # the largest logarithm whose exponential is a number
_RANKS_COST = math.pi / 3.0  # repeats that ranks take for one that the values take (Hodges & Lehmann 1956)
_FAILED_THRESHOLD = 0.001  # the error limit of a run, as a difference


class Noise(NamedTuple):
    """What runs of the same thing differ by: standard deviation / mean.

    Attributes:
        spread: share of the mean.
        repeats: that it was learned from; 0 = a person said so.
    """

    spread: float
    repeats: int = 0


class SideValue(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of one side: the ``values`` of its repeats and their geometric mean, of shares their mean."""

    value: float | None
    values: list[float]


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of two sides.

    Attributes:
        figure: name, unit, which way is better.
        a, b: the sides.
        delta: change from ``a`` to ``b``, as a share of ``a`` (0.05 = +5 %); of shares their difference. None where a
            side has no such figure; infinite (null in JSON) from 0 to anything.
        low, high: 95 % interval of ``delta``; None where nothing is known of the noise.
        basis: what the interval rests on.
        p_ranks: exact Mann-Whitney over the repeats; None with one on either side.
        p_welch: of Welch's t; None with one on either side.
        p_holm: ``p_welch`` corrected for all primary figures; None for others.
        primary: whether it decides; all others are for exploring.
        word: what it means.
        threshold: changes up to here count as none.
        too_noisy: whether the threshold was learned and is so large (``LOUD``) that nothing is called "same" by it.
        spread: standard deviation between repeats / mean, that ``repeats_needed`` is reckoned with; None = not known.
        spread_from: where that is from, in words.
        repeats_needed: repeats a side for the interval to be as narrow as ``aim``, if ``word`` is "unsure".
        repeats_to_tell: repeats a side to tell this very change from none, four times in five, by the tests that
            decide; same.
    """

    figure: Kind
    a: SideValue
    b: SideValue
    delta: float | None = None
    low: float | None = None
    high: float | None = None
    basis: Basis = "nothing"
    p_ranks: float | None = None
    p_welch: float | None = None
    p_holm: float | None = None
    primary: bool = False
    word: Word = "absent"
    threshold: float = 0.0
    too_noisy: bool = False
    spread: float | None = None
    spread_from: str = ""
    repeats_needed: int | None = None
    repeats_to_tell: int | None = None

    @property
    def aim(self) -> float:
        """The half width of the interval that ``repeats_needed`` is for: the threshold, if that is of use."""
        return min(self.threshold, LOUD) if self.too_noisy else self.threshold

    @property
    def significant(self) -> bool:
        """Whether both tests leave no doubt, at 5 %."""
        p = self.p_holm if self.primary else self.p_welch
        limit = 1.0 - CONFIDENCE + 1e-12
        return p is not None and p <= limit and self.p_ranks is not None and self.p_ranks <= limit


class Estimate(NamedTuple):
    """A change on the scale that it is reckoned on, with its standard error (None = not known)."""

    change: float
    error: float | None
    freedom: float
    basis: Basis


def effect(
    figure: Kind, a: Sequence[Part], b: Sequence[Part], threshold: float, noise: Noise | None = None
) -> Effect:
    """Compare a figure; the word is that of an exploratory one, see ``judged``.

    Args:
        figure: which.
        a: one part a repeat of the first side.
        b: the same of the second.
        threshold: changes up to here count as none, as a share.
        noise: between runs, where a side is a single one; None = not known.
    """
    logs = not figure.absolute and all(part.value > 0.0 for part in (*a, *b))
    sides = [_side(parts, logs) for parts in (a, b)]
    limit = _FAILED_THRESHOLD if figure.key == FAILED else threshold
    if not a or not b:
        return Effect(figure=figure, a=sides[0], b=sides[1], threshold=limit)
    found = _estimate([_scaled(parts, logs) for parts in (a, b)], noise if logs else None)
    several = min(len(a), len(b)) > 1
    base = sides[0].value or 0.0

    def shown(change: float) -> float | None:
        """On the scale that people read."""
        if logs:
            return math.expm1(min(change, _MOST_LOG))
        if figure.absolute:
            return change
        return change / base if base else 0.0 if change == 0.0 else None

    half = None if found.error is None else t_quantile(0.5 + CONFIDENCE / 2.0, found.freedom) * found.error
    delta = shown(found.change)
    made = Effect(
        figure=figure,
        a=sides[0],
        b=sides[1],
        delta=math.inf if delta is None else delta,
        low=None if half is None else shown(found.change - half),
        high=None if half is None else shown(found.change + half),
        basis=found.basis,
        p_ranks=rank_test(sides[0].values, sides[1].values) if several else None,
        p_welch=_p(found) if several else None,
        threshold=limit,
    )
    return judged(_with_spread(made, a, b, noise) if logs else made)


def judged(made: Effect, family: int = 1) -> Effect:
    """The effect with its word.

    "better" and "worse": see the module. "same": the whole interval lies within the threshold, which
    is not noise alone (``too_noisy``). A side with one run is
    never more than "unsure", for its interval does not know how another run would differ.

    Args:
        made: as compared.
        family: how many figures decide together with it.
    """
    if made.delta is None:
        return msgspec.structs.replace(made, word="absent")
    word: Word = "unsure"
    certain = made.basis == "repeats" and made.low is not None and made.high is not None
    if certain and not made.too_noisy and -made.threshold <= made.low and made.high <= made.threshold:  # type: ignore[operator]
        word = "same"
    elif made.significant and abs(made.delta) >= made.threshold:
        word = "better" if (made.delta > 0) == (made.figure.better == "higher") else "worse"
    if word == "unsure":
        return msgspec.structs.replace(made, word=word, **_repeats(made, family))
    return msgspec.structs.replace(made, word=word, repeats_needed=None, repeats_to_tell=None)


def holm(values: Sequence[float]) -> list[float]:
    """P values corrected for their number by Holm's step-down procedure (Holm 1979), in the order given."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found, largest = [0.0] * len(values), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - place) * values[index]))
        found[index] = largest
    return found


def decided(effects: Sequence[Effect]) -> list[Effect]:
    """The same, the primary ones corrected for their number and judged by that."""
    p_values = {i: e.p_welch for i, e in enumerate(effects) if e.primary and e.p_welch is not None}
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    family = sum(each.primary for each in effects)
    return [
        judged(msgspec.structs.replace(each, p_holm=corrected.get(i)), family) if each.primary else each
        for i, each in enumerate(effects)
    ]


def repeats_for(half_width: float, spread: float) -> int | None:
    """Fewest repeats a side for a 95 % interval of +-``half_width``, where one run differs by ``spread``.

    Both on the same scale. At least 4, the fewest that the rank test needs; None if 100,000 do not do.
    """
    return _fewest(half_width, spread, 0.0)


def repeats_to_tell(change: float, spread: float, family: int = 1) -> int | None:
    """Fewest repeats a side that tell a change from none in 4 of 5 cases, at 5 %; None if 100,000 do not do.

    Both tests have to: Welch's with its p multiplied by ``family``, the most that Holm's correction asks, and that of
    ranks, which 4 + 4 repeats pass only if all of one side lie beyond all of the other.
    """
    welch = _fewest(abs(change), spread, POWER, family)
    alone = _fewest(abs(change), spread, POWER)
    return None if welch is None or alone is None else max(welch, math.ceil(alone * _RANKS_COST))


def _fewest(size: float, spread: float, power: float, family: int = 1) -> int | None:
    confidence = 0.5 + (1.0 - (1.0 - CONFIDENCE) / family) / 2.0

    def enough(n: int) -> bool:
        freedom = 2.0 * n - 2.0
        quantiles = _quantile(confidence, freedom)
        quantiles += _quantile(power, freedom) if power else 0.0
        return quantiles * spread * math.sqrt(2.0 / n) <= size

    normal = NormalDist()
    quantiles = normal.inv_cdf(confidence) + (normal.inv_cdf(power) if power else 0.0)
    if size <= 0.0 or (least := 2.0 * (quantiles * spread / size) ** 2) > _MOST_REPEATS:
        return None
    n = max(4, math.floor(least))  # Student's t asks for a few more than the normal distribution does
    while not enough(n):
        n += 1
    return n


_quantile = lru_cache(4096)(t_quantile)


def _side(parts: Sequence[Part], logs: bool) -> SideValue:
    values = [part.value for part in parts]
    if not values:
        return SideValue(value=None, values=[])
    mean = math.exp(sum(map(math.log, values)) / len(values)) if logs else sum(values) / len(values)
    return SideValue(value=mean, values=values)


def _scaled(parts: Sequence[Part], logs: bool) -> list[Part]:
    if not logs:
        return list(parts)
    return [Part(math.log(p.value), (math.sqrt(p.variance) / p.value) ** 2, p.freedom) for p in parts]


def _estimate(sides: Sequence[Sequence[Part]], noise: Noise | None) -> Estimate:
    """The change and its error: between repeats where both sides have some, else inside them, else as told."""
    a, b = ([part.value for part in side] for side in sides)
    change = sum(b) / len(b) - sum(a) / len(a)
    inside = sum(sum(p.variance for p in side) / len(side) ** 2 for side in sides)
    inside_freedom = max(sum(p.freedom for side in sides for p in side), 1.0)
    if min(len(a), len(b)) > 1:
        between, freedom = _welch(np.array(a), np.array(b))
        return Estimate(change, math.sqrt(between), freedom, "repeats")
    if noise is not None:
        told = noise.spread**2 * (1.0 / len(a) + 1.0 / len(b))
        freedom = noise.repeats - 1.0 if noise.repeats > 1 else TOLD
        return Estimate(change, math.sqrt(max(told, inside)), freedom, "noise told")
    if inside > 0.0:
        return Estimate(change, math.sqrt(inside), inside_freedom, "within-run only")
    return Estimate(change, None, 1.0, "nothing")


def _welch(a: Floats, b: Floats) -> tuple[float, float]:
    """Variance of the difference of the means, and its degrees of freedom (Welch 1947)."""
    parts = [float(side.var(ddof=1)) / len(side) for side in (a, b)]
    total = sum(parts)
    if total == 0.0:
        return 0.0, len(a) + len(b) - 2.0
    below = sum(part**2 / (len(side) - 1.0) for part, side in zip(parts, (a, b), strict=True))
    return total, total**2 / below


def _p(found: Estimate) -> float:
    """Two-sided p of a change that is none, by Student's t."""
    if found.error is None or found.error <= 0.0:
        return 1.0 if abs(found.change) < 1e-12 else 0.0
    return two_sided(abs(found.change) / found.error, found.freedom)


def two_sided(t: float, freedom: float) -> float:
    """Probability beyond +-``t`` of Student's t, by integrating its density over the angle atan(t / sqrt(freedom))."""
    freedom = max(freedom, 1.0)
    whole, outside = (_mass(start, freedom) for start in (0.0, math.atan(t / math.sqrt(freedom))))
    return min(1.0, outside / whole)


def _mass(start: float, freedom: float) -> float:
    angles = np.linspace(start, math.pi / 2.0, 4001)
    density = np.cos(angles) ** (freedom - 1.0) if freedom > 1.0 else np.ones_like(angles)
    return float((density[1:] + density[:-1]).sum() / 2.0 * (angles[1] - angles[0]))


def _with_spread(made: Effect, a: Sequence[Part], b: Sequence[Part], noise: Noise | None) -> Effect:
    """With what one run differs by from the next, as far as anything tells."""
    scaled = [_scaled(side, True) for side in (a, b)]
    inside = sum(p.variance for side in scaled for p in side) / (len(a) + len(b))
    if made.basis == "repeats":
        between = sum(float(np.var([p.value for p in side], ddof=1)) for side in scaled) / 2.0
        return msgspec.structs.replace(made, spread=math.sqrt(between), spread_from="of these repeats")
    if noise is not None:
        origin = f"of {noise.repeats} runs of the same thing" if noise.repeats else "told with --noise"
        return msgspec.structs.replace(made, spread=noise.spread, spread_from=origin)
    if inside > 0.0:
        return msgspec.structs.replace(
            made,
            spread=math.sqrt(inside),
            spread_from="inside the run, which is the least that runs differ by",
        )
    return msgspec.structs.replace(made, spread=ASSUMED_NOISE, spread_from="assumed, as nothing tells it")


def _repeats(made: Effect, family: int) -> dict[str, int | None]:
    if made.spread is None or made.delta is None or made.threshold <= 0.0:
        return {"repeats_needed": None, "repeats_to_tell": None}
    change = math.log1p(made.delta) if made.delta > -1.0 else 0.0
    return {
        "repeats_needed": repeats_for(math.log1p(made.aim), made.spread),
        "repeats_to_tell": repeats_to_tell(change, made.spread, family) if change else None,
    }

"""Sides compared: the gate, each figure at each common load, and the curves over load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import msgspec

from inferometer.errors import UsageError
from inferometer.metrics.bootstrap import Part
from inferometer.metrics.comparing import fronts
from inferometer.metrics.comparing.effects import (
    ASSUMED_NOISE,
    LOUD,
    Effect,
    Noise,
    Word,
    decided,
    effect,
    judged,
)
from inferometer.metrics.comparing.gate import Gate, gate, load_differences, mixture
from inferometer.metrics.comparing.names import OUTPUT, Kind, kind_named, kind_of
from inferometer.metrics.comparing.noise import NoiseBook, threshold_from
from inferometer.metrics.comparing.outlier import outlier_notes
from inferometer.metrics.comparing.ranks import fewest_for
from inferometer.metrics.comparing.sides import (
    TYPED,
    Side,
    SideInfo,
    common_loads,
    load_of,
    parts_of,
    runs_differ,
)
from inferometer.metrics.slo import PointLimit

SCHEMA = "inferometer.compare/1"
THRESHOLD = 0.02
_SMALLEST_AUTO = 0.005
_SHOWN_FIRST = (
    OUTPUT, "request_throughput_per_s", "goodput_per_s", "ttft_ms.p50", "ttft_ms.p99", "tpot_ms.p50",
    "tpot_ms.p99", "e2el_ms.p50", "e2el_ms.p99",
)  # fmt: skip
_DEFAULT_TAILS = (99.0, 95.0, 90.0, 50.0)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison is to be made with.

    Attributes:
        threshold: changes up to here count as none, as a share; None = learned from A/A runs.
        primary: names of the figures that decide; none = output throughput and the highest proven percentiles of TTFT
            and TPOT.
        also_primary: names of further ones.
        limits: limits on load points, for the comparison at equal SLO.
        noise: standard deviation between runs / mean that the user states; None = as learned, else not known.
        against: whether each side is held against the first, or against the one before it.
        allow_different: go on where the gate is not passed.
    """

    threshold: float | None = THRESHOLD
    primary: tuple[str, ...] = ()
    also_primary: tuple[str, ...] = ()
    limits: tuple[PointLimit, ...] = ()
    noise: float | None = None
    against: Literal["first", "previous"] = "first"
    allow_different: bool = False


class LoadComparison(msgspec.Struct, frozen=True, kw_only=True):
    """All figures at one load; ``load`` as the first side asked for it."""

    load: dict[str, Any]
    effects: list[Effect]


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two sides.

    Attributes:
        a, b: their letters; ``a`` is the baseline.
        gate: what is equal, what should be, what was changed.
        loads: at equal load.
        only_a, only_b: how many loads only one side has.
        curves: at equal SLO and over all loads; for exploring, but for those that the user named.
        means: geometric mean over the common loads, where there are several.
        notes: what a reader has to know.
    """

    a: str
    b: str
    gate: Gate
    loads: list[LoadComparison] = []
    only_a: int = 0
    only_b: int = 0
    curves: list[Effect] = []
    means: list[Effect] = []
    notes: list[str] = []

    @property
    def effects(self) -> list[Effect]:
        """All of them."""
        return [*(e for load in self.loads for e in load.effects), *self.curves, *self.means]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was found.

    Attributes:
        comparable: whether the gate was passed by all pairs, or was not asked to be.
        threshold: as asked; None = learned.
    """

    schema: str = SCHEMA
    comparable: bool
    threshold: float | None
    sides: list[SideInfo]
    pairs: list[Pair]
    notes: list[str] = []

    @property
    def simulated(self) -> bool:
        """Whether any number comes from a simulation."""
        return any(side.simulated for side in self.sides)

    def primary(self) -> Iterator[tuple[Pair, Effect]]:
        """The effects that decide."""
        return ((pair, each) for pair in self.pairs for each in pair.effects if each.primary)


def compare(sides: Sequence[Side], settings: Settings, book: NoiseBook | None = None) -> Comparison:
    """Compare the sides; the first is the baseline.

    Args:
        sides: at least two.
        settings: what with.
        book: noise that was learned before.

    Raises:
        UsageError: a primary figure is none, or no side has it.
    """
    book = book or NoiseBook()
    couples = [
        (sides[0] if settings.against == "first" else before, side) for before, side in pairwise(sides)
    ]
    pairs = [_pair(a, b, settings, book) for a, b in couples]
    comparable = settings.allow_different or not any(pair.gate.unequal for pair in pairs)
    if comparable:
        _check_primary(settings, pairs)
        pairs = [
            msgspec.structs.replace(pair, notes=[*pair.notes, *_outliers(pair, a, b)])
            for pair, (a, b) in zip(_decided(pairs), couples, strict=True)
        ]
    else:
        pairs = [msgspec.structs.replace(pair, loads=[], curves=[], means=[]) for pair in pairs]
    return Comparison(
        comparable=comparable,
        threshold=settings.threshold,
        sides=[side.info for side in sides],
        pairs=pairs,
        notes=list(_notes(pairs)) if comparable else [],
    )


def _pair(a: Side, b: Side, settings: Settings, book: NoiseBook) -> Pair:
    made = gate(a.facts, b.facts)
    keys = common_loads(a, b)
    differing = [
        d for first, second in keys for d in load_differences(a.loads[first].load, b.loads[second].load)
    ]
    if not keys:
        differing = [
            *load_differences(next(iter(a.loads.values())).load, next(iter(b.loads.values())).load),
        ]
    made = msgspec.structs.replace(made, unequal=[*made.unequal, *dict.fromkeys(differing)])
    if made.unequal and not settings.allow_different:
        return Pair(a=a.info.letter, b=b.info.letter, gate=made)
    loads = []
    for first, second in keys:
        units = a.loads[first].units, b.loads[second].units
        names = dict.fromkeys(name for side in units for unit in side for name in unit.parts)
        parts = {name: (parts_of(units[0], name), parts_of(units[1], name)) for name in names}
        noise = _noise(settings, book, a, first)
        effects = _effects(parts, settings, noise, typed=TYPED in (first, second))
        loads.append(LoadComparison(load=load_of(a, (first, second)), effects=effects))
    shared = [first for first, second in keys if first == second and first != TYPED]
    curves, means, notes = _curves(a, b, shared, settings)
    if {facts.seed for facts in a.facts} != {facts.seed for facts in b.facts} and a.facts and b.facts:
        notes.append(
            "other seeds, so other lengths and arrivals: the same --seed on both sides leaves that noise out"
        )
    notes += _side_notes(a, [first for first, _ in keys], loads)
    notes += _side_notes(b, [second for _, second in keys], loads)
    return Pair(
        a=a.info.letter,
        b=b.info.letter,
        gate=made,
        loads=loads,
        only_a=len(a.loads) - len(keys),
        only_b=len(b.loads) - len(keys),
        curves=curves,
        means=means,
        notes=notes,
    )


def _outliers(pair: Pair, a: Side, b: Side) -> Iterator[str]:
    """Repeats that most of the uncertainty comes from."""
    for keys, load in zip(common_loads(a, b), pair.loads, strict=True):
        yield from outlier_notes((a, b), keys, load.effects)


def _side_notes(side: Side, keys: Sequence[str], loads: Sequence[LoadComparison]) -> Iterator[str]:
    """What the runs of one side are not alike in."""
    if mixed := mixture(side.facts):
        yield f"side {side.info.letter} mixes runs of different {', '.join(mixed)}"
    apart = dict.fromkeys(
        each.figure.title
        for key, load in zip(keys, loads, strict=True)
        for each in load.effects
        if each.primary and runs_differ(side.loads[key].units, each.figure.key)
    )
    if apart:
        yield (
            f"runs of side {side.info.letter} differ in {', '.join(apart)} by more than their repeats do, so there "
            f"a run counts once: measure {fewest_for(0.05)} runs a side or more"
        )


def _noise(settings: Settings, book: NoiseBook, side: Side, key: str) -> Mapping[str, Noise]:
    """By figure; under "" that of any other one."""
    known = book.of(side, key)
    return {"": Noise(settings.noise)} if settings.noise is not None else known


def _effects(
    parts: Mapping[str, tuple[list[Part], list[Part]]],
    settings: Settings,
    noise: Mapping[str, Noise],
    *,
    typed: bool = False,
) -> list[Effect]:
    primary = {OUTPUT} | {key for key in (_highest(parts, "ttft_ms"), _highest(parts, "tpot_ms")) if key}
    if settings.primary:
        primary = {kind_named(name).key for name in settings.primary}
    elif typed:
        primary = set(parts)
    primary |= {kind_named(name).key for name in settings.also_primary}
    found = []
    for key, kind in _ordered(parts):
        a, b = parts[key]
        if not a and not b:
            continue
        own = noise.get(key, noise.get(""))
        threshold = _threshold(settings, own, len(a), len(b))
        made = effect(kind, a, b, threshold, own)
        if settings.threshold is None and made.threshold > LOUD:
            made = judged(msgspec.structs.replace(made, too_noisy=True))
        found.append(msgspec.structs.replace(made, primary=key in primary and made.delta is not None))
    return found


def _threshold(settings: Settings, noise: Noise | None, a: int, b: int) -> float:
    if settings.threshold is not None:
        return settings.threshold
    if noise is None or not a or not b:
        return THRESHOLD
    return max(_SMALLEST_AUTO, threshold_from(noise, a, b))


def _highest(parts: Mapping[str, tuple[list[Part], list[Part]]], metric: str) -> str | None:
    """The highest percentile that both sides have requests enough for; else the mean, if that is all there is."""
    names = [*(f"{metric}.p{p:g}" for p in _DEFAULT_TAILS), f"{metric}.mean"]
    return next((name for name in names if all(parts.get(name, ([], [])))), None)


def _ordered(parts: Mapping[str, Any]) -> list[tuple[str, Kind]]:
    first = [key for key in _SHOWN_FIRST if key in parts]
    keys = [*first, *(key for key in parts if key not in first)]
    return [(key, kind) for key in keys if (kind := kind_of(key)) is not None]


def _curves(
    a: Side, b: Side, keys: Sequence[str], settings: Settings
) -> tuple[list[Effect], list[Effect], list[str]]:
    """At equal SLO, area and geometric means, and why one is missing."""
    axis = fronts.axis_of((a, b), keys)
    if axis is None:
        asked = ["equal SLO: --slo needs at least two loads in common, of rising concurrency or rate"]
        return [], [], asked if settings.limits else []
    exploring = msgspec.structs.replace(
        settings, primary=(), also_primary=(), threshold=settings.threshold or THRESHOLD
    )
    named = {kind_named(name).key for name in (*settings.primary, *settings.also_primary)}
    proven = _proven((a, b), keys)
    notes = [
        f"equal SLO: {name} is of fewer requests than it takes at some of the loads"
        for name in dict.fromkeys(fronts.limited_figure(limit).name for limit in settings.limits)
        if kind_named(name).key not in proven
    ]
    over: list[dict[str, list[Part]]] = []
    means: list[dict[str, list[Part]]] = []
    for side in (a, b):
        curves = fronts.curves_of(side, keys, axis)
        areas = [fronts.area(curve) for curve in curves]
        found = {"front_area": [Part(each, 0.0, 0.0) for each in areas if each is not None]}
        if settings.limits:
            reached, why = fronts.within_slo(curves, settings.limits)
            found |= reached
            notes += [f"equal SLO: not known of side {side.info.letter}: {text}" for text in why]
        over.append(found)
        means.append({})
        for curve in curves:
            for key, part in fronts.geometric_means(curve, proven).items():
                means[-1].setdefault(key, []).append(part)
    at_slo, geometric = (_effects(_both(figures), exploring, {}) for figures in (over, means))
    return _marked(at_slo, named), _marked(geometric, set()), notes


def _proven(sides: Sequence[Side], keys: Sequence[str]) -> list[str]:
    """Figures that every side has at every load, of requests enough."""
    units = [side.loads[key].units for side in sides for key in keys]
    return [name for name in units[0][0].parts if all(parts_of(each, name) for each in units)]


def _both(figures: Sequence[Mapping[str, list[Part]]]) -> dict[str, tuple[list[Part], list[Part]]]:
    names = dict.fromkeys(name for own in figures for name in own)
    return {name: (figures[0].get(name, []), figures[1].get(name, [])) for name in names}


def _marked(effects: Sequence[Effect], primary: set[str]) -> list[Effect]:
    """Those of these keys decide, and no others."""
    return [
        msgspec.structs.replace(each, primary=each.figure.key in primary and each.delta is not None)
        for each in effects
    ]


def _check_primary(settings: Settings, pairs: Sequence[Pair]) -> None:
    there = {each.figure.key for pair in pairs for each in _deciding(pair) if each.word != "absent"}
    for name in (*settings.primary, *settings.also_primary):
        kind = kind_named(name)
        if kind.key not in there:
            names = ", ".join(k.name for k in map(kind_of, sorted(there)) if k is not None)
            raise UsageError(
                f"{kind.name} is not known of both sides at any common load", f"known: {names or 'nothing'}"
            )


def _decided(pairs: Sequence[Pair]) -> list[Pair]:
    """All primary figures of all pairs, loads and curves are one family."""
    judged = iter(decided([e for pair in pairs for e in _deciding(pair)]))
    return [
        msgspec.structs.replace(
            pair,
            loads=[
                msgspec.structs.replace(load, effects=[next(judged) for _ in load.effects])
                for load in pair.loads
            ],
            curves=[next(judged) for _ in pair.curves],
        )
        for pair in pairs
    ]


def _deciding(pair: Pair) -> Iterator[Effect]:
    """All effects among which some decide: geometric means never do."""
    for load in pair.loads:
        yield from load.effects
    yield from pair.curves


def _notes(pairs: Sequence[Pair]) -> Iterator[str]:
    effects = [each for pair in pairs for each in pair.effects if each.delta is not None and each.primary]
    if not effects:
        yield "no figure that decides is known of both sides: name one with --primary"
        return
    repeats = min(min(len(e.a.values), len(e.b.values)) for e in effects)
    fewest = fewest_for(0.05)
    if repeats == 1:
        yield (
            "one run on a side: how another one would differ is not known, so nothing is more than unsure; measure "
            f"both sides with --repeat 5 ({fewest} are the fewest)"
        )
    elif repeats < fewest:
        yield f"need at least {fewest} repeats a side: with fewer the rank test cannot tell any change from chance"
    yield from _loud(effects)
    if any(e.spread_from.startswith("assumed") for e in effects):
        yield (
            f"repeats needed are reckoned with an assumed spread of {ASSUMED_NOISE:.0%} from run to run (standard "
            "deviation / mean), as one number a side tells nothing of it; --noise 1% sets another, --aa RUN learns it"
        )


def _loud(effects: Sequence[Effect]) -> Iterator[str]:
    """Where noise is all that a learned threshold stands for."""
    loud: dict[str, float] = {}
    for each in effects:
        if each.too_noisy:
            loud[each.figure.title] = max(each.threshold, loud.get(each.figure.title, 0.0))
    if loud:
        told = ", ".join(f"{title} {threshold:.0%}" for title, threshold in loud.items())
        yield (
            f"the threshold learned from noise is above {LOUD:.0%} ({told}), so these are never called same: measure "
            "longer or with more repeats and learn again with --aa, or state one with --threshold 5%"
        )


def failing(
    comparison: Comparison, words: Sequence[Word], figures: Sequence[str]
) -> list[tuple[Pair, Effect]]:
    """The effects of these words, of these figures (none = the primary), for ``--fail-on``."""
    keys = {kind_named(name).key for name in figures}
    return [
        (pair, each)
        for pair in comparison.pairs
        for each in _deciding(pair)
        if each.word in words and (each.figure.key in keys if keys else each.primary)
    ]

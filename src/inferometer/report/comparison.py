"""A comparison as console text: the sides, what was changed, a table per load, what to measure next."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from inferometer.metrics.comparing.compare import Comparison, LoadComparison, Pair
from inferometer.metrics.comparing.effects import Effect
from inferometer.metrics.comparing.gate import Difference
from inferometer.metrics.comparing.names import Kind
from inferometer.metrics.comparing.sides import SideInfo
from inferometer.report.sweep import titled
from inferometer.report.text import table

HEADER = ("metric", "{a}", "{b}", "delta", "95 % CI", "p", "n", "verdict")
ALIGN = "<>>>>>><"
_COLOURS = {"better": "32", "worse": "31", "same": "2", "unsure": "33"}
_USUALLY = (
    "output_throughput", "request_throughput", "goodput", "attainment", "failed", "p50_ttft", "p99_ttft", "p50_tpot",
    "p99_tpot", "p50_e2el", "p99_e2el",
)  # fmt: skip
_MOST_CHANGES = 8
_MOST_REPEATS = 100  # beyond that the number is an excuse: the next steps tell it all the same
_FIRST = ("worse", "better", "unsure", "same", "absent")


def comparison_lines(comparison: Comparison, *, everything: bool = False, colour: bool = False) -> list[str]:
    """The whole comparison.

    Args:
        comparison: what was found.
        everything: all figures, not only the usual ones.
        colour: whether verdicts are coloured.
    """
    lines = [*_sides(comparison), ""]
    for pair in comparison.pairs:
        lines += [*_gate(pair), ""]
        if comparison.comparable:
            lines += [*_pair(pair, everything=everything, colour=colour), ""]
    if comparison.comparable:
        lines += [*_foot(comparison)]
    return lines


def refusal(comparison: Comparison) -> list[str]:
    """What should be equal and is not, a line each."""
    return [
        f"{pair.a} and {pair.b}: {difference}"
        for pair in comparison.pairs
        for difference in pair.gate.unequal
    ]


def loads_titled(pair: Pair) -> list[tuple[str, LoadComparison]]:
    """The loads of a pair with a title each; typed numbers have none."""
    if any(not load.load for load in pair.loads):
        return [("", load) for load in pair.loads]
    return list(zip(titled([load.load for load in pair.loads]), pair.loads, strict=True))


def shown(effects: Sequence[Effect], *, everything: bool = False) -> list[Effect]:
    """The effects of a table: the usual ones, and all that decide."""
    return [e for e in effects if everything or e.primary or e.figure.name in _USUALLY]


def side_words(side: SideInfo) -> str:
    """What a side is, in one line."""
    least, most = min(side.repeats, default=0), max(side.repeats, default=0)
    count = f"{least}" if least == most else f"{least} to {most}"
    what = f"{count} {side.unit}" + ("" if most == 1 else "s")
    parts = [side.label or "-", what]
    if side.runs:
        parts.append(side.runs[0] if len(side.runs) == 1 else f"{len(side.runs)} runs")
    if side.model:
        parts.append(side.model)
    if side.tool:
        parts.append(f"measured by {side.tool}")
    return "  ".join(parts) + ("  [simulated]" if side.simulated else "")


def cells(effect: Effect) -> tuple[str, ...]:
    """An effect as the cells of a table row, in the order of ``HEADER``."""
    p = effect.p_ranks
    return (
        figure_title(effect.figure) + (" *" if effect.primary else ""),
        value(effect.a.value, effect.figure),
        value(effect.b.value, effect.figure),
        change(effect.delta, effect.figure),
        interval(effect),
        "" if p is None else f"{p:.3f}" if p >= 0.001 else "<0.001",
        f"{len(effect.a.values)}+{len(effect.b.values)}",
        verdict(effect),
    )


def figure_title(figure: Kind) -> str:
    """Its title with its unit."""
    unit = "%" if figure.unit == "share" else figure.unit
    return f"{figure.title} {unit}".rstrip()


def value(number: float | None, figure: Kind) -> str:
    """A value in its unit."""
    if number is None:
        return "n/a"
    number = number * 100.0 if figure.unit == "share" else number
    return f"{number:,.1f}" if abs(number) >= 100.0 else f"{number:.3g}"


def change(delta: float | None, figure: Kind) -> str:
    """A change with its sign: in percent, of shares in percentage points, ``~`` where there is none."""
    if delta is None:
        return "n/a"
    if delta == 0.0:
        return "~"
    if math.isinf(delta):
        return "from 0"
    return f"{_signed(delta)} pp" if figure.absolute else f"{_signed(delta)} %"


def interval(effect: Effect) -> str:
    """The interval of a change, in percent."""
    if effect.low is None or effect.high is None:
        return "n/a" if effect.delta is not None else ""
    if effect.low == effect.high == 0.0:
        return ""
    return f"[{_signed(effect.low)}, {_signed(effect.high)}]"


def verdict(effect: Effect) -> str:
    """The word, with what it rests on where that is less than repeats, and how many repeats would do.

    Where a figure alone would be called different and is not as one of several that decide, it says so.
    """
    if effect.word != "unsure":
        return effect.word
    inside = []
    if effect.basis in ("within-run only", "noise told"):
        inside.append({"within-run only": "within-run only", "noise told": "single run"}[effect.basis])
    if effect.p_holm is not None and effect.p_welch is not None and effect.p_welch <= 0.05 < effect.p_holm:
        inside.append(f"p {effect.p_holm:.2g} after Holm")
    if effect.repeats_needed is not None and effect.repeats_needed > min(
        len(effect.a.values), len(effect.b.values)
    ):
        needed = effect.repeats_needed
        count = f"more than {_MOST_REPEATS}" if needed > _MOST_REPEATS else f"{needed}"
        inside.append(f"{count} repeats for {effect.aim * 100:.3g} %")
    return effect.word + (f" ({', '.join(inside)})" if inside else "")


def headline(comparison: Comparison) -> str:
    """The one word over all figures that decide; "mixed" where some are better and some worse."""
    words = {each.word for _, each in comparison.primary()}
    if {"better", "worse"} <= words:
        return "mixed"
    return next((word for word in ("worse", "unsure", "better", "same") if word in words), "unsure")


def decisive(comparison: Comparison) -> list[tuple[Pair, Effect]]:
    """The figures that decide, the worse ones first."""
    return sorted(comparison.primary(), key=lambda found: _FIRST.index(found[1].word))


def next_steps(comparison: Comparison) -> Iterator[str]:
    """For each figure that decides and is unsure: how many repeats it takes, and by which spread."""
    for pair, title, each in undecided(comparison):
        where = f" at {title}" if title else ""
        yield f"{pair.a} -> {pair.b} {each.figure.title}{where}: {_needs(each)}"


def undecided(comparison: Comparison) -> Iterator[tuple[Pair, str, Effect]]:
    """The figures that decide, are unsure and would not be with more repeats, each with the title of its load."""
    for pair in comparison.pairs:
        for title, effects in [*((t, load.effects) for t, load in loads_titled(pair)), ("", pair.curves)]:
            for each in effects:
                if each.primary and each.word == "unsure" and each.repeats_needed is not None:
                    yield pair, title, each


def _needs(effect: Effect) -> str:
    tell = ""
    if effect.repeats_to_tell is not None:
        tell = f", {effect.repeats_to_tell:,} to tell {change(effect.delta, effect.figure)} from none"
    spread = 0.0 if effect.spread is None else effect.spread * 100
    return (
        f"{effect.repeats_needed:,} repeats a side to know it to +-{effect.aim * 100:.3g} %{tell} "
        f"(spread {spread:.2g} % from run to run, {effect.spread_from})"
    )


def changes(differences: Sequence[Difference], most: int = _MOST_CHANGES) -> str:
    """Differences in one line; long lists end in how many more there are."""
    told = ", ".join(map(str, differences[:most]))
    return told + (f", and {len(differences) - most} more" if len(differences) > most else "")


def _sides(comparison: Comparison) -> Iterator[str]:
    for side in comparison.sides:
        yield f"{side.letter}  {side_words(side)}"


def _gate(pair: Pair) -> Iterator[str]:
    yield f"{pair.a} -> {pair.b}"
    if pair.gate.changed:
        yield f"  changed: {changes(pair.gate.changed)}"
    if pair.gate.unequal:
        yield f"  not equal, though it should be: {changes(pair.gate.unequal)}"
    if pair.gate.equal:
        names = (name if len(text) > 40 else f"{name} {text}" for name, text in pair.gate.equal)
        yield f"  equal: {', '.join(names)}"
    if pair.gate.unknown:
        yield f"  not known of both sides: {', '.join(pair.gate.unknown)}"


def _pair(pair: Pair, *, everything: bool, colour: bool) -> Iterator[str]:
    header = tuple(name.format(a=pair.a, b=pair.b) for name in HEADER)
    blocks = [
        *((f"at {title}" if title else "", load.effects) for title, load in loads_titled(pair)),
        ("over load", pair.curves),
        ("geometric mean over the loads", pair.means),
    ]
    for title, effects in blocks:
        picked = [e for e in shown(effects, everything=everything) if e.word != "absent"]
        if title == "over load":
            picked = [e for e in effects if e.word != "absent"]
        if not picked:
            continue
        if title:
            yield title
        rows = table(header, [cells(each) for each in picked], ALIGN)
        yield rows[0]
        for row, each in zip(rows[1:], picked, strict=True):
            yield _painted(row, each) if colour else row
    for only, letter in ((pair.only_a, pair.a), (pair.only_b, pair.b)):
        if only:
            yield f"  {only} load{'s' if only > 1 else ''} of {letter} alone: not compared"
    for note in pair.notes:
        yield f"  {note}"


def _foot(comparison: Comparison) -> Iterator[str]:
    learned = "learned from A/A" if comparison.threshold is None else f"{comparison.threshold * 100:.3g} %"
    yield (
        f"* decides (Holm over all of these); the others are for exploring. p: exact Mann-Whitney over repeats. "
        f"threshold {learned}"
    )
    if comparison.simulated:
        yield "simulated: no server was measured"
    for note in comparison.notes:
        yield f"note  {note}"
    for step in next_steps(comparison):
        yield f"next  {step}"


def _painted(row: str, effect: Effect) -> str:
    word = effect.word
    place = row.rfind(word)
    code = _COLOURS.get(word)
    if code is None or place < 0:
        return row
    return f"{row[:place]}\x1b[{code}m{row[place:]}\x1b[0m"


def _signed(share: float) -> str:
    number = share * 100.0
    digits = 0 if abs(number) >= 100.0 else 1 if abs(number) >= 10.0 else 2
    return f"{number:+.{digits}f}"

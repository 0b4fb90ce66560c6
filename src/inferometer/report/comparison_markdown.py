"""A comparison as Markdown, for a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inferometer.metrics.comparing.compare import Comparison, Pair
from inferometer.metrics.comparing.effects import Effect
from inferometer.report.comparison import (
    ALIGN,
    HEADER,
    cells,
    changes,
    headline,
    loads_titled,
    next_steps,
    shown,
    side_words,
)

_SIGNS = {"better": "🟢 ", "worse": "🔴 ", "same": "⚪ ", "unsure": "🟡 ", "absent": ""}


def comparison_markdown(comparison: Comparison, *, everything: bool = False) -> str:
    """The comparison as GitHub and GitLab show it; the figures that do not decide are folded."""
    return "\n".join(_lines(comparison, everything)) + "\n"


def _lines(comparison: Comparison, everything: bool) -> Iterator[str]:
    yield "### " + _headline(comparison)
    yield ""
    for side in comparison.sides:
        yield f"- **{side.letter}** {_plain(side_words(side))}"
    for pair in comparison.pairs:
        yield ""
        yield f"#### {pair.a} → {pair.b}"
        if pair.gate.changed:
            yield f"\nChanged: {_plain(changes(pair.gate.changed))}"
        if pair.gate.unequal:
            yield f"\n**Not equal, though it should be:** {_plain(changes(pair.gate.unequal, most=50))}"
        if comparison.comparable:
            yield from _pair(pair, everything)
    yield ""
    threshold = (
        "learned from A/A runs" if comparison.threshold is None else f"{comparison.threshold * 100:.3g} %"
    )
    yield (
        "<sub>\\* decides, corrected by Holm over all of these. p: exact Mann-Whitney over repeats. "
        f"Threshold {threshold}. unsure: measure more repeats.</sub>"
    )
    for note in (*comparison.notes, *next_steps(comparison)):
        yield f"- {_plain(note)}"


def _headline(comparison: Comparison) -> str:
    if not comparison.comparable:
        return "Not comparable"
    words = [each.word for _, each in comparison.primary()]
    told = [f"{words.count(word)} {word}" for word in ("worse", "better", "unsure", "same") if word in words]
    mark = " (simulated)" if comparison.simulated else ""
    mixed = "mixed, " if headline(comparison) == "mixed" else ""
    return f"Comparison{mark}: {mixed}{', '.join(told) or 'no figure that decides'}"


def _pair(pair: Pair, everything: bool) -> Iterator[str]:
    for title, load in loads_titled(pair):
        picked = [e for e in shown(load.effects, everything=everything) if e.word != "absent"]
        primary = [e for e in picked if e.primary]
        rest = [e for e in picked if not e.primary]
        if title:
            yield f"\n**{_plain(title)}**"
        yield from _table(pair, primary)
        if rest:
            yield f"\n<details><summary>{len(rest)} more, for exploring</summary>"
            yield from _table(pair, rest)
            yield "\n</details>"
    over = [e for e in (*pair.curves, *shown(pair.means, everything=everything)) if e.word != "absent"]
    if over:
        shut = "" if not any(e.primary for e in over) else " open"
        yield f"\n<details{shut}><summary>over load: at equal SLO, area under the front, geometric means</summary>"
        yield from _table(pair, over)
        yield "\n</details>"
    for note in pair.notes:
        yield f"\n{_plain(note)}"


def _table(pair: Pair, effects: Sequence[Effect]) -> Iterator[str]:
    if not effects:
        return
    yield ""
    yield "| " + " | ".join(name.format(a=pair.a, b=pair.b) for name in HEADER) + " |"
    yield "|" + "|".join("---" if side == "<" else "---:" for side in ALIGN) + "|"
    for each in effects:
        row = [_plain(cell) for cell in cells(each)]
        yield "| " + " | ".join([*row[:-1], _SIGNS[each.word] + row[-1]]) + " |"


def _plain(text: str) -> str:
    """Text whose signs mean nothing to Markdown or HTML."""
    for sign in "\\`*_[]|#~":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

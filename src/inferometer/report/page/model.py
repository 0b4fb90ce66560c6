"""A report before it is HTML: sections of typed blocks, built by whoever has something to show, rendered in one place.

All text is text: nothing in here is markup, and the renderer escapes everything. Strings from servers, models and users
(errors, answers, labels, commands) are given as they came.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from inferometer.report.plots.model import Plot
from inferometer.report.words import Words

Tone = Literal["good", "warn", "bad", "plain"]


class Cell(msgspec.Struct, frozen=True):
    """One cell; ``text`` as it is to be read, numbers already formatted with their unit's digits.

    Attributes:
        text: in both languages; "" = empty.
        title: shown where one points at it, such as the interval or the whole text of a cut one.
        tone: of its colour, which is never the only sign of it.
    """

    text: Words
    title: Words | None = None
    tone: Tone = "plain"


class Head(msgspec.Struct, frozen=True):
    """The head of a column; numbers stand right. ``about`` is its formula or meaning, shown where one points at it."""

    name: Words
    number: bool = True
    about: Words | None = None


class Table(msgspec.Struct, frozen=True, kw_only=True, tag="table"):
    """Rows and columns; ``key`` is unique on the page, long ones scroll inside and repeat their head in print."""

    key: str
    head: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: Words | None = None
    note: Words | None = None


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One large figure of the headline: what it is, its value with unit, what it stands on (n, interval, load)."""

    name: Words
    value: Words
    under: Words | None = None
    tone: Tone = "plain"


class Cards(msgspec.Struct, frozen=True, kw_only=True, tag="cards"):
    """Figures beside each other."""

    cards: tuple[Card, ...]


class Verdict(msgspec.Struct, frozen=True, kw_only=True, tag="verdict"):
    """VALID, WARN or INVALID, with the reasons: each condition asked, measured, limit, next step in one line."""

    word: str | Words
    reasons: tuple[Words, ...]
    tone: Tone


class Note(msgspec.Struct, frozen=True, kw_only=True, tag="note"):
    """A paragraph, or a finding: what is so, its evidence, what to do; ``link`` is the key of a block that shows it."""

    text: Words
    tone: Tone = "plain"
    evidence: Words | None = None
    next_step: Words | None = None
    link: str | None = None


class Code(msgspec.Struct, frozen=True, kw_only=True, tag="code"):
    """Lines to copy, with a button that does."""

    text: str
    about: Words | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True, tag="facts"):
    """Names and values, such as the environment."""

    facts: tuple[tuple[Words, Words], ...]


class Picture(msgspec.Struct, frozen=True, kw_only=True, tag="picture"):
    """A plot; ``wide`` takes the whole width."""

    plot: Plot
    wide: bool = False


class Choice(msgspec.Struct, frozen=True, kw_only=True, tag="choice"):
    """Blocks of which one is shown at a time (timelines of each load point); all without JavaScript, and in print.

    Attributes:
        key: unique on the page.
        name: what is chosen ("load point").
        options: name of each, and its blocks.
        first: which is shown at the start.
    """

    key: str
    name: Words
    options: tuple[tuple[Words, tuple[Block, ...]], ...]
    first: int = 0


Block = Table | Cards | Verdict | Note | Code | Facts | Picture | Choice


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part with a heading; ``key`` is its anchor, unique on the page. ``folded`` opens with a click, and in print."""

    key: str
    title: Words
    blocks: tuple[Block, ...]
    folded: bool = False


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One file.

    Attributes:
        title: of the window and the first heading.
        subtitle: one line under it.
        simulated: whether any number on it comes from a simulation; the mark is on every screen of the page then.
        language: shown first; the page holds both.
        footer: version, formula and record identifiers.
    """

    title: Words
    subtitle: Words
    sections: tuple[Section, ...]
    simulated: bool
    language: Literal["en", "zh"] = "en"
    footer: Words | None = None

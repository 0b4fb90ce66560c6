"""How numbers, loads and plain tables are written in a text report."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.metrics.verdict import Word

_COUNTED = frozenset(
    {
        "requests",
        "generations",
        "sessions",
        "rows",
        "repeats",
        "workers",
        "values",
        "steps",
        "points",
        "conditions",
    }
)
ABSENT = "n/a"
_COLOURS: dict[Word, str] = {"VALID": "32", "WARN": "33", "INVALID": "31"}


def number(value: float | None, decimals: int = 2) -> str:
    """``1,234.50``; ``n/a`` for None."""
    return ABSENT if value is None else f"{value:,.{decimals}f}"


def count(value: float | None) -> str:
    """``1,234``; ``n/a`` for None."""
    return number(value, 0)


def figure(value: float | None) -> str:
    """Some three digits: ``0.052``, ``1.20``, ``12.3``, ``1,234``; ``n/a`` for None."""
    if value is None:
        return ABSENT
    size = abs(value)
    decimals = 0 if size >= 100 or size == 0 else 1 if size >= 10 else 2 if size >= 0.1 else 3
    return number(value, decimals)


def percent(share: float | None) -> str:
    """A share of 0 to 1 as ``61.2 %``; ``n/a`` for None."""
    if share is None:
        return ABSENT
    if share == 0:
        return "0 %"
    return f"{share * 100:.{1 if share >= 0.001 else 3}f} %"


def counted(value: float, nouns: str) -> str:
    """``1 request``, ``1,234 requests``: a count with its noun, which is given in the plural."""
    return f"{count(value)} {nouns.removesuffix('s') if value == 1 else nouns}"


def quantity(value: float | None, unit: str) -> str:
    """A value with its unit; whole numbers without decimals, shares as percent."""
    if value is None:
        return ABSENT
    if unit == "share":
        return percent(value)
    if value == 1 and unit in _COUNTED:
        return counted(value, unit)
    written = count(value) if float(value).is_integer() else number(value)
    return f"{written} {unit}".rstrip()


def apart(value: float | None, limit: float | None, unit: str) -> tuple[str, str]:
    """A value and what it is held against, as ``quantity``; with as many digits more as it takes to tell them apart."""
    texts = quantity(value, unit), quantity(limit, unit)
    if value is None or limit is None or value == limit:
        return texts
    shown = [float(text.split()[0].replace(",", "")) for text in texts]
    if shown[0] != shown[1]:
        return texts
    factor, sign = (100, "%") if unit == "share" else (1, unit)
    one, other = value * factor, limit * factor
    digits = next((n for n in range(2, 10) if round(one, n) != round(other, n)), 10)
    return f"{one:,.{digits}f} {sign}".rstrip(), f"{other:,.{digits}f} {sign}".rstrip()


def paint(text: str, word: Word, colour: bool) -> str:
    """``text`` in the ANSI colour of a verdict, if colour is wanted."""
    return f"\x1b[1;{_COLOURS[word]}m{text}\x1b[0m" if colour else text


def table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> list[str]:
    """Aligned lines of a plain table, header first, two blanks between columns.

    ``align`` has one character per column: "<" left or ">" right.
    """
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    return [
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=True)
        ).rstrip()
        for row in (header, *rows)
    ]

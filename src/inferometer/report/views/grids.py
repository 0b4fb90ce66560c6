"""Tables with borders, in the styles of the libraries that other tools print with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferometer.report.text import ABSENT


@dataclass(frozen=True)
class Style:
    """Characters of a table: lines as left, fill, crossing, right; ``between`` stands between body rows."""

    top: str
    head: str
    bottom: str
    head_wall: str
    wall: str
    between: str | None = None


OUTLINE = Style("┌─┬┐", "├─┼┤", "└─┴┘", "│", "│")  # tabulate's simple_outline
HEAVY_HEAD = Style("┏━┳┓", "┡━╇┩", "└─┴┘", "┃", "│")  # rich's default
FANCY = Style("╒═╤╕", "╞═╪╡", "╘═╧╛", "│", "│", between="├─┼┤")  # tabulate's fancy_grid
PRETTY = Style("+-++", "+-++", "+-++", "|", "|")  # prettytable's default


def grid(style: Style, header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> list[str]:
    """Lines of a table.

    Args:
        style: its borders.
        header: a cell a column.
        rows: the body, cells as text.
        align: one character a column, "<" left or ">" right.
    """
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = [
        _rule(style.top, widths),
        _row(header, widths, align, style.head_wall),
        _rule(style.head, widths),
    ]
    for number, row in enumerate(rows):
        if number and style.between:
            lines.append(_rule(style.between, widths))
        lines.append(_row(row, widths, align, style.wall))
    return [*lines, _rule(style.bottom, widths)]


def cell(value: object) -> str:
    """A value as the text of a cell; n/a for None."""
    return ABSENT if value is None else str(value)


def _rule(line: str, widths: Sequence[int]) -> str:
    left, fill, crossing, right = tuple(line)
    return left + crossing.join(fill * (width + 2) for width in widths) + right


def _row(cells: Sequence[str], widths: Sequence[int], align: str, wall: str) -> str:
    padded = (f" {text:{side}{width}} " for text, side, width in zip(cells, align, widths, strict=True))
    return wall + wall.join(padded) + wall

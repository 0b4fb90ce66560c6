"""How static pictures look: the page's light colours, a shape and a dash beside each, fonts, how numbers read.

Colours after Okabe and Ito (2008), which stay apart for colour-blind eyes; load points of a family run along viridis
without its palest end, as on the page. No colour is the only sign of what it stands for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from inferometer.errors import UsageError
from inferometer.report.plots.model import Role, Series
from inferometer.report.words import Language, Words

INK, SOFT, GRID, PAPER, WARN = "#1b1f24", "#55606b", "#d3dae1", "#ffffff", "#7d5000"
ROLES: dict[Role, str] = {
    "main": "#0072b2", "second": "#d55e00", "third": "#aa4499", "good": "#009e73", "bad": "#d55e00",
    "asked": "#6b7680", "quiet": "#a9b4be", "band": "#0072b2",
}  # fmt: skip
EARLY, MIDDLE, LATE = "#cfd8e0", "#e69f00", "#0072b2"
MARKS = {"limit": "#a33b00", "good": "#009e73", "window": "#0072b2", "knee": "#e69f00"}
_RAMP = ("#440154", "#3b528b", "#21918c", "#35a55f", "#b8a500")
_SHAPES = ("o", "^", "D", "s", "v", "P", "X")
_DASHES: tuple[Any, ...] = ("-", "--", ":", "-.")
_IN_ORDER: dict[Role, int] = {"main": 0, "second": 1, "third": 2, "bad": 1, "good": 3}
# Fonts with Chinese signs, as they are called where they are common; the first that is installed is taken.
_CHINESE = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "Source Han Sans CN", "Microsoft YaHei",
            "PingFang SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "SimHei", "Noto Serif CJK SC",
            "Noto Serif CJK JP", "Arial Unicode MS")  # fmt: skip
SIMULATED = Words("SIMULATED", "模拟结果")


class Look(NamedTuple):
    """How one file is drawn.

    Attributes:
        language: of its text.
        subtitle: under the title, beside n: model, engine, date.
        simulated: whether the picture has the mark.
    """

    language: Language = "en"
    subtitle: str = ""
    simulated: bool = False

    def t(self, words: Words | None) -> str:
        """Text in the language of the file."""
        return "" if words is None else plain(words.in_language(self.language))


class Style(NamedTuple):
    """Colour, shape and dash of one series."""

    colour: str
    shape: str
    dash: Any


def matplotlib() -> Any:
    """The library, imported now.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import matplotlib as library
    except ImportError as error:
        raise UsageError(
            f"pictures as files need matplotlib: {error}", "pip install 'inferometer[plot]'"
        ) from None
    return library


def settings(salt: str) -> dict[str, Any]:
    """What matplotlib is told while it draws and writes: equal plots become equal bytes.

    Args:
        salt: what the identifiers inside an SVG are made from.
    """
    return {
        "font.family": ["DejaVu Sans", *chinese_fonts()[:1]],
        "font.size": 9.0,
        "text.color": INK,
        "axes.edgecolor": GRID,
        "axes.labelcolor": SOFT,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.unicode_minus": False,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "xtick.color": SOFT,
        "ytick.color": SOFT,
        "figure.facecolor": PAPER,
        "svg.hashsalt": salt,
        "path.simplify": True,
        "text.usetex": False,
        "text.parse_math": False,
    }


def chinese_fonts() -> list[str]:
    """Those of the known fonts with Chinese signs that are installed, the best first.

    Matplotlib looks for fonts once and keeps the list: what was installed later is looked for here.
    """
    from matplotlib.font_manager import findSystemFonts, fontManager

    def known() -> list[str]:
        found = {entry.name for entry in fontManager.ttflist}
        return [name for name in _CHINESE if name in found]

    if not known():
        stems = tuple(name.replace(" ", "").lower()[:11] for name in _CHINESE)
        files = [Path(path) for path in findSystemFonts()]
        for path in sorted(files):
            if path.stem.replace("-", "").replace("_", "").lower().startswith(stems):
                fontManager.addfont(path)
    return known()


def plain(text: str) -> str:
    """Text without signs that no font draws: control characters of labels and errors."""
    return "".join(
        sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}" for sign in text
    )


def styles(series: Sequence[Series]) -> list[Style]:
    """One for each series; those that share a role differ in colour (along the ramp), shape and dash."""
    roles = [each.role for each in series]
    found = []
    for place, each in enumerate(series):
        many, own = roles.count(each.role), roles[:place].count(each.role)
        ramped = many > 1 and each.role in ("main", "second", "third")
        number = own if ramped else _IN_ORDER.get(each.role, 0)
        at = each.shade if each.shade is not None else own / max(many - 1, 1)
        colour = mixed(at) if ramped else ROLES[each.role]
        dash = (
            "--" if each.role == "asked" else _DASHES[(own if ramped else _dash_of(each.role)) % len(_DASHES)]
        )
        found.append(Style(colour, _SHAPES[number % len(_SHAPES)], dash))
    return found


def _dash_of(role: Role) -> int:
    return {"second": 1, "third": 2}.get(role, 0)


def mixed(at: float) -> str:
    """The ramp at a place from 0 to 1."""
    place = min(max(at, 0.0), 1.0) * (len(_RAMP) - 1)
    low = min(int(place), len(_RAMP) - 2)
    parts = []
    for channel in (1, 3, 5):
        one, two = (int(_RAMP[step][channel : channel + 2], 16) for step in (low, low + 1))
        parts.append(round(one + (two - one) * (place - low)))
    return "#" + "".join(f"{part:02x}" for part in parts)


def figure_text(value: float) -> str:
    """A number as it stands at an axis or in a cell: about three digits, thousands apart."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    digits = 0 if size == 0 or size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

"""How shares and factors are written in the reasons of a search."""

from __future__ import annotations


def signed(share: float, decimals: int = 1) -> str:
    """``+2.5 %``."""
    return f"{share * 100:+.{decimals}f} %"


def about(half: float) -> str:
    """Half of an interval: ``+-1.6 %``."""
    return f"+-{half * 100:.1f} %"


def percent(share: float) -> str:
    """``2.5 %``, without zeros at the end."""
    return f"{round(share * 100, 1):g} %"

"""How numbers, loads and plain tables are written in a text report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ABSENT = "n/a"


def number(value: float | None, decimals: int = 2) -> str:
    """``1,234.50``; ``n/a`` for None."""
    return ABSENT if value is None else f"{value:,.{decimals}f}"


def count(value: float | None) -> str:
    """``1,234``; ``n/a`` for None."""
    return number(value, 0)


def percent(share: float | None) -> str:
    """A share of 0 to 1 as ``61.2 %``; ``n/a`` for None."""
    if share is None:
        return ABSENT
    if share == 0:
        return "0 %"
    return f"{share * 100:.{1 if share >= 0.001 else 3}f} %"


def quantity(value: float | None, unit: str) -> str:
    """A value with its unit; whole numbers without decimals, shares as percent."""
    if value is None:
        return ABSENT
    if unit == "share":
        return percent(value)
    written = count(value) if float(value).is_integer() else number(value)
    return f"{written} {unit}".rstrip()


def load_title(load: Mapping[str, Any], lengths: bool = False) -> str:
    """``concurrency 16``, ``rate 4 req/s``, ``all at once``.

    Args:
        load: a load point as ``PointRecord.load`` holds it.
        lengths: with tokens in and out, for runs whose points differ in them.
    """
    rate, limit = load.get("request_rate"), load.get("max_concurrency")
    if rate is None:
        title = "closed loop" if limit is None else f"concurrency {limit}"
    else:
        title = "all at once" if rate in ("inf", float("inf")) else f"rate {rate:g} req/s"
        title += "" if limit is None else f", at most {limit}"
    if lengths and load.get("input_len") is not None:
        title += f", in {load['input_len']}"
    if lengths and load.get("output_len") is not None:
        title += f", out {load['output_len']}"
    return title


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

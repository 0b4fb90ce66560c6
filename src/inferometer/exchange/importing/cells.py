"""Tables of Ascend's tools: a number and its unit in one cell (``81778.9 ms``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferometer.exchange.importing.blocks import place_of
from inferometer.exchange.importing.found import quantity_of, stat_of
from inferometer.record.imported import ImportedStat

_TO_MS = {"ms": 1.0, "s": 1e3, "us": 1e-3, "μs": 1e-3, "µs": 1e-3}


def scale_of(unit: str, key: str) -> float:
    """From a cell's unit to that of our key."""
    return _TO_MS.get(unit, 1.0) if key.endswith("_ms") else 1.0


def plain_cell(cell: str) -> Any:
    """A number, a number with its unit, or the text."""
    number, unit = quantity_of(cell)
    return cell if number is None else number if not unit else {"value": number, "unit": unit}


def cells_to_stat(
    key: str, cells: Mapping[str, str], *, definition: str = ""
) -> tuple[ImportedStat | None, dict[str, Any]]:
    """Statistics from the cells of one metric, and the cells that are none.

    Args:
        key: ours.
        cells: by the table's heading: "Average", "P75", "N" ...
        definition: as of ``ImportedStat``.
    """
    found: dict[str, float] = {}
    rest: dict[str, Any] = {}
    count = None
    for name, cell in cells.items():
        number, unit = quantity_of(cell)
        place = place_of(name)
        if name.strip() == "N" and number is not None:
            count = int(number)
        elif number is None or place is None or place in found:
            rest[name] = cell if number is None else number
        else:
            found[place] = number * scale_of(unit, key)
    return stat_of(found, count=count, definition=definition), rest

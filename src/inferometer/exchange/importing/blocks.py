"""Statistics that a file keeps as an object of their own: ``{"mean": 3.2, "p99": 4.1}`` in any tool's spelling."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from inferometer.exchange.importing.found import Taken, number_of, plain, stat_of
from inferometer.record.imported import ImportedStat

_NAMES = {
    "mean": "mean", "avg": "mean", "ave": "mean", "average": "mean", "median": "50",
    "std": "std", "stddev": "std", "std_dev": "std", "stdev": "std", "min": "min", "max": "max",
}  # fmt: skip
_PERCENTILE = re.compile(r"^(?:quantiles_)?[pP]?(\d+(?:[.p]\d+)?)\s*%?$")
# GuideLLM writes p001 for 0.1 and p999 for 99.9
_ODD = {"p001": "0.1", "p01": "1", "p05": "5", "p999": "99.9"}


def place_of(name: str) -> str | None:
    """What a field of statistics is: "mean", "std", "min", "max", or a percentile as a number in text."""
    lower = name.strip().lower()
    if lower in _NAMES:
        return _NAMES[lower]
    if lower in _ODD:
        return _ODD[lower]
    found = _PERCENTILE.match(lower)
    if found is None:
        return None
    number = float(found[1].replace("p", "."))
    return f"{number:g}" if 0 < number < 100 else "min" if number == 0 else "max" if number == 100 else None


def block_of(
    content: Mapping[str, Any], scale: float = 1.0, *, count: int | None = None, definition: str = ""
) -> tuple[ImportedStat | None, dict[str, Any]]:
    """The statistics in an object, in our unit, and what else it holds.

    A percentile that stands twice ("median" and "p50") is taken once; the second stays.

    Args:
        content: the object; percentiles may stand in a ``percentiles`` of their own.
        scale: from its unit to ours.
        count: values that it is of, where it does not say.
        definition: how the tool defines the metric, where that differs from ours.
    """
    found: dict[str, float] = {}
    rest: dict[str, Any] = {}
    inner = content.get("percentiles")
    for name, value in (*content.items(), *(inner.items() if isinstance(inner, Mapping) else ())):
        number, place = number_of(value), place_of(str(name))
        if name == "percentiles" and isinstance(value, Mapping):
            continue
        if name == "count" and number is not None and number.is_integer():
            count = int(number)
        elif number is None or place is None or place in found:
            rest[str(name)] = plain(value)
        else:
            found[place] = number * scale
    if count == 0:  # statistics of nothing, which some tools write as zeros
        return None, {str(name): plain(value) for name, value in content.items()}
    return stat_of(found, count=count, definition=definition), {
        n: v for n, v in rest.items() if v is not None
    }


def take_block(
    taken: Taken, key: str, name: str, scale: float = 1.0, *, count: int | None = None, definition: str = ""
) -> None:
    """Take the statistics under ``name`` into ``taken.stats`` by our key; what else that object holds stays."""
    content = taken.peek(name)
    if not isinstance(content, Mapping):
        return
    found, rest = block_of(content, scale, count=count, definition=definition)
    if found is not None:
        taken.stats[key] = found
        taken.keep(name, rest)


def take_mean(taken: Taken, key: str, name: str, scale: float = 1.0) -> None:
    """Take the mean of the statistics under ``name`` as a value; what else that object holds stays."""
    content = taken.peek(name)
    if not isinstance(content, Mapping):
        return
    inner = Taken(content)
    value = inner.number("mean", "avg", "average", scale=scale)
    if value is not None:
        taken.values[key] = value
        taken.keep(name, inner.rest())

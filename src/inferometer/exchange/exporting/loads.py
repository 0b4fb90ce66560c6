"""Names of load points as parts of paths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferometer.record.tables import PointTable


def load_name(load: dict[str, Any]) -> str:
    """``concurrency4``, ``2.5qps``, ``2.5qps-concurrency64``, ``trace``."""
    rate, limit = load.get("request_rate"), load.get("max_concurrency")
    told = round(rate, 3) if isinstance(rate, float) else rate
    parts = ["trace"] if load.get("trace") else [] if rate is None else [f"{told}qps"]
    parts += [] if limit is None else [f"concurrency{limit}"]
    return "-".join(parts) or "load"


def lengths_name(load: dict[str, Any]) -> str:
    """``in512-out128``; empty when the lengths are not fixed by the load."""
    named = (("in", load.get("input_len")), ("out", load.get("output_len")))
    return "-".join(f"{name}{value}" for name, value in named if isinstance(value, int))


def unique_names(tables: Sequence[PointTable]) -> list[str]:
    """A name for each load point, none twice: the load, its lengths where those vary, and which repeat it is."""
    loads = [table.point.load for table in tables]
    names = [load_name(load) for load in loads]
    if len({lengths_name(load) for load in loads}) > 1:
        names = [f"{name}-{lengths_name(load)}".strip("-") for name, load in zip(names, loads, strict=True)]
    return [
        f"{name}-run{names[:place].count(name) + 1}" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]


def asked_of(table: PointTable) -> dict[str, Any]:
    """What was asked of a load point; what was not is left out."""
    return {key: value for key, value in table.point.load.items() if value is not None and value is not False}
